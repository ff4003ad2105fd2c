// What the classifiers take and leave, run in the kernel by BPF_PROG_TEST_RUN: a table of frames,
// every truncation of them, and a plain model of the rules on mutated frames.
#include "port/xdp/classifier.h"

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "test/port/frames.h"
#include "test/port/lab.h"

using namespace esplane::test;
using namespace esplane::port::xdp;
using esplane::port::Fd;
using esplane::port::Prefix;
using esplane::port::Role;

namespace {

/// What becomes of a frame.
enum class Fate { kKernel, kOurs, kOursOrNobodys };  // the last: never the kernel's

doctest::String toString(Fate fate) {
  switch (fate) {
    case Fate::kKernel: return "the kernel's";
    case Fate::kOurs: return "ours";
    case Fate::kOursOrNobodys: return "ours or nobody's";
  }
  return "?";
}

std::vector<Prefix> prefixes(std::initializer_list<const char*> texts) {
  std::vector<Prefix> list;
  for (const char* text : texts) list.push_back(Prefix::parse(text));
  return list;
}

// The gateway: 192.0.2.1 and 2001:db8:1::1 on the WAN, 10.1.0.1 and fd01::1 on the LAN, which are
// in the networks behind it; fe80::1 on both.
const auto kOurAddresses =
    prefixes({"192.0.2.1", "2001:db8:1::1", "10.1.0.1", "fd01::1", "fe80::1"});
const auto kBehindUs = prefixes({"10.1.0.0/16", "fd01::/48"});
const auto kBehindPeers = prefixes({"10.2.0.0/16", "10.3.3.3", "fd02::/48", "fd03::3"});

constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kEsp = 50, kAh = 51, kIcmp6 = 58;
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kDestination = 60;
constexpr const char *kUs4 = "192.0.2.1", *kUs6 = "2001:db8:1::1";

/// An options-like extension header of 8 * (1 + more) bytes.
Bytes extension(uint8_t next, uint8_t more = 0) {
  return Bytes{next, more} + Bytes(6u + 8u * more, 0);
}
Bytes fragment(uint8_t next, uint32_t offset_and_more) {
  return Bytes{next, 0} + be16(offset_and_more) + Bytes{1, 2, 3, 4};
}

struct Case {
  std::string name;
  Role role;
  Bytes frame;
  Fate fate;
};

Bytes v4(uint8_t protocol, const char* to, const Bytes& payload, const Ipv4Options& o = {}) {
  return ethernet(0x0800, ipv4(protocol, to, payload, o));
}
Bytes v6(uint8_t next, const char* to, const Bytes& payload) {
  return ethernet(0x86dd, ipv6(next, to, payload));
}

constexpr Role kWan = Role::kWan, kLan = Role::kLan;
const Bytes kIke = Bytes{0, 0, 0, 0} + Bytes(28, 0x11);

/// What an ICMP error quotes of a packet of ours, and the errors that are ours to read.
Bytes quote4(uint8_t protocol, const Bytes& payload) {
  return ipv4(protocol, "192.0.2.9", payload, {.source = kUs4});
}
Bytes quote6(uint8_t next, const Bytes& payload) { return ipv6(next, "2001:db8::9", payload); }
Bytes from_port(uint32_t port) { return be16(port) + be16(1024) + be16(40) + Bytes(34, 0); }
Bytes needed(const Bytes& quote) { return Bytes{3, 4, 0, 0, 0, 0, 0x05, 0x78} + quote; }
const Bytes kTooBig{2, 0, 0, 0, 0, 0, 0x05, 0x78};

const Case kCases[] = {
    // Raw ESP and AH
    {"ESP to us", kWan, v4(kEsp, kUs4, esp()), Fate::kOurs},
    {"ESP to another", kWan, v4(kEsp, "192.0.2.7", esp()), Fate::kKernel},
    {"ESP to us on a LAN port", kLan, v4(kEsp, kUs4, esp()), Fate::kKernel},
    {"AH to us", kWan, v4(kAh, kUs4, esp()), Fate::kOurs},
    {"ESP with IP options", kWan, v4(kEsp, kUs4, esp(), {.options = Bytes(12, 1)}), Fate::kOurs},
    {"ESP to us over IPv6", kWan, v6(kEsp, kUs6, esp()), Fate::kOurs},
    {"AH to us over IPv6", kWan, v6(kAh, kUs6, esp()), Fate::kOurs},
    {"ESP to another over IPv6", kWan, v6(kEsp, "2001:db8:1::2", esp()), Fate::kKernel},
    {"first fragment of ESP", kWan, v4(kEsp, kUs4, esp(), {.flags_and_offset = 0x2000}),
     Fate::kOurs},
    {"later fragment of ESP", kWan, v4(kEsp, kUs4, esp(), {.flags_and_offset = 0x00b9}),
     Fate::kOurs},
    {"later fragment of AH", kWan, v4(kAh, kUs4, esp(), {.flags_and_offset = 0x00b9}), Fate::kOurs},
    // UDP encapsulation (RFC 3948)
    {"ESP in UDP", kWan, v4(kUdp, kUs4, udp(4500, esp())), Fate::kOurs},
    {"ESP in UDP to another", kWan, v4(kUdp, "192.0.2.7", udp(4500, esp())), Fate::kKernel},
    {"ESP in UDP with IP options", kWan,
     v4(kUdp, kUs4, udp(4500, esp()), {.options = Bytes(40, 1)}), Fate::kOurs},
    {"ESP in UDP with Don't Fragment", kWan,
     v4(kUdp, kUs4, udp(4500, esp()), {.flags_and_offset = 0x4000}), Fate::kOurs},
    {"ESP in UDP over IPv6", kWan, v6(kUdp, kUs6, udp(4500, esp())), Fate::kOurs},
    {"IKE on port 4500", kWan, v4(kUdp, kUs4, udp(4500, kIke)), Fate::kKernel},
    {"IKE on port 4500 over IPv6", kWan, v6(kUdp, kUs6, udp(4500, kIke)), Fate::kKernel},
    {"NAT keepalive", kWan, v4(kUdp, kUs4, udp(4500, {0xff})), Fate::kKernel},
    {"NAT keepalive padded to 60 bytes", kWan, v4(kUdp, kUs4, udp(4500, {0xff})) + Bytes(17, 0),
     Fate::kKernel},
    {"empty datagram on port 4500", kWan, v4(kUdp, kUs4, udp(4500, {})), Fate::kKernel},
    {"four bytes on port 4500", kWan, v4(kUdp, kUs4, udp(4500, {1, 2, 3, 4})), Fate::kOurs},
    {"UDP length beyond the frame", kWan,
     v4(kUdp, kUs4, Bytes{0x11, 0x94, 0x11, 0x94, 0, 99, 0, 0, 1, 2}), Fate::kKernel},
    {"IKE on port 500", kWan, v4(kUdp, kUs4, udp(500, kIke)), Fate::kKernel},
    {"first fragment of ESP in UDP", kWan,
     v4(kUdp, kUs4, udp(4500, esp()), {.flags_and_offset = 0x2000}), Fate::kOurs},
    {"first fragment of IKE", kWan, v4(kUdp, kUs4, udp(500, kIke), {.flags_and_offset = 0x2000}),
     Fate::kOurs},
    {"first fragment of DNS", kWan, v4(kUdp, kUs4, udp(53, esp()), {.flags_and_offset = 0x2000}),
     Fate::kOurs},
    {"later fragment of UDP", kWan, v4(kUdp, kUs4, udp(4500, esp()), {.flags_and_offset = 0x00b9}),
     Fate::kOurs},
    {"last fragment of UDP", kWan, v4(kUdp, kUs4, {1, 2, 3}, {.flags_and_offset = 0x00b9}),
     Fate::kOurs},
    {"later fragment of UDP to another", kWan,
     v4(kUdp, "192.0.2.7", udp(4500, esp()), {.flags_and_offset = 0x00b9}), Fate::kKernel},
    {"later fragment of TCP", kWan, v4(kTcp, kUs4, esp(), {.flags_and_offset = 0x00b9}),
     Fate::kKernel},
    {"later fragment of UDP on a LAN port", kLan,
     v4(kUdp, kUs4, udp(4500, esp()), {.flags_and_offset = 0x00b9}), Fate::kKernel},
    // ICMP about the path of an SA (RFC 4301 §8.2)
    {"fragmentation needed about ESP", kWan, v4(kIcmp, kUs4, needed(quote4(kEsp, esp()))),
     Fate::kOurs},
    {"fragmentation needed about AH", kWan, v4(kIcmp, kUs4, needed(quote4(kAh, esp()))),
     Fate::kOurs},
    {"fragmentation needed about UDP 4500", kWan,
     v4(kIcmp, kUs4, needed(quote4(kUdp, from_port(4500)))), Fate::kOurs},
    {"fragmentation needed about UDP 500", kWan,
     v4(kIcmp, kUs4, needed(quote4(kUdp, from_port(500)))), Fate::kKernel},
    {"fragmentation needed about UDP to 4500", kWan,
     v4(kIcmp, kUs4, needed(quote4(kUdp, udp(4500, esp())))), Fate::kKernel},
    {"fragmentation needed about TCP", kWan, v4(kIcmp, kUs4, needed(quote4(kTcp, esp()))),
     Fate::kKernel},
    {"port unreachable about UDP 4500", kWan,
     v4(kIcmp, kUs4, Bytes{3, 3, 0, 0, 0, 0, 0, 0} + quote4(kUdp, from_port(4500))),
     Fate::kKernel},
    {"time exceeded about ESP", kWan,
     v4(kIcmp, kUs4, Bytes{11, 4, 0, 0, 0, 0, 0, 0} + quote4(kEsp, esp())), Fate::kKernel},
    {"fragmentation needed in a fragment", kWan,
     v4(kIcmp, kUs4, needed(quote4(kEsp, esp())), {.flags_and_offset = 0x2000}), Fate::kKernel},
    {"fragmentation needed to another", kWan,
     v4(kIcmp, "192.0.2.7", needed(quote4(kEsp, esp()))), Fate::kKernel},
    {"fragmentation needed to behind us", kWan,
     v4(kIcmp, "10.1.7.7", needed(quote4(kEsp, esp()))), Fate::kOursOrNobodys},
    {"fragmentation needed to our LAN address", kWan,
     v4(kIcmp, "10.1.0.1", needed(quote4(kEsp, esp()))), Fate::kOursOrNobodys},
    {"packet too big about ESP", kWan, v6(kIcmp6, kUs6, kTooBig + quote6(kEsp, esp())),
     Fate::kOurs},
    {"packet too big about AH", kWan, v6(kIcmp6, kUs6, kTooBig + quote6(kAh, esp())), Fate::kOurs},
    {"packet too big about UDP 4500", kWan,
     v6(kIcmp6, kUs6, kTooBig + quote6(kUdp, from_port(4500))), Fate::kOurs},
    {"packet too big about a fragment", kWan,
     v6(kIcmp6, kUs6, kTooBig + quote6(kFragmentHeader, fragment(kEsp, 1) + esp())), Fate::kOurs},
    {"packet too big about UDP 500", kWan,
     v6(kIcmp6, kUs6, kTooBig + quote6(kUdp, from_port(500))), Fate::kKernel},
    {"packet too big about TCP", kWan, v6(kIcmp6, kUs6, kTooBig + quote6(kTcp, esp())),
     Fate::kKernel},
    {"packet too big behind options", kWan,
     v6(kHopByHop, kUs6, extension(kIcmp6) + kTooBig + quote6(kEsp, esp())), Fate::kOurs},
    {"packet too big to our LAN address", kWan,
     v6(kIcmp6, "fd01::1", kTooBig + quote6(kEsp, esp())), Fate::kOursOrNobodys},
    // The host's own traffic
    {"SSH to us", kWan, v4(kTcp, kUs4, esp()), Fate::kKernel},
    {"ICMP to us", kWan, v4(kIcmp, kUs4, esp()), Fate::kKernel},
    {"other UDP to us", kWan, v4(kUdp, kUs4, udp(53, esp())), Fate::kKernel},
    {"transit to elsewhere", kWan, v4(kTcp, "203.0.113.5", esp()), Fate::kKernel},
    {"ARP to us", kWan, ethernet(0x0806, Bytes(28, 1)), Fate::kKernel},
    {"ARP on a LAN port", kLan, ethernet(0x0806, Bytes(28, 1)), Fate::kKernel},
    {"unknown ethertype", kWan, ethernet(0x88b5, Bytes(40, 1)), Fate::kKernel},
    {"LLC frame", kLan, ethernet(0x0026, Bytes(38, 0x42)), Fate::kKernel},
    // Networks behind us, from outside: judged by the SPD, never routed by the kernel
    {"clear text to a network behind us", kWan, v4(kTcp, "10.1.7.7", esp()), Fate::kOursOrNobodys},
    {"clear text with IPv6", kWan, v6(kTcp, "fd01::7", esp()), Fate::kOursOrNobodys},
    {"UDP to a network behind us", kWan, v4(kUdp, "10.1.7.7", udp(500, kIke)),
     Fate::kOursOrNobodys},
    {"fragment to a network behind us", kWan,
     v4(kUdp, "10.1.7.7", udp(53, esp()), {.flags_and_offset = 0x00b9}), Fate::kOursOrNobodys},
    {"ICMP to a network behind us", kWan, v4(kIcmp, "10.1.7.7", esp()), Fate::kOursOrNobodys},
    {"ESP to a network behind us", kWan, v4(kEsp, "10.1.7.7", esp()), Fate::kOursOrNobodys},
    {"IPv6 in IPv6 to behind us", kWan, v6(41, "fd01::7", esp()), Fate::kOursOrNobodys},
    {"unknown header to behind us", kWan, v6(253, "fd01::7", esp()), Fate::kOursOrNobodys},
    {"Neighbour Discovery type to behind us", kWan, v6(kIcmp6, "fd01::7", {135, 0, 0, 0}),
     Fate::kOursOrNobodys},
    {"SSH to our LAN address", kWan, v4(kTcp, "10.1.0.1", esp()), Fate::kOursOrNobodys},
    {"SSH to our LAN address over IPv6", kWan, v6(kTcp, "fd01::1", esp()), Fate::kOursOrNobodys},
    {"ESP to our LAN address", kWan, v4(kEsp, "10.1.0.1", esp()), Fate::kOurs},
    {"IKE to our LAN address", kWan, v4(kUdp, "10.1.0.1", udp(500, kIke)), Fate::kKernel},
    {"first fragment of DNS to our LAN address", kWan,
     v4(kUdp, "10.1.0.1", udp(53, esp()), {.flags_and_offset = 0x2000}), Fate::kOursOrNobodys},
    {"neighbour advertisement to our LAN address", kWan, v6(kIcmp6, "fd01::1", {136, 0, 0, 0}),
     Fate::kKernel},
    {"network behind a peer on a WAN port", kWan, v4(kTcp, "10.2.7.7", esp()), Fate::kKernel},
    // Networks behind peers, from inside
    {"to behind a peer", kLan, v4(kTcp, "10.2.7.7", esp()), Fate::kOursOrNobodys},
    {"to behind a peer over IPv6", kLan, v6(kTcp, "fd02::7", esp()), Fate::kOursOrNobodys},
    {"to a single protected host", kLan, v4(kTcp, "10.3.3.3", esp()), Fate::kOursOrNobodys},
    {"to its neighbour", kLan, v4(kTcp, "10.3.3.4", esp()), Fate::kKernel},
    {"to a single protected host over IPv6", kLan, v6(kTcp, "fd03::3", esp()),
     Fate::kOursOrNobodys},
    {"to its neighbour over IPv6", kLan, v6(kTcp, "fd03::4", esp()), Fate::kKernel},
    {"fragment to behind a peer", kLan, v4(kUdp, "10.2.7.7", esp(), {.flags_and_offset = 0x00b9}),
     Fate::kOursOrNobodys},
    {"IKE through us to behind a peer", kLan, v4(kUdp, "10.2.7.7", udp(500, kIke)),
     Fate::kOursOrNobodys},
    {"to elsewhere", kLan, v4(kTcp, "203.0.113.5", esp()), Fate::kKernel},
    {"to us from the LAN", kLan, v4(kTcp, "10.1.0.1", esp()), Fate::kKernel},
    {"to us from the LAN over IPv6", kLan, v6(kTcp, "fd01::1", esp()), Fate::kKernel},
    {"solicitation to us from the LAN", kLan, v6(kIcmp6, "fd01::1", {135, 0, 0, 0}), Fate::kKernel},
    {"to a link-local address", kLan, v6(kTcp, "fe80::7", esp()), Fate::kKernel},
    // Ethernet addresses and VLAN tags
    {"broadcast", kLan,
     ethernet(0x0800, ipv4(kUdp, "10.2.7.7", udp(67, esp())), {255, 255, 255, 255, 255, 255}),
     Fate::kKernel},
    {"group address", kLan,
     ethernet(0x0800, ipv4(kUdp, "239.1.1.1", udp(67, esp())), {0x01, 0, 0x5e, 1, 1, 1}),
     Fate::kKernel},
    {"another's MAC address", kLan, ethernet(0x0800, ipv4(kTcp, "10.2.7.7", esp()), kPeerMac),
     Fate::kKernel},
    {"MAC address off by its last byte", kLan,
     ethernet(0x0800, ipv4(kTcp, "10.2.7.7", esp()), {2, 0, 0, 0, 0, 3}), Fate::kKernel},
    {"of a VLAN", kWan, vlan(0x8100, v4(kEsp, kUs4, esp())), Fate::kKernel},
    {"of a VLAN by a service tag", kWan, vlan(0x88a8, v4(kEsp, kUs4, esp())), Fate::kKernel},
    {"of a VLAN, to behind a peer", kLan, vlan(0x8100, v6(kTcp, "fd02::7", esp())), Fate::kKernel},
    {"with a priority", kWan, vlan(0x8100, v4(kEsp, kUs4, esp()), 0), Fate::kOurs},
    {"with a priority, to behind a peer", kLan, vlan(0x8100, v6(kTcp, "fd02::7", esp()), 0),
     Fate::kOursOrNobodys},
    {"with a priority, by a service tag", kWan, vlan(0x88a8, v4(kEsp, kUs4, esp()), 0),
     Fate::kKernel},
    {"with a priority, of a VLAN", kWan, vlan(0x8100, vlan(0x8100, v4(kEsp, kUs4, esp())), 0),
     Fate::kKernel},
    // IPv6 extension headers (RFC 8200 §4)
    {"ESP behind hop-by-hop options", kWan, v6(kHopByHop, kUs6, extension(kEsp) + esp()),
     Fate::kOurs},
    {"ESP behind long destination options", kWan,
     v6(kDestination, kUs6, extension(kEsp, 5) + esp()), Fate::kOurs},
    {"ESP behind a routing header", kWan, v6(kRouting, kUs6, extension(kEsp, 2) + esp()),
     Fate::kOurs},
    {"ESP behind six extension headers", kWan,
     v6(kHopByHop, kUs6,
        extension(kDestination) + extension(kRouting) + extension(kDestination) +
            extension(kDestination) + extension(kDestination) + extension(kEsp) + esp()),
     Fate::kOurs},
    {"ESP behind seven extension headers", kWan,
     v6(kHopByHop, kUs6,
        extension(kDestination) + extension(kRouting) + extension(kDestination) +
            extension(kDestination) + extension(kDestination) + extension(kDestination) +
            extension(kEsp) + esp()),
     Fate::kKernel},
    {"ESP in UDP behind options", kWan, v6(kHopByHop, kUs6, extension(kUdp, 1) + udp(4500, esp())),
     Fate::kOurs},
    {"IKE behind options", kWan, v6(kHopByHop, kUs6, extension(kUdp) + udp(4500, kIke)),
     Fate::kKernel},
    {"first IPv6 fragment of ESP", kWan, v6(kFragmentHeader, kUs6, fragment(kEsp, 1) + esp()),
     Fate::kOurs},
    {"later IPv6 fragment of ESP", kWan, v6(kFragmentHeader, kUs6, fragment(kEsp, 0x0591) + esp()),
     Fate::kOurs},
    {"atomic fragment of ESP in UDP", kWan,
     v6(kFragmentHeader, kUs6, fragment(kUdp, 0) + udp(4500, esp())), Fate::kOurs},
    {"first IPv6 fragment of IKE", kWan,
     v6(kFragmentHeader, kUs6, fragment(kUdp, 1) + udp(4500, kIke)), Fate::kOurs},
    {"later IPv6 fragment of UDP", kWan,
     v6(kFragmentHeader, kUs6, fragment(kUdp, 0x0590) + udp(4500, esp())), Fate::kOurs},
    {"first IPv6 fragment of DNS to our LAN address", kWan,
     v6(kFragmentHeader, "fd01::1", fragment(kUdp, 1) + udp(53, esp())), Fate::kOursOrNobodys},
    {"later fragment that looks like options and ESP", kWan,
     v6(kFragmentHeader, kUs6, fragment(kDestination, 0x0590) + extension(kEsp) + esp()),
     Fate::kKernel},
    {"options, fragment header, ESP", kWan,
     v6(kHopByHop, kUs6, extension(kFragmentHeader) + fragment(kEsp, 1) + esp()), Fate::kOurs},
    {"extension headers to behind us", kWan, v6(kHopByHop, "fd01::7", extension(kTcp) + esp()),
     Fate::kOursOrNobodys},
    {"extension header beyond the frame", kWan, v6(kHopByHop, kUs6, {kEsp, 255, 0, 0}),
     Fate::kOurs},  // the walk ends on ESP; the pipeline finds the packet too short
    {"neighbour solicitation to us", kWan, v6(kIcmp6, kUs6, {135, 0, 0, 0}), Fate::kKernel},
    {"IPv6 echo to us", kWan, v6(kIcmp6, kUs6, {128, 0, 0, 0}), Fate::kKernel},
    // Malformed
    {"IPv4 ethertype with version 6", kWan, ethernet(0x0800, ipv6(kEsp, kUs6, esp())),
     Fate::kKernel},
    {"IPv6 ethertype with version 4", kWan, ethernet(0x86dd, ipv4(kEsp, kUs4, esp()) + esp()),
     Fate::kKernel},
};

Bytes cut(const Bytes& frame, size_t bytes) {
  return Bytes(frame.begin(), frame.begin() + static_cast<long>(bytes));
}

/// One program of each hook and role, over the gateway's sets.
struct Programs {
  explicit Programs(Selection& selection) {
    selection.set_local_addresses(kOurAddresses);
    selection.set_networks(kBehindUs, kBehindPeers);
    for (Role role : {kLan, kWan}) {
      for (Hook hook : {Hook::kXdp, Hook::kTcxIngress, Hook::kSocketFilter}) {
        list.emplace_back(hook, role, selection.maps(), kOurMac);
      }
    }
    // A socket may stand in an XSKMAP as soon as it has a receive ring.
    socket = Fd{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
    const int entries = 64;
    REQUIRE(setsockopt(socket.get(), SOL_XDP, XDP_RX_RING, &entries, sizeof entries) == 0);
    open_queue();
  }

  Classifier& of(Hook hook, Role role) {
    return list[(role == kWan ? 3u : 0u) + static_cast<size_t>(hook)];
  }
  void open_queue() {
    for (Role role : {kLan, kWan}) of(Hook::kXdp, role).set_socket(0, socket.get());
  }
  void close_queue() {
    for (Role role : {kLan, kWan}) of(Hook::kXdp, role).clear_socket(0);
  }

  uint32_t run(Hook hook, Role role, const Bytes& frame) {
    // The kernel runs socket filters of a test from the network header on: put one more before it.
    const Bytes data = hook == Hook::kSocketFilter ? ethernet(0x88b5, frame) : frame;
    return of(hook, role).program().test_run(data).result;
  }
  bool takes(Hook hook, Role role, const Bytes& frame) {
    const uint32_t result = run(hook, role, frame);
    REQUIRE((result == Classifier::taken(hook) || result == Classifier::left(hook)));
    return result == Classifier::taken(hook);
  }

  /// True if all three programs do as `expected`, as far as the kernel test-runs them: skb programs
  /// it does not with an IP header cut short, which its IP layer drops anyway.
  bool agree(Role role, const Bytes& frame, bool expected) {
    const uint32_t ethertype = static_cast<uint32_t>(frame[12] << 8 | frame[13]);
    const size_t least = ethertype == 0x0800 ? 34 : ethertype == 0x86dd ? 54 : 15;
    bool all = takes(Hook::kXdp, role, frame) == expected &&
               takes(Hook::kSocketFilter, role, frame) == expected;
    if (frame.size() >= least) all = all && takes(Hook::kTcxIngress, role, frame) == expected;
    return all;
  }

  std::vector<Classifier> list;
  Fd socket;
};

/// The rules again, in plain C++ (as classifier.h tells them), for frames that nobody thought of.
class Model {
 public:
  Model(Role role, const Bytes& frame) : role_(role), f_(frame) {}

