#include "port/tun/super_frames.h"

#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::port {
namespace {

using base::load_be16;
using base::load_be32;
using base::store_be16;
using namespace packet;

constexpr uint32_t kMostBytes = 65535;  // what the length of IPv4 can say

bool is_v4(const uint8_t* ip) { return ip[0] >> 4 == 4; }

bool same(const uint8_t* a, const uint8_t* b, uint32_t from, uint32_t to) {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

}  // namespace

// --- one segment ---------------------------------------------------------------------------

SuperFrames::Kind SuperFrames::read(uint8_t* ip, uint32_t bytes, Segment& into) {
  if (bytes < kIpv4HeaderBytes) return Kind::kHidden;
  into.ip = ip;
  into.bytes = bytes;
  if (is_v4(ip)) {
    if (ip[kIpv4Protocol] != kTcp) return Kind::kOther;
    constexpr uint8_t kVersionWithoutOptions = 0x45;
    constexpr uint16_t kButDontFragment = static_cast<uint16_t>(~kIpv4DontFragment);
    if (ip[0] != kVersionWithoutOptions || load_be16(ip + kIpv4TotalLength) != bytes ||
        (load_be16(ip + kIpv4Fragment) & kButDontFragment) != 0 || !ipv4_header_holds(ip))
      return Kind::kHidden;
    into.tcp_at = kIpv4HeaderBytes;
  } else {
    if (bytes < kIpv6HeaderBytes) return Kind::kHidden;
    const uint8_t next = ip[kIpv6NextHeader];
    if (next == kUdp || next == kIcmpV6) return Kind::kOther;
    if (next != kTcp || load_be16(ip + kIpv6PayloadLength) + kIpv6HeaderBytes != bytes)
      return Kind::kHidden;
    into.tcp_at = kIpv6HeaderBytes;
  }
  if (bytes < into.tcp_at + kTcpHeaderBytes) return Kind::kHidden;
  into.payload_at = into.tcp_at + 4u * (into.tcp()[kTcpDataOffset] >> 4);
  return into.payload_at < into.tcp_at + kTcpHeaderBytes || into.payload_at > bytes
             ? Kind::kHidden
             : Kind::kSegment;
}

bool SuperFrames::Segment::can_join() const {
  constexpr uint8_t kOthers = static_cast<uint8_t>(~(kTcpPsh | kTcpFin));
  return payload_bytes() > 0 && (tcp()[kTcpFlags] & kOthers) == kTcpAck;
}

bool SuperFrames::Segment::checksum_holds() const {
  const uint32_t upper_bytes = bytes - tcp_at;
  return checksum_fold(checksum_add(tcp(), upper_bytes,
                                    pseudo_header_add(ip, kTcp, upper_bytes))) == 0xffff;
}

// --- which belong together -----------------------------------------------------------------

void SuperFrames::add(uint8_t* packet, uint32_t bytes) {
  const uint32_t i = packets_++;
  data_[i] = packet;
  bytes_[i] = bytes;
  Segment segment{};
  const Kind kind = read(packet, bytes, segment);
  if (kind == Kind::kHidden) close_all();
  if (kind == Kind::kSegment) {
    Frame* frame = find(segment);
    if (frame != nullptr && join(*frame, segment)) {
      frame->packets |= uint64_t{1} << i;
      return;
    }
    if (frame != nullptr) frame->open = false;  // the flow goes on behind it
  }
  const bool open = kind == Kind::kSegment && segment.can_join() &&
                    (segment.tcp()[kTcpFlags] & (kTcpPsh | kTcpFin)) == 0;
  frame_[frames_++] = {.first = segment,
                       .packets = uint64_t{1} << i,
                       .payload_bytes = segment.payload_bytes(),
                       .open = open,
                       .intact = false};
}

SuperFrames::Frame* SuperFrames::find(const Segment& segment) {
  const uint32_t end = frames_ > kLookBack ? frames_ - kLookBack : 0;
  for (uint32_t n = frames_; n > end; n--) {
    Frame& frame = frame_[n - 1];
    if (frame.open && same_flow(frame.first, segment)) return &frame;
  }
  return nullptr;
}

void SuperFrames::close_all() {
  for (uint32_t n = 0; n < frames_; n++) frame_[n].open = false;
}

bool SuperFrames::same_flow(const Segment& a, const Segment& b) {
  // Ports stand behind the addresses.
  return a.tcp_at == b.tcp_at && is_v4(a.ip) == is_v4(b.ip) &&
         same(a.ip, b.ip, is_v4(a.ip) ? kIpv4Source : kIpv6Source, a.tcp_at + kTcpSequence);
}

/// @param next  of the same flow
bool SuperFrames::same_headers(const Frame& frame, const Segment& next) {
  const uint8_t *a = frame.first.ip, *b = next.ip;
  if (is_v4(a)) {
    const auto count = static_cast<uint16_t>(std::popcount(frame.packets));
    const bool counts_up = load_be16(b + kIpv4Id) ==
                           static_cast<uint16_t>(load_be16(a + kIpv4Id) + count);
    if (a[kIpv4Tos] != b[kIpv4Tos] || a[kIpv4Ttl] != b[kIpv4Ttl] ||
        !same(a, b, kIpv4Fragment, kIpv4Ttl) || (a[kIpv4Fragment] == 0 && !counts_up))
      return false;
  } else if (!same(a, b, 0, kIpv6PayloadLength) || a[kIpv6HopLimit] != b[kIpv6HopLimit]) {
    return false;
  }
  const uint8_t *t = frame.first.tcp(), *u = next.tcp();
  // The length of the options stands before the flags.
  return same(t, u, kTcpAcknowledgement, kTcpFlags) && same(t, u, kTcpWindow, kTcpChecksum) &&
         same(t, u, kTcpUrgent, next.payload_at - next.tcp_at);
}

bool SuperFrames::join(Frame& frame, const Segment& next) {
  const uint32_t most = frame.first.payload_bytes(), bytes = next.payload_bytes();
  const uint32_t sequence = load_be32(frame.first.tcp() + kTcpSequence) + frame.payload_bytes;
  if (!next.can_join() || bytes > most ||
      frame.first.payload_at + frame.payload_bytes + bytes > kMostBytes ||
      load_be32(next.tcp() + kTcpSequence) != sequence || !same_headers(frame, next))
    return false;
  if (!frame.intact) frame.intact = frame.first.checksum_holds();
  if (!frame.intact || !next.checksum_holds()) return false;
  frame.payload_bytes += bytes;
  const uint8_t ends = next.tcp()[kTcpFlags] & (kTcpPsh | kTcpFin);
  frame.first.tcp()[kTcpFlags] |= ends;
  frame.open = ends == 0 && bytes == most;
  return true;
}

// --- as the kernel takes it ----------------------------------------------------------------

uint32_t SuperFrames::finish(uint32_t n, OffloadHeader& offload, iovec* parts) const {
  const Frame& frame = frame_[n];
  const auto first = static_cast<uint32_t>(std::countr_zero(frame.packets));
  parts[0] = {data_[first], bytes_[first]};
  offload = {};
  uint32_t count = 1;
  const Segment& head = frame.first;
  for (uint64_t rest = frame.packets & (frame.packets - 1); rest != 0; rest &= rest - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(rest));
    parts[count++] = {data_[i] + head.payload_at, bytes_[i] - head.payload_at};
  }
  if (count == 1) return count;

  const uint32_t bytes = head.payload_at + frame.payload_bytes;
  uint8_t* ip = head.ip;
  if (is_v4(ip)) {
    store_be16(ip + kIpv4TotalLength, static_cast<uint16_t>(bytes));
    store_be16(ip + kIpv4Checksum, 0);
    store_be16(ip + kIpv4Checksum, internet_checksum(ip, kIpv4HeaderBytes));
  } else {
    store_be16(ip + kIpv6PayloadLength, static_cast<uint16_t>(bytes - kIpv6HeaderBytes));
  }
  store_be16(head.tcp() + kTcpChecksum,
             checksum_fold(pseudo_header_add(ip, kTcp, bytes - head.tcp_at)));
  offload = {.flags = OffloadHeader::kNeedsChecksum,
             .kind = is_v4(ip) ? OffloadHeader::kTcpV4 : OffloadHeader::kTcpV6,
             .header_bytes = static_cast<uint16_t>(head.payload_at),
             .segment_bytes = static_cast<uint16_t>(head.payload_bytes()),
             .checksum_start = static_cast<uint16_t>(head.tcp_at),
             .checksum_offset = kTcpChecksum};
  return count;
}

}  // namespace esplane::port
