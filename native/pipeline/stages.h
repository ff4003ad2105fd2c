// The stages of a worker: what becomes of a burst between rx and tx, in three phases, so that
// workers can share the work on one queue (handover.h).
//
//  begin   in order of arrival, by the worker that owns the queue: outbound policy, paths, sequence
//          numbers and headers
//  work    the heavy part, by any worker, in any order: encryption; for inbound packets all from
//          reading their headers to the inner packets' selectors
//  finish  in order of arrival, by the owner: replay windows, next hops, counters, sending
//
// Outbound (RFC 4301 §5.1): packets from a LAN port -> SPD -> SA -> ESP -> next hop of the peer.
// Inbound (§5.2): packets from a WAN port -> SAD -> ESP -> next hop of the inner destination.
// What is not ours goes back to the kernel, never if its policy is PROTECT. What the host sends into
// an interface is outbound under the SPD of that interface; what comes through its tunnel enters the
// host there, and the host routes it.
#pragma once

#include "base/clock.h"
#include "net/fragmenter.h"
#include "pipeline/core.h"

namespace esplane::pipeline {

class Stages {
 public:
  explicit Stages(Core& core) : core_(core) {}

  /// A burst as a port received it, Ethernet headers first. Every frame is taken over. It stays
  /// where it is until finish().
  void begin(Burst& burst, port::Role role);
  /// @param shared  of the dataplane; what is looked up there stays alive as long as the owner is
  ///                not quiescent since begin()
  static void work(const Shared& shared, Burst& burst);
  void finish(Burst& burst);

  /// Packets that finish() turned around: from one tunnel they go into another. They have to be
  /// taken before the next finish().
  bool turned_any() const { return turned_.batch.size > 0; }
  /// begin() for those.
  void begin_turned(Burst& into);

  /// All phases in a row, ICMP errors included.
  void from_port(Burst& burst, port::Role role);

  // These send outbound packets at once: no burst that was begun before may be unfinished, since
  // within an SA packets leave in the order of their sequence numbers.

  /// Goes on with what waited for an entry that now has an answer.
  void resume(net::NextHopCache::Entry& entry);
  /// Whether there are ICMP errors that the stages made meanwhile; and sends them.
  bool owes_errors() const { return !core_.own.empty(); }
  void send_own();
  /// Dummy packets of the SAs that have been silent for long enough. By one worker.
  void send_dummies();
  /// When to: 0: now; kNoDummies: no SA sends any.
  static constexpr uint32_t kNoDummies = ~uint32_t{0};
  uint32_t until_dummies_ms() const;
  /// Tells of limits of time that were reached without a packet. By one worker.
  void raise_expiries();

 private:
  void finish_turned();

  // masking.cc
  void pad(Burst& burst, uint32_t i);
  uint32_t send_dummies(sad::OutboundSa& sa, uint32_t count);
  uint32_t dummy_bytes(const Burst& burst, uint32_t i);

  /// To the kernel, its L4 checksum complete: the TUN does not say that it is not.
  void hand_to_kernel(Burst& burst, uint32_t i);
  /// Into the host by the gateway's own TUN, or by the interface of a tunnel.
  void hand_to_host(Burst& burst, uint32_t i, spd::Scope scope);

  // outbound.cc: IP packets with headers read.
  void outbound(Burst& burst);
  void begin_gathered(Burst& burst);
  void begin_outbound(Burst& burst);
  void outbound_whole(Burst& burst);
  void prepare_seal(Burst& burst);
  void finish_outbound(Burst& burst);
  void refuse_unforwardable(Burst& burst);
  void consume_chatter(Burst& burst);
  uint64_t find_flows(const Burst& burst, uint32_t set[packet::Batch::kCapacity]) const;
  void apply_policy(Burst& burst);
  void find_paths(Burst& burst);
  uint32_t path_mtu_bytes(sad::OutboundSa& sa, const net::NextHopCache::Entry* entry) const;
  void time_exceeded(Burst& burst, uint32_t i);
  void check_size(Burst& burst, uint32_t i);
  static uint32_t largest_inner_bytes(const Burst& burst, uint32_t i);
  void too_big(Burst& burst, uint32_t i, const sad::OutboundSa& sa);
  void send_sealed(Burst& burst);
  void clamp_mss(uint8_t* ip, const packet::IpHeader& header, const sad::OutboundSa& sa,
                 uint32_t mtu_bytes);
  void raise_acquire(const spd::Policy& policy, spd::Resource resource);
  void raise_near_end(uint32_t inbound_spi);
  void raise_expiry(sad::Lifetime& lifetime, uint32_t inbound_spi, bool inbound);

