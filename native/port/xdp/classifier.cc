#include "port/xdp/classifier.h"

#include <netinet/in.h>

#include <cstddef>
#include <cstring>

#include "port/xdp/assembler.h"

namespace esplane::port::xdp {
namespace {

// linux/pkt_cls.h has these as macros and an enum of newer kernels.
constexpr int32_t kTcDrop = 2;       // TC_ACT_SHOT
constexpr int32_t kTcxNext = -1;     // TCX_NEXT: to the next program, then to the kernel
constexpr int32_t kWholeFrame = INT32_MAX;

constexpr uint16_t kEthertypeIpv4 = 0x0800, kEthertypeIpv6 = 0x86dd;
constexpr uint16_t kEthertypeVlan = 0x8100;
constexpr uint16_t kVlanNumber = 0x0fff;  // of a tag's second half
constexpr uint16_t kIkePort = 500, kNatTraversalPort = 4500;
constexpr int kUdpHeaderBytes = 8, kNonEspMarkerBytes = 4, kIcmpHeaderBytes = 8;

/// Writes one program. Its methods are the program's sections, in order.
///
///   r6  the context, for helpers
///   r7  the cursor: where the current header starts. XDP: a packet pointer; else an offset
///   r8  XDP: the packet's end
///   r9  the IP protocol, or IPv6 next header
class Writer {
 public:
  Writer(Hook hook, Role role, const SelectionMaps& maps, const Map& mac, const Map& sockets)
      : hook_(hook), role_(role), maps_(maps), mac_(mac), sockets_(sockets) {}

  std::vector<bpf_insn> write();

 private:
  // The stack, as offsets from r10. Loads from it must be aligned.
  static constexpr int kLocalKey = -16;    ///< 16 bytes: destination; IPv4 as ::ffff:a.b.c.d
  static constexpr int kTrieKeyV6 = -20;   ///< 20 bytes: 128, then the destination as above
  static constexpr int kTrieKeyV4 = -32;   ///< 8 bytes: 32, destination
  static constexpr int kFragment = -40;    ///< 8 bytes: as in IPv4: more-fragments bit and offset
  static constexpr int kHeadersLeft = -48; ///< 8 bytes: extension headers still to be walked
  static constexpr int kHeader = -112;     ///< 64 bytes: copy of the current header (not XDP)

  static constexpr int kMoreFragments = 0x2000, kFragmentOffset = 0x1fff;

  void start();
  void ethernet();
  void vlan_tag();
  void ipv4();
  void ipv6();
  void decide(const Map& remote_protected, int trie_key);
  void judge_foreign(Label foreign, const Map& local_protected, int trie_key);
  void judge_unless_protected(Label ours, const Map& local_protected, int trie_key);
  void ours_v4();
  void ours_v6();
  void extension_headers(Label esp_or_udp, Label foreign);
  void udp(Label foreign, Label fragment);
  void too_big_v4(Label foreign, Label ours);
  void too_big_v6(Label foreign, Label ours);
  void quoted_udp(Label foreign, Label ours);
  void verdicts();

  void need(int bytes, Label truncated);
  void header8(Register dst, int offset) { a.load8(dst, header_base(), header_offset(offset)); }
  void header16(Register dst, int offset) { a.load16(dst, header_base(), header_offset(offset)); }
  void header32(Register dst, int offset) { a.load32(dst, header_base(), header_offset(offset)); }
  Register header_base() const { return hook_ == Hook::kXdp ? r7 : r10; }
  int header_offset(int offset) const { return hook_ == Hook::kXdp ? offset : kHeader + offset; }
  void lookup(const Map& map, int key);

  const Hook hook_;
  const Role role_;
  const SelectionMaps& maps_;
  const Map& mac_;
  const Map& sockets_;

