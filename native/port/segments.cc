#include "port/segments.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::port {
namespace {

using base::load_be16;
using base::load_be32;
using base::store_be16;
using base::store_be32;

constexpr uint32_t kEthernetBytes = 14;

}  // namespace

bool Segments::start(std::span<const uint8_t> frame, const OffloadHeader& offload,
                     Begin begin) {
  *this = Segments{};
  if (begin == Begin::kEthernet && frame.size() < kEthernetBytes) return false;
  frame_ = frame;
  fresh_ = true;
  const uint8_t kind = offload.kind & static_cast<uint8_t>(~OffloadHeader::kEcn);
  if (kind == OffloadHeader::kNone) {
    payload_bytes_ = segment_bytes_ = static_cast<uint32_t>(frame.size());
    if (!(offload.flags & OffloadHeader::kNeedsChecksum)) return true;
    checksum_start_ = offload.checksum_start;
    checksum_at_ = uint32_t{offload.checksum_start} + offload.checksum_offset;
    return checksum_at_ + 2 <= frame.size();
  }
  cut_ = true;
  segment_bytes_ = offload.segment_bytes;
  const bool known = kind == OffloadHeader::kTcpV4 || kind == OffloadHeader::kTcpV6 ||
                     kind == OffloadHeader::kUdp;
  return known && segment_bytes_ > 0 && parse(frame, begin);
}

/// Finds the headers of a super-frame. The kernel merges nothing with IPv6 extension headers.
bool Segments::parse(std::span<const uint8_t> frame, Begin begin) {
  ip_at_ = begin == Begin::kEthernet ? kEthernetBytes : 0;
  if (frame.size() < ip_at_ + packet::kIpv6HeaderBytes) return false;
  const uint8_t* ip = &frame[ip_at_];
  if (ip[0] >> 4 == 4) {
    transport_at_ = ip_at_ + 4u * (ip[0] & 15);
    protocol_ = ip[packet::kIpv4Protocol];
  } else {
    transport_at_ = ip_at_ + packet::kIpv6HeaderBytes;
    protocol_ = ip[packet::kIpv6NextHeader];
  }
  if (protocol_ == packet::kUdp) {
    payload_at_ = transport_at_ + packet::kUdpHeaderBytes;
  } else if (protocol_ == packet::kTcp && transport_at_ + packet::kTcpHeaderBytes <= frame.size()) {
    payload_at_ = transport_at_ + 4u * (frame[transport_at_ + packet::kTcpDataOffset] >> 4);
    if (payload_at_ < transport_at_ + packet::kTcpHeaderBytes) return false;
  } else {
    return false;
  }
  if (payload_at_ > frame.size()) return false;
  payload_bytes_ = static_cast<uint32_t>(frame.size()) - payload_at_;
  return true;
}

uint32_t Segments::next_bytes() const {
  const uint32_t payload = std::min(segment_bytes_, payload_bytes_ - at_);
  return payload_at_ + payload;
}

void Segments::next(uint8_t* out) {
  const uint32_t payload = std::min(segment_bytes_, payload_bytes_ - at_);
  const uint32_t index = at_ / segment_bytes_, offset = at_;
  at_ += payload;
  fresh_ = false;
  if (!cut_) {
    std::memcpy(out, frame_.data(), frame_.size());
    finish_checksum(out, static_cast<uint32_t>(frame_.size()));
    return;
  }
  std::memcpy(out, frame_.data(), payload_at_);
  std::memcpy(out + payload_at_, frame_.data() + payload_at_ + offset, payload);
  finish_ip(out + ip_at_, payload_at_ - ip_at_ + payload, index);
  if (protocol_ == packet::kTcp) {
    finish_tcp(out + transport_at_, offset, at_ >= payload_bytes_);
  } else {
    store_be16(out + transport_at_ + packet::kUdpLength,
               static_cast<uint16_t>(packet::kUdpHeaderBytes + payload));
  }
  finish_checksum(out, payload_at_ + payload);
}

/// Length, identification (RFC 6864 §4: unique per packet) and checksum of the IP header.
void Segments::finish_ip(uint8_t* ip, uint32_t ip_bytes, uint32_t index) const {
  if (ip[0] >> 4 == 6) {
    store_be16(ip + packet::kIpv6PayloadLength,
               static_cast<uint16_t>(ip_bytes - packet::kIpv6HeaderBytes));
    return;
  }
  store_be16(ip + packet::kIpv4TotalLength, static_cast<uint16_t>(ip_bytes));
  store_be16(ip + packet::kIpv4Id,
             static_cast<uint16_t>(load_be16(ip + packet::kIpv4Id) + index));
  store_be16(ip + packet::kIpv4Checksum, 0);
  store_be16(ip + packet::kIpv4Checksum,
             packet::internet_checksum(ip, transport_at_ - ip_at_));
}

/// Sequence number and flags: PSH and FIN end the last packet, CWR starts the first
/// (RFC 3168 §6.1.2).
void Segments::finish_tcp(uint8_t* tcp, uint32_t offset, bool last) const {
  store_be32(tcp + packet::kTcpSequence, load_be32(tcp + packet::kTcpSequence) + offset);
  if (!last) tcp[packet::kTcpFlags] &= static_cast<uint8_t>(~(packet::kTcpFin | packet::kTcpPsh));
  if (offset > 0) tcp[packet::kTcpFlags] &= static_cast<uint8_t>(~packet::kTcpCwr);
}

void Segments::finish_checksum(uint8_t* packet, uint32_t bytes) const {
  if (!cut_) {
    if (checksum_at_ == 0) return;
    // The field holds the sum over the pseudo-header already.
    const uint16_t sum =
        packet::internet_checksum(packet + checksum_start_, bytes - checksum_start_);
    const bool udp = checksum_at_ - checksum_start_ == packet::kUdpChecksum;
    store_be16(packet + checksum_at_, sum == 0 && udp ? 0xffff : sum);  // RFC 768: 0 means none
    return;
  }
  const uint32_t upper_bytes = bytes - transport_at_;
  uint8_t* field = packet + transport_at_ +
                   (protocol_ == packet::kTcp ? packet::kTcpChecksum : packet::kUdpChecksum);
  store_be16(field, 0);
  const uint64_t sum =
      packet::checksum_add(packet + transport_at_, upper_bytes,
                           packet::pseudo_header_add(packet + ip_at_, protocol_, upper_bytes));
  const auto checksum = static_cast<uint16_t>(~packet::checksum_fold(sum));
  store_be16(field, checksum == 0 && protocol_ == packet::kUdp ? 0xffff : checksum);
}

}  // namespace esplane::port