  Fate fate() {
    if (!has(14) || !std::equal(kOurMac.begin(), kOurMac.end(), f_.begin())) return Fate::kKernel;
    uint32_t ethertype = be(12);
    at_ = 14;
    if (ethertype == 0x8100) {
      if (!has(4) || (be(0) & 0xfff) != 0) return Fate::kKernel;
      ethertype = be(2);
      at_ += 4;
    }
    if (ethertype == 0x0800) return ipv4();
    if (ethertype == 0x86dd) return ipv6();
    return Fate::kKernel;
  }

 private:
  bool has(size_t bytes) const { return at_ + bytes <= f_.size(); }
  uint8_t byte(size_t i) const { return f_[at_ + i]; }
  uint32_t be(size_t i) const { return static_cast<uint32_t>(byte(i) << 8 | byte(i + 1)); }

  static bool in(const std::vector<Prefix>& set, esplane::port::Family family, const uint8_t* a) {
    return std::any_of(set.begin(), set.end(),
                       [&](const Prefix& p) { return p.family == family && p.contains(a); });
  }
  Fate ipv4() {
    if (!has(20) || byte(0) >> 4 != 4 || (byte(0) & 15) < 5 || byte(16) >= 224)
      return Fate::kKernel;
    const uint8_t* to = &f_[at_ + 16];
    const uint8_t protocol = byte(9);
    const bool later = (be(6) & 0x1fff) != 0, first = !later && (be(6) & 0x2000);
    at_ += 4u * (byte(0) & 15);
    return judge(esplane::port::Family::kIpv4, to, protocol, first, later);
  }
  Fate ipv6() {
    if (!has(40) || byte(0) >> 4 != 6) return Fate::kKernel;
    const uint8_t* to = &f_[at_ + 24];
    if (to[0] == 0xff || (to[0] == 0xfe && (to[1] & 0xc0) == 0x80)) return Fate::kKernel;
    uint8_t next = byte(6);
    bool first = false, later = false;
    at_ += 40;
    for (int i = 0; role_ == kWan && i < kMaxExtensionHeaders && !later; i++) {
      if (next == kFragmentHeader) {
        if (!has(8)) return judge(esplane::port::Family::kIpv6, to, 255, first, later);
        next = byte(0);
        later = be(2) >> 3 != 0;
        first = !later && (be(2) & 1);
        at_ += 8;
      } else if (next == kHopByHop || next == kRouting || next == kDestination) {
        if (!has(2)) return judge(esplane::port::Family::kIpv6, to, 255, first, later);
        next = byte(0);
        at_ += 8u * (byte(1) + 1u);
      } else {
        break;
      }
    }
    return judge(esplane::port::Family::kIpv6, to, next, first, later);
  }
  Fate judge(esplane::port::Family family, const uint8_t* to, uint8_t protocol, bool first,
             bool later) {
    const bool ours = in(kOurAddresses, family, to);
    if (role_ == kLan) {
      return !ours && in(kBehindPeers, family, to) ? Fate::kOursOrNobodys : Fate::kKernel;
    }
    if (ours && (protocol == kEsp || protocol == kAh)) return Fate::kOurs;
    if (ours && protocol == kUdp && later) return Fate::kOurs;
    if (ours && protocol == kUdp && first && has(8)) {
      if (be(2) == 500 || be(2) == 4500) return Fate::kOurs;
      return in(kBehindUs, family, to) ? Fate::kOursOrNobodys : Fate::kOurs;
    }
    if (ours && !first && !later && too_big_about_ours(family, protocol))
      return in(kBehindUs, family, to) ? Fate::kOursOrNobodys : Fate::kOurs;
    if (ours && protocol == kUdp && has(8)) {
      if (be(2) == 500) return Fate::kKernel;
      if (be(2) == 4500) {
        const bool esp_in_udp = be(4) >= 12 && has(12) && (be(8) | be(10)) != 0;
        return esp_in_udp ? Fate::kOurs : Fate::kKernel;
      }
    }
    if (ours && family == esplane::port::Family::kIpv6 && protocol == kIcmp6 && has(1) &&
        byte(0) >= 133 && byte(0) <= 137) {
      return Fate::kKernel;
    }
    return in(kBehindUs, family, to) ? Fate::kOursOrNobodys : Fate::kKernel;
  }

