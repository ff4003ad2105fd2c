// Fragments on their way through the stages.
//
// In (RFC 4301 §7, RFC 4303 §3.4.1): fragments to an address of ours that may be ESP, AH or ESP in
// UDP are put together before anything else looks at them. Later fragments of UDP show no ports, so
// those of IKE are put together as well, and go to the kernel whole. A datagram that fits a frame
// goes on in the place of its last fragment; a longer one in the worker's LargeBuffer.
//
// Out (RFC 4301 §7): gather() puts together what policy cannot judge in pieces; what does not fit
// its path is cut before ESP or behind it.
//
// Order is kept: what arrived before the datagram's last fragment is worked on before it.
#include <algorithm>

#include "packet/checksum.h"
#include "pipeline/stages.h"

namespace esplane::pipeline {

using net::NextHop;
using packet::Verdict;
using State = net::Reassembler::State;

namespace {

/// Where a reassembled packet begins in its frame: enough for every header that may still be put
/// before it, less than what received ones leave, since it is longer than they are.
constexpr uint32_t kReassembledHeadroom = 128;
/// What ESP puts behind a packet at most, but for TFC padding.
constexpr uint32_t kSealTailroom = 64;

bool may_be_ours(const packet::IpHeader& header) {
  return header.protocol == packet::kEsp || header.protocol == packet::kAh ||
         header.protocol == packet::kUdp;
}

}  // namespace

bool Stages::is_outer_fragment(const packet::IpHeader& header) const {
  return header.is_fragment() && may_be_ours(header) &&
         core_.networks->is_local(header.destination);
}

/// finish_inbound() where there are fragments. Packets of our SAs are opened already.
void Stages::finish_with_fragments(Burst& burst) {
  uint64_t without = 0;
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (burst.pending(i) && burst.batch.inbound[i] == nullptr) without |= uint64_t{1} << i;
  }
  finish_esp(burst);
  whole_.restart(burst, burst.batch.chunk_bytes);
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    if (without >> i & 1) {
      if (is_outer_fragment(burst.headers[i])) {
        const uint32_t large_bytes = put_together(core_.outer_fragments, burst, i, 0);
        if (large_bytes > 0) {
          deliver(whole_);
          whole_.restart(burst, burst.batch.chunk_bytes);
          inbound_large(burst, large_bytes);
        }
        if (!burst.pending(i)) continue;
        single_.restart(burst, burst.batch.chunk_bytes);
        single_.append(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
        burst.gone(i);
        open_alone(single_);
        if (single_.pending(0))
          whole_.append(single_.batch.data[0], single_.batch.length[0], single_.headers[0]);
        else
          core_.finish(single_);
        continue;
      }
      without_sa(burst, i);
      if (!burst.pending(i)) continue;
    }
    whole_.append(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
    burst.gone(i);
  }
  deliver(whole_);
  core_.finish(burst);
}

/// Gives fragment i to a reassembler. Afterwards it is gone, refused, or the whole datagram where
/// that fits a frame.
/// @param tailroom  bytes to stay free behind it
/// @return length of a datagram that fits none: it is in core_.large
uint32_t Stages::put_together(net::Reassembler& reassembler, Burst& burst, uint32_t i,
                              uint32_t tailroom) {
  auto& batch = burst.batch;
  const auto result = reassembler.add(batch.data[i], burst.headers[i], core_.now_ms);
  core_.counters->count(Verdict::kFragmentEvicted, result.evicted);
  switch (result.state) {
    case State::kRefused:
      core_.counters->count(result.verdict, result.others);
      burst.refuse(i, result.verdict);
      return 0;
    case State::kHeld:
      core_.egress.release(batch.data[i]);
      burst.gone(i);
      return 0;
    case State::kComplete:
      break;
  }
  core_.counters->count(Verdict::kFragmentReassembled, result.others);
  if (result.bytes > batch.chunk_bytes - kReassembledHeadroom - tailroom) {
    reassembler.take(core_.large.packet());
    core_.egress.release(batch.data[i]);
    burst.gone(i);
    return result.bytes;
  }
  batch.data[i] = batch.frame(i) + kReassembledHeadroom;
  batch.length[i] = result.bytes;
  reassembler.take(batch.data[i]);
  read_whole(burst, i);
  return 0;
}

/// Reads the headers of a datagram that was put together. One in fragments again is nobody's.
void Stages::read_whole(Burst& burst, uint32_t i) {
  auto& header = burst.headers[i];
  auto verdict = packet::parse_ip(burst.batch.data[i], burst.batch.length[i], header);
  if (verdict == Verdict::kPending && header.is_fragment()) verdict = Verdict::kFragmentInvalid;
  if (verdict != Verdict::kPending) burst.refuse(i, verdict);
}

/// All of inbound processing, but delivery, for a burst of one.
void Stages::open_alone(Burst& one) {
  open(core_.shared, one);
  if (one.pending(0) && one.batch.inbound[0] == nullptr) return without_sa(one, 0);
  finish_esp(one);
}

/// The datagram in core_.large, which came in with `like`.
void Stages::inbound_large(const Burst& like, uint32_t bytes) {
  large_.restart(like, LargeBuffer::kBytes);
  large_.append(core_.large.packet(), bytes);
  read_whole(large_, 0);
  open_alone(large_);
  deliver_large(large_);
}

/// A packet that is longer than any port sends at once.
void Stages::deliver_large(Burst& burst) {
  if (!burst.pending(0)) return core_.finish(burst);
  const auto& header = burst.headers[0];
  if (!is_forwardable(header.destination)) {
    burst.refuse(0, Verdict::kNotForwardable);
    return core_.finish(burst);
  }
  const auto* entry = core_.next_hop(header.destination);
  const bool known = entry != nullptr && entry->answered;
  const auto kind = known ? entry->hop.kind : NextHop::Kind::kForward;
  if (kind == NextHop::Kind::kLocal) {
    hand_to_kernel(burst, 0);
  } else if (kind == NextHop::Kind::kElsewhere ||
             (known && kind == NextHop::Kind::kForward &&
              core_.shared.roles[entry->hop.port] != port::Role::kLan)) {
    return outbound(burst);
  } else if (kind != NextHop::Kind::kForward) {
    burst.refuse(0, kind == NextHop::Kind::kUnresolved ? Verdict::kNeighbourUnresolved
                                                       : Verdict::kNoRoute);
  } else if (may_be_cut(header)) {
    // Into pieces that frames hold; they may wait for their next hop, and may be cut again there.
    split_.restart(burst, core_.shared.chunk_bytes);
    split_.origin = Origin::kPiece;
    const uint32_t mtu = std::min(kUsualMtu, most_in_frame());
    if (cut(burst, 0, mtu, [&](uint8_t* data, uint32_t n) { split_.append(data, n); })) {
      core_.read_again(split_);
      deliver(split_);
    }
  } else if (known) {
    answer_with_error(burst, 0, Verdict::kTooBig,
                      {.kind = net::IcmpError::Kind::kTooBig, .mtu_bytes = entry->hop.mtu_bytes},
                      entry->hop);
  } else {
    burst.refuse(0, Verdict::kTooBig);  // the next one will be told how big it may be
  }
  core_.finish(burst);
}

// --- outbound ------------------------------------------------------------------------------

/// Outbound processing of a burst with fragments. All fragments of a datagram share the fate of its
/// first one, which alone shows ports (RFC 4301 §7.3 leaves the method open). Where ports decide,
/// they are put together, and policy sees the datagram: so it does not matter which comes first,
/// and an SA with ports carries no fragments, which it must not (§7.3) as long as
/// NON_FIRST_FRAGMENTS_ALSO is not negotiated. All others pass as they are.
void Stages::gather(Burst& burst) {
  gathered_.restart(burst, burst.batch.chunk_bytes);
  for (uint32_t i = 0; i < burst.batch.size; i++) {
    if (!burst.pending(i)) continue;
    const bool whole = burst.origin == Origin::kReceived && burst.headers[i].is_fragment() &&
                       wants_whole(burst, i);
    if (whole) {
      const uint32_t large_bytes = put_together(core_.inner_fragments, burst, i, kSealTailroom);
      if (large_bytes > 0) {
        outbound_whole(gathered_);
        gathered_.restart(burst, burst.batch.chunk_bytes);
        outbound_large(burst, large_bytes);
      }
      if (!burst.pending(i)) continue;
      gathered_.reassembled |= uint64_t{1} << gathered_.batch.size;
    }
    gathered_.append(burst.batch.data[i], burst.batch.length[i], burst.headers[i]);
    burst.gone(i);
  }
  outbound_whole(gathered_);
  core_.finish(burst);
}

/// What the host itself sends is put together anyway: transport mode is for whole datagrams
/// (RFC 4303 §3.1.1).
bool Stages::wants_whole(const Burst& burst, uint32_t i) const {
  const auto& [port, scope, from_host] = burst.from;
  return (from_host && scope == spd::kHostScope) ||
         core_.shared.spd.ports_decide(burst.headers[i], scope);
}

void Stages::outbound_large(const Burst& like, uint32_t bytes) {
  large_.restart(like, LargeBuffer::kBytes);
  large_.append(core_.large.packet(), bytes);
  large_.reassembled = 1;
  read_whole(large_, 0);
  outbound_whole(large_);
}

/// The rest of outbound processing of a burst in which some are to be cut before ESP (`burst.cut`).
/// Order is kept: pieces take the place of their packet.
void Stages::seal_in_pieces(Burst& burst) {
  auto& batch = burst.batch;
  const uint64_t marked = burst.cut;
  pieces_.restart(burst, core_.shared.chunk_bytes);
  const auto add = [&](Origin origin, uint8_t* data, uint32_t bytes, uint32_t i) {
    if (pieces_.origin != origin || pieces_.batch.size == packet::Batch::kCapacity) seal_pieces();
    pieces_.origin = origin;
    const uint32_t n = pieces_.batch.size;
    pieces_.append(data, bytes);
    read_piece(n);
    pieces_.batch.outbound[n] = batch.outbound[i];
    pieces_.path[n] = burst.path[i];
  };
  for (uint32_t i = 0; i < batch.size; i++) {
    if (!burst.pending(i)) continue;
    if ((marked >> i & 1) == 0) {
      add(burst.origin, batch.data[i], batch.length[i], i);
      burst.gone(i);
      continue;
    }
    packet::complete_checksum(batch.data[i], burst.headers[i]);
    const uint32_t most = std::min(
        largest_inner_bytes(burst, i), most_in_frame());
    cut(burst, i, most, [&](uint8_t* data, uint32_t bytes) { add(Origin::kPiece, data, bytes, i); });
  }
  seal_pieces();
  core_.finish(burst);
}

void Stages::read_piece(uint32_t n) {
  pieces_.batch.verdict[n] =
      packet::parse_ip(pieces_.batch.data[n], pieces_.batch.length[n], pieces_.headers[n]);
}

void Stages::seal_pieces() {
  prepare_seal(pieces_);
  pieces_.sealing.seal();
  finish_outbound(pieces_);
}

/// Fragments what ESP made: IPv4, or IPv6 that we are the source of. The receiver puts it together
/// before it opens it (RFC 4303 §3.3.4).
void Stages::send_sealed_in_pieces(Burst& burst, uint32_t i) {
  auto content = Egress::Content::kEsp;
  const auto path = burst.path[i];
  cut(burst, i, std::min(path.mtu_bytes, most_in_frame()), [&](uint8_t* data, uint32_t bytes) {
    core_.egress.forward(data, bytes, path, content, Origin::kPiece);
    content = Egress::Content::kEspRest;
  });
}

bool Stages::may_be_cut(const packet::IpHeader& header) {
  return header.family == packet::Family::kV4 && !header.dont_fragment;
}

uint32_t Stages::most_in_frame() const {
  return core_.shared.chunk_bytes - port::FramePool::kHeadroom;
}

}  // namespace esplane::pipeline