  // fragments.cc
  void finish_with_fragments(Burst& burst);
  bool is_outer_fragment(const packet::IpHeader& header) const;
  uint32_t put_together(net::Reassembler& reassembler, Burst& burst, uint32_t i,
                        uint32_t tailroom);
  void read_whole(Burst& burst, uint32_t i);
  void open_alone(Burst& one);
  void inbound_large(const Burst& like, uint32_t bytes);
  void deliver_large(Burst& burst);
  void gather(Burst& burst);
  bool wants_whole(const Burst& burst, uint32_t i) const;
  void outbound_large(const Burst& like, uint32_t bytes);
  void seal_in_pieces(Burst& burst);
  void read_piece(uint32_t n);
  void seal_pieces();
  void send_sealed_in_pieces(Burst& burst, uint32_t i);
  /// IPv4 without DF: everyone may fragment it.
  static bool may_be_cut(const packet::IpHeader& header);
  /// Longest IP packet that a frame of ours holds when it is built.
  uint32_t most_in_frame() const;
  /// Cuts packet i into pieces in frames of their own, which `take(data, length)` takes over; it is
  /// kFragmented then. @return false: nothing was made, and packet i is refused
  template <typename Take>
  bool cut(Burst& burst, uint32_t i, uint32_t mtu_bytes, Take take);

  // inbound.cc
  static void work_inbound(const Shared& shared, Burst& burst);
  static void open(const Shared& shared, Burst& burst);
  void finish_inbound(Burst& burst);
  void finish_esp(Burst& burst);
  void without_sa(Burst& burst, uint32_t i);
  bool learn_path_mtu(Burst& burst, uint32_t i);
  void accept_clear(Burst& burst, uint32_t i);
  void clamp_received_mss(uint8_t* ip, const packet::IpHeader& header, const sad::InboundSa& sa);
  void watch_nat_mapping(const Burst& burst, uint32_t i, const sad::InboundSa& sa);
  void raise_unknown_spi(uint32_t spi, const net::IpAddress& source);

  // deliver.cc
  void deliver(Burst& burst);
  bool deliver_one(Burst& burst, uint32_t i);
  void forward_clear(Burst& burst, uint32_t i, const net::NextHop& hop);
  void forward_with_care(Burst& burst, uint32_t i, const net::NextHop& hop);
  void answer_with_error(Burst& burst, uint32_t i, packet::Verdict verdict, net::IcmpError error,
                         const net::NextHop& hop);

  Core& core_;
  Burst turned_;
  Burst resumed_;
  Burst whole_;    ///< a burst again, its fragments put together
  Burst single_;   ///< one datagram that was put together
  Burst large_;    ///< likewise, in the LargeBuffer
  Burst gathered_; ///< an outbound burst again, its fragments put together
  Burst split_;    ///< pieces of the large packet, in clear
  Burst pieces_;   ///< of packets that are cut before ESP
  uint64_t random_ = base::ticks();  ///< lengths of dummies
};

template <typename Take>
bool Stages::cut(Burst& burst, uint32_t i, uint32_t mtu_bytes, Take take) {
  net::Fragmenter fragmenter(burst.batch.data[i], burst.batch.length[i], mtu_bytes,
                             core_.fragment_id++);
  const uint32_t count = fragmenter.left();
  auto& pool = core_.egress.pool();
  if (count == 0 || count > pool.available()) {
    burst.refuse(i, count == 0 ? packet::Verdict::kTooBig : packet::Verdict::kNoFrame);
    return false;
  }
  for (uint32_t n = 0; n < count; n++) {
    uint8_t* data = pool.get() + port::FramePool::kHeadroom;
    const uint32_t bytes = fragmenter.next(data);
    take(data, bytes);
  }
  core_.egress.finish(burst.batch.data[i], packet::Verdict::kFragmented, burst.origin);
  burst.gone(i);
  return true;
}

/// False for destinations that no gateway forwards: multicast, loopback, link-local, unspecified
/// (RFC 1812 §5.3.5 and §5.3.7, RFC 4291 §2.5.2, §2.5.3 and §2.5.6).
inline bool is_forwardable(const net::IpAddress& destination) {
  const uint8_t* a = destination.bytes;
  if (destination.is_v4()) {
    if (a[0] == 0 || a[0] == 127 || a[0] >= 224) return false;
    return !(a[0] == 169 && a[1] == 254);
  }
  if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)) return false;
  return base::load_be64(a) != 0 || base::load_be64(a + 8) > 1;
}

}  // namespace esplane::pipeline