  bool too_big_about_ours(esplane::port::Family family, uint8_t protocol) const {
    const bool is_v4 = family == esplane::port::Family::kIpv4;
    const size_t quoted = is_v4 ? 20 : 40;
    if (protocol != (is_v4 ? kIcmp : kIcmp6) || !has(8 + quoted)) return false;
    if (is_v4 ? be(0) != 0x0304 : byte(0) != 2) return false;
    const uint8_t about = byte(8 + (is_v4 ? 9 : 6));
    if (about == kEsp || about == kAh || (!is_v4 && about == kFragmentHeader)) return true;
    if (about != kUdp || (is_v4 && byte(8) != 0x45)) return false;
    return has(8 + quoted + 8) && be(8 + quoted) == 4500;
  }

  Role role_;
  const Bytes& f_;
  size_t at_ = 0;
};

/// Changes some bytes of a frame, mostly in its headers, mostly to values that mean something.
void mutate(Bytes& frame, std::mt19937& random) {
  static const uint8_t kTelling[] = {0, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 60, 0x45, 0x46, 0x60,
                                     0x81, 0x88, 0xff, 10, 0xf4, 0x11, 0x94, 0x01, 0x20, 0x40};
  for (auto changes = 1 + random() % 3; changes > 0; changes--) {
    const size_t at = random() % std::min<size_t>(frame.size(), random() % 4 ? 70 : frame.size());
    frame[at] =
        random() % 4 ? kTelling[random() % sizeof kTelling] : static_cast<uint8_t>(random());
  }
  if (random() % 8 == 0) frame.resize(15 + random() % (frame.size() - 14));
}

}  // namespace

TEST_SUITE("lab") {
  TEST_CASE("classifiers take what is ours and leave everything else to the kernel") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    for (const Case& c : kCases) {
      INFO(c.name);
      CHECK(Model(c.role, c.frame).fate() == c.fate);
      for (Hook hook : {Hook::kXdp, Hook::kTcxIngress, Hook::kSocketFilter}) {
        CAPTURE(static_cast<int>(hook));
        CHECK(programs.takes(hook, c.role, c.frame) == (c.fate != Fate::kKernel));
      }
    }
  }