  Assembler a;
  const Label to_ipv4 = a.label(), to_ipv6 = a.label();
  const Label pass = a.label();          ///< leave it to the kernel
  const Label take_or_pass = a.label();  ///< ours; without a socket the kernel's
  const Label take_or_drop = a.label();  ///< ours; without a socket nobody's
};

std::vector<bpf_insn> Writer::write() {
  start();
  ethernet();
  ipv4();
  ipv6();
  verdicts();
  return a.finish();
}

/// Makes the first `bytes` (at most 64) behind the cursor readable by header8, 16 and 32.
void Writer::need(int bytes, Label truncated) {
  if (hook_ == Hook::kXdp) {
    a.mov(r2, r7);
    a.add(r2, bytes);
    a.jgt(r2, r8, truncated);              // cursor + bytes > end
    return;
  }
  a.mov(r1, r6);
  a.mov(r2, r7);
  a.mov(r3, r10);
  a.add(r3, kHeader);
  a.mov(r4, bytes);
  a.call(BPF_FUNC_skb_load_bytes);         // (context, offset, to, bytes)
  a.jne(r0, 0, truncated);
}

/// r0 = the entry of `map` for the key at `key` on the stack, or 0.
void Writer::lookup(const Map& map, int key) {
  a.load_map(r1, map);
  a.mov(r2, r10);
  a.add(r2, key);
  a.call(BPF_FUNC_map_lookup_elem);
}

void Writer::start() {
  a.mov(r6, r1);
  if (hook_ == Hook::kXdp) {
    a.load32(r7, r6, offsetof(xdp_md, data));
    a.load32(r8, r6, offsetof(xdp_md, data_end));
  } else {
    a.mov(r7, 0);
  }
}

/// Frames to our MAC address only: others are for groups or, flooded, for somebody else.
void Writer::ethernet() {
  need(14, pass);
  a.load_map_value(r1, mac_);
  a.load32(r2, r1, 0);
  header32(r3, 0);
  a.jne(r2, r3, pass);
  a.load16(r2, r1, 4);
  header16(r3, 4);
  a.jne(r2, r3, pass);

  header16(r3, 12);                        // r3 = ethertype
  a.add(r7, 14);
  vlan_tag();
  a.jeq(r3, net16(kEthertypeIpv4), to_ipv4);
  a.jeq(r3, net16(kEthertypeIpv6), to_ipv6);
  a.jump(pass);
}

/// A frame of a VLAN is its own device's; one of VLAN 0 has a priority only (IEEE 802.1Q §6.9.1).
/// r3 = the ethertype, in front of the tag and behind it.
void Writer::vlan_tag() {
  if (hook_ != Hook::kXdp) {
    const Label in_frame = a.label();
    a.load32(r2, r6, offsetof(__sk_buff, vlan_present));  // the kernel has taken it out of the frame
    a.jeq(r2, 0, in_frame);
    a.load32(r2, r6, offsetof(__sk_buff, vlan_tci));
    a.and_(r2, kVlanNumber);
    a.jne(r2, 0, pass);
    a.bind(in_frame);
  }
  const Label untagged = a.label();
  a.jne(r3, net16(kEthertypeVlan), untagged);
  need(4, pass);
  header16(r2, 0);
  a.and_(r2, net16(kVlanNumber));
  a.jne(r2, 0, pass);
  header16(r3, 2);
  a.add(r7, 4);
  a.bind(untagged);
}

void Writer::ipv4() {
  a.bind(to_ipv4);
  need(20, pass);
  header8(r5, 0);
  a.mov(r2, r5);
  a.shr(r2, 4);
  a.jne(r2, 4, pass);                      // version
  a.and_(r5, 0xf);
  a.jlt(r5, 5, pass);                      // header length, in words
  a.shl(r5, 2);
  header8(r9, 9);                          // r9 = protocol
  header16(r3, 6);
  a.to_host16(r3);
  a.and_(r3, kMoreFragments | kFragmentOffset);
  a.store64(r10, kFragment, r3);

  header32(r3, 16);                        // r3 = destination, in network order
  a.mov(r2, r3);
  a.and_(r2, 0xe0);
  a.jeq(r2, 0xe0, pass);                   // 224.0.0.0/3: groups and broadcast
  a.store64(r10, kLocalKey, 0);
  a.store32(r10, kLocalKey + 8, static_cast<int32_t>(0xffff0000));  // bytes 00 00 ff ff
  a.store32(r10, kLocalKey + 12, r3);
  a.store32(r10, kTrieKeyV4, 32);
  a.store32(r10, kTrieKeyV4 + 4, r3);
  a.add(r7, r5);
  if (role_ == Role::kLan) return decide(maps_.remote_protected_v4, kTrieKeyV4);
  ours_v4();
}

void Writer::ipv6() {
  a.bind(to_ipv6);
  need(40, pass);
  header8(r2, 0);
  a.shr(r2, 4);
  a.jne(r2, 6, pass);                      // version
  header8(r2, 24);
  a.jeq(r2, 0xff, pass);                   // a group
  header16(r2, 24);
  a.and_(r2, net16(0xffc0));
  a.jeq(r2, net16(0xfe80), pass);          // link-local: never forwarded
  for (int word = 0; word < 4; word++) {
    header32(r2, 24 + 4 * word);           // the destination
    a.store32(r10, kLocalKey + 4 * word, r2);
  }
  a.store32(r10, kTrieKeyV6, 128);
  header8(r9, 6);                          // r9 = next header
  a.add(r7, 40);
  if (role_ == Role::kLan) return decide(maps_.remote_protected_v6, kTrieKeyV6);
  ours_v6();
}

/// LAN: to us is the kernel's, to a network behind a peer is ours, the rest is the kernel's.
void Writer::decide(const Map& remote_protected, int trie_key) {
  lookup(maps_.local_addresses, kLocalKey);
  a.jne(r0, 0, pass);
  lookup(remote_protected, trie_key);
  a.jne(r0, 0, take_or_drop);
  a.jump(pass);
}

/// WAN, at `foreign`: not a packet for our ESP. To a network behind us it is ours nevertheless.
void Writer::judge_foreign(Label foreign, const Map& local_protected, int trie_key) {
  a.bind(foreign);
  lookup(local_protected, trie_key);
  a.jne(r0, 0, take_or_drop);
  a.jump(pass);
}

/// WAN, at `ours`: one for the pipeline that the kernel may have where no socket is, unless it goes
/// to a network behind us.
void Writer::judge_unless_protected(Label ours, const Map& local_protected, int trie_key) {
  a.bind(ours);
  lookup(local_protected, trie_key);
  a.jne(r0, 0, take_or_drop);
  a.jump(take_or_pass);
}

void Writer::ours_v4() {
  const Label foreign = a.label(), ours = a.label(), datagram = a.label();
  lookup(maps_.local_addresses, kLocalKey);
  a.jeq(r0, 0, foreign);                   // not to an address of ours
  a.jeq(r9, IPPROTO_ESP, take_or_pass);
  a.jeq(r9, IPPROTO_AH, take_or_pass);
  a.jeq(r9, IPPROTO_UDP, datagram);
  a.jne(r9, IPPROTO_ICMP, foreign);
  too_big_v4(foreign, ours);
  a.bind(datagram);
  udp(foreign, ours);
  judge_unless_protected(ours, maps_.local_protected_v4, kTrieKeyV4);
  judge_foreign(foreign, maps_.local_protected_v4, kTrieKeyV4);
}

void Writer::ours_v6() {
  const Label foreign = a.label(), esp_or_udp = a.label(), datagram = a.label();
  const Label ours = a.label(), no_discovery = a.label();
  a.store64(r10, kFragment, 0);
  lookup(maps_.local_addresses, kLocalKey);
  a.jeq(r0, 0, foreign);                   // not to an address of ours
  extension_headers(esp_or_udp, foreign);

  a.bind(esp_or_udp);
  a.jeq(r9, IPPROTO_ESP, take_or_pass);
  a.jeq(r9, IPPROTO_AH, take_or_pass);
  a.jeq(r9, IPPROTO_UDP, datagram);
  a.jne(r9, IPPROTO_ICMPV6, foreign);
  need(1, foreign);
  header8(r3, 0);                          // ICMPv6 type
  a.jlt(r3, 133, no_discovery);
  a.jgt(r3, 137, foreign);
  a.jump(pass);                            // 133-137: Neighbour Discovery (RFC 4861 §4)
  a.bind(no_discovery);
  too_big_v6(foreign, ours);
  a.bind(datagram);
  udp(foreign, ours);
  judge_unless_protected(ours, maps_.local_protected_v6, kTrieKeyV6);
  judge_foreign(foreign, maps_.local_protected_v6, kTrieKeyV6);
}

/// Walks to the first header that is no extension header, or behind a fragment's (RFC 8200 §4).
void Writer::extension_headers(Label esp_or_udp, Label foreign) {
  const Label next = a.label(), options = a.label(), fragment = a.label();
  a.store64(r10, kHeadersLeft, kMaxExtensionHeaders);

  a.bind(next);
  a.jeq(r9, IPPROTO_FRAGMENT, fragment);
  a.jeq(r9, IPPROTO_HOPOPTS, options);
  a.jeq(r9, IPPROTO_ROUTING, options);
  a.jne(r9, IPPROTO_DSTOPTS, esp_or_udp);
  a.bind(options);
  need(2, foreign);
  header8(r9, 0);
  header8(r5, 1);                          // length in 8-byte units, without the first
  a.add(r5, 1);
  a.shl(r5, 3);
  a.add(r7, r5);
  const Label walked = a.label();
  a.jump(walked);

  a.bind(fragment);
  need(8, foreign);
  header8(r9, 0);
  header16(r3, 2);
  a.to_host16(r3);                         // offset (13 bits), reserved (2), more (1)
  a.mov(r2, r3);
  a.and_(r2, 1);
  a.shl(r2, 13);
  a.shr(r3, 3);
  a.add(r2, r3);                           // in IPv4's order: more-fragments bit, offset
  a.store64(r10, kFragment, r2);
  a.add(r7, 8);
  a.jne(r3, 0, esp_or_udp);                // no headers follow in a later fragment

  a.bind(walked);
  a.load32(r2, r10, kHeadersLeft);
  a.add(r2, -1);
  a.store64(r10, kHeadersLeft, r2);
  a.jne(r2, 0, next);
}

/// A UDP datagram to an address of ours, or a fragment of one: it may be ESP's, whatever its ports.
void Writer::udp(Label foreign, Label fragment) {
  const Label whole = a.label();
  a.load32(r3, r10, kFragment);
  a.jeq(r3, 0, whole);
  a.and_(r3, kFragmentOffset);
  a.jne(r3, 0, take_or_pass);              // no ports in it: put together with its first one
  need(kUdpHeaderBytes, foreign);
  header16(r3, 2);                         // r3 = destination port
  a.jeq(r3, net16(kIkePort), take_or_pass);
  a.jeq(r3, net16(kNatTraversalPort), take_or_pass);
  a.jump(fragment);
  a.bind(whole);
  need(kUdpHeaderBytes, foreign);
  header16(r3, 2);
  a.jeq(r3, net16(kIkePort), pass);
  a.jne(r3, net16(kNatTraversalPort), foreign);
  header16(r3, 4);
  a.to_host16(r3);                         // r3 = UDP length
  a.jlt(r3, kUdpHeaderBytes + kNonEspMarkerBytes, pass);  // a NAT keepalive (RFC 3948 §2.3)
  need(kUdpHeaderBytes + kNonEspMarkerBytes, pass);
  header32(r3, kUdpHeaderBytes);
  a.jeq(r3, 0, pass);                      // the non-ESP marker: IKE (RFC 3948 §2.2)
  a.jump(take_or_pass);
}

/// ICMP "fragmentation needed" (RFC 1191 §4) about ESP, AH or UDP of ours: the path of an SA.
void Writer::too_big_v4(Label foreign, Label ours) {
  a.load32(r3, r10, kFragment);
  a.jne(r3, 0, foreign);
  need(kIcmpHeaderBytes + 20, foreign);
  header16(r3, 0);
  a.jne(r3, net16(0x0304), foreign);       // type 3, code 4
  header8(r3, kIcmpHeaderBytes + 9);       // r3 = the quoted packet's protocol
  a.jeq(r3, IPPROTO_ESP, ours);
  a.jeq(r3, IPPROTO_AH, ours);
  a.jne(r3, IPPROTO_UDP, foreign);
  header8(r5, kIcmpHeaderBytes);           // we send no IP options
  a.jne(r5, 0x45, foreign);
  a.add(r7, kIcmpHeaderBytes + 20);
  quoted_udp(foreign, ours);
}

/// ICMPv6 "packet too big" (RFC 4443 §3.2), likewise. Behind a Fragment header of ours the pipeline
/// looks for itself.
void Writer::too_big_v6(Label foreign, Label ours) {
  a.load32(r3, r10, kFragment);
  a.jne(r3, 0, foreign);
  need(kIcmpHeaderBytes + 40, foreign);
  header8(r3, 0);
  a.jne(r3, 2, foreign);
  header8(r3, kIcmpHeaderBytes + 6);       // r3 = the quoted packet's next header
  a.jeq(r3, IPPROTO_ESP, ours);
  a.jeq(r3, IPPROTO_AH, ours);
  a.jeq(r3, IPPROTO_FRAGMENT, ours);
  a.jne(r3, IPPROTO_UDP, foreign);
  a.add(r7, kIcmpHeaderBytes + 40);
  quoted_udp(foreign, ours);
}

/// We were the sender: our port is the source.
void Writer::quoted_udp(Label foreign, Label ours) {
  need(kUdpHeaderBytes, foreign);
  header16(r3, 0);
  a.jeq(r3, net16(kNatTraversalPort), ours);
  a.jump(foreign);
}

void Writer::verdicts() {
  if (hook_ == Hook::kXdp) {
    const Label redirect = a.label();
    a.bind(take_or_drop);
    a.mov(r3, XDP_DROP);
    if (role_ == Role::kWan) {             // the verifier refuses what nothing leads to
      a.jump(redirect);
      a.bind(take_or_pass);
      a.mov(r3, XDP_PASS);
    }
    a.bind(redirect);
    a.load_map(r1, sockets_);
    a.load32(r2, r6, offsetof(xdp_md, rx_queue_index));
    a.call(BPF_FUNC_redirect_map);         // (map, key, result where there is no socket)
    a.exit();
  } else {
    a.bind(take_or_drop);
    a.bind(take_or_pass);
    a.mov(r0, static_cast<int32_t>(Classifier::taken(hook_)));
    a.exit();
  }
  a.bind(pass);
  a.mov(r0, static_cast<int32_t>(Classifier::left(hook_)));
  a.exit();
}

bpf_prog_type program_type(Hook hook) {
  switch (hook) {
    case Hook::kXdp: return BPF_PROG_TYPE_XDP;
    case Hook::kTcxIngress: return BPF_PROG_TYPE_SCHED_CLS;
    case Hook::kSocketFilter: return BPF_PROG_TYPE_SOCKET_FILTER;
  }
  __builtin_unreachable();
}

}  // namespace

std::vector<bpf_insn> classifier_program(Hook hook, Role role, const SelectionMaps& maps,
                                         const Map& mac, const Map& sockets) {
  return Writer(hook, role, maps, mac, sockets).write();
}

Classifier::Classifier(Hook hook, Role role, const SelectionMaps& maps, const MacAddress& mac,
                       uint32_t queues)
    : mac_(BPF_MAP_TYPE_ARRAY, "esplane_mac", sizeof(uint32_t), 8, 1) {
  set_mac(mac);
  if (hook == Hook::kXdp) {
    sockets_ = Map(BPF_MAP_TYPE_XSKMAP, "esplane_sockets", sizeof(uint32_t), sizeof(uint32_t),
                   queues);
  }
  program_ = Program(program_type(hook), role == Role::kWan ? "esplane_wan" : "esplane_lan",
                     classifier_program(hook, role, maps, mac_, sockets_));
}

void Classifier::set_mac(const MacAddress& mac) const {
  const uint32_t key = 0;
  uint8_t value[8] = {};
  std::memcpy(value, mac.data(), mac.size());
  mac_.update(&key, value);
}

void Classifier::set_socket(uint32_t queue, int fd) const { sockets_.update(&queue, &fd); }

void Classifier::clear_socket(uint32_t queue) const { sockets_.erase(&queue); }

uint32_t Classifier::taken(Hook hook) {
  switch (hook) {
    case Hook::kXdp: return XDP_REDIRECT;
    case Hook::kTcxIngress: return kTcDrop;
    case Hook::kSocketFilter: return kWholeFrame;
  }
  __builtin_unreachable();
}

uint32_t Classifier::left(Hook hook) {
  switch (hook) {
    case Hook::kXdp: return XDP_PASS;
    case Hook::kTcxIngress: return static_cast<uint32_t>(kTcxNext);
    case Hook::kSocketFilter: return 0;
  }
  __builtin_unreachable();
}

}  // namespace esplane::port::xdp