  TEST_CASE("what must not leave in clear is dropped where its queue has no socket") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    programs.close_queue();
    for (const Case& c : kCases) {
      INFO(c.name);
      const uint32_t expected = c.fate == Fate::kOursOrNobodys ? XDP_DROP : XDP_PASS;
      CHECK(programs.run(Hook::kXdp, c.role, c.frame) == expected);
    }
  }

  TEST_CASE("classifiers agree with the rules on every truncation of every frame") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    for (const Case& c : kCases) {
      for (size_t bytes = 14; bytes < c.frame.size(); bytes++) {
        const Bytes frame = cut(c.frame, bytes);
        INFO(c.name);
        CAPTURE(bytes);
        CHECK(programs.agree(c.role, frame, Model(c.role, frame).fate() != Fate::kKernel));
      }
    }
  }

  TEST_CASE("classifiers agree with the rules on 30,000 mutated frames") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    std::mt19937 random(4303);
    uint32_t taken = 0;
    for (int i = 0; i < 30000; i++) {
      const Case& c = kCases[random() % std::size(kCases)];
      Bytes frame = c.frame;
      mutate(frame, random);
      const Role role = random() % 4 ? c.role : kLan;
      const bool expected = Model(role, frame).fate() != Fate::kKernel;
      taken += expected;
      INFO(c.name);
      CAPTURE(i);
      REQUIRE(programs.agree(role, frame, expected));
    }
    CHECK(taken > 5000);
    CHECK(taken < 25000);
  }

  TEST_CASE("classifiers follow live changes of the sets and of the MAC address") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    const Bytes out = v4(kTcp, "10.2.7.7", esp()), elsewhere = v4(kTcp, "10.9.9.9", esp());
    selection.set_networks(kBehindUs, prefixes({"10.9.0.0/16", "::/0"}));
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, out));  // ::/0 is IPv6 only
    CHECK(programs.takes(Hook::kXdp, kLan, elsewhere));
    CHECK(programs.takes(Hook::kXdp, kLan, v6(kTcp, "2001:db8:77::1", esp())));
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, v6(kTcp, "fe80::7", esp())));
    selection.set_networks({}, {});
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, elsewhere));
    CHECK_FALSE(programs.takes(Hook::kXdp, kWan, v4(kTcp, "10.1.7.7", esp())));

    const Bytes inbound = v4(kEsp, "192.0.2.77", esp());
    CHECK_FALSE(programs.takes(Hook::kXdp, kWan, inbound));
    selection.set_local_addresses(prefixes({"192.0.2.77"}));
    CHECK(programs.takes(Hook::kXdp, kWan, inbound));
    CHECK_FALSE(programs.takes(Hook::kXdp, kWan, v4(kEsp, kUs4, esp())));

    programs.of(Hook::kXdp, kWan).set_mac(kPeerMac);
    CHECK_FALSE(programs.takes(Hook::kXdp, kWan, inbound));
  }

  TEST_CASE("a full set gives way to another that is as full, and comes back") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    const auto full = [](uint8_t first) {
      std::vector<Prefix> all;
      for (uint32_t i = 0; i < Selection::kMaxPrefixes; i++) {
        const std::string rest = "." + std::to_string(i >> 8) + "." + std::to_string(i & 255) + ".0/24";
        all.push_back(Prefix::parse(std::to_string(first) + rest));
      }
      return all;
    };
    const Bytes one = v4(kTcp, "10.200.7.7", esp()), other = v4(kTcp, "11.200.7.7", esp());
    for (const bool first : {true, false, true}) {
      selection.set_networks(kBehindUs, full(first ? 10 : 11));
      CHECK(programs.takes(Hook::kXdp, kLan, one) == first);
      CHECK(programs.takes(Hook::kXdp, kLan, other) != first);
    }
  }

  TEST_CASE("a default route behind the peers takes all that is unicast and not ours") {
    if (!privileged()) return;
    Selection selection;
    Programs programs(selection);
    selection.set_networks(prefixes({"0.0.0.0/0"}), prefixes({"0.0.0.0/0"}));
    CHECK(programs.takes(Hook::kXdp, kLan, v4(kTcp, "203.0.113.5", esp())));
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, v4(kTcp, "10.1.0.1", esp())));
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, v4(kUdp, "239.1.1.1", udp(1, esp()))));
    CHECK_FALSE(programs.takes(Hook::kXdp, kLan, v4(kUdp, "255.255.255.255", udp(67, esp()))));
    CHECK_FALSE(programs.takes(Hook::kXdp, kWan, v4(kUdp, kUs4, udp(500, kIke))));
    CHECK(programs.takes(Hook::kXdp, kWan, v4(kTcp, kUs4, esp())));
  }

  TEST_CASE("a refused program comes with the verifier's words") {
    if (!privileged()) return;
    const bpf_insn no_result[] = {{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    CHECK_THROWS_WITH_AS(Program(BPF_PROG_TYPE_XDP, "wrong", no_result),
                         doctest::Contains("R0 !read_ok"), std::system_error);
  }
}
