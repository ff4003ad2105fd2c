#include "net/fragmenter.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::net {
namespace {

using base::load_be16;
using base::store_be16;
using base::store_be32;

constexpr uint32_t kFragmentHeaderBytes = 8;
constexpr uint32_t kMostBytes = 65'535;  ///< IPv4: of the packet; IPv6: behind its first 40 bytes
constexpr uint8_t kEndOfOptions = 0, kNoOperation = 1, kCopied = 0x80;

/// Options that every fragment repeats (RFC 791 §3.1): those whose copied flag is set.
/// @param to  room for 40 bytes
/// @return    their bytes, filled up to whole words
uint32_t copied_options(const uint8_t* options, uint32_t bytes, uint8_t* to) {
  uint32_t copied = 0;
  for (uint32_t at = 0; at < bytes && options[at] != kEndOfOptions;) {
    uint32_t length = 1;
    if (options[at] != kNoOperation) {
      if (bytes - at < 2 || options[at + 1] < 2 || options[at + 1] > bytes - at) break;
      length = options[at + 1];
    }
    if (options[at] & kCopied) {
      std::memcpy(to + copied, options + at, length);
      copied += length;
    }
    at += length;
  }
  while (copied % 4 != 0) to[copied++] = kEndOfOptions;
  return copied;
}

/// The headers that every piece repeats (RFC 8200 §4.5): the IPv6 header and those that nodes on
/// the way process, up to the last Routing header, or else Hop-by-Hop Options.
/// @param next_at  becomes where the last of them names what follows
/// @return their bytes
uint32_t per_fragment_bytes(const uint8_t* ip, uint32_t bytes, uint32_t& next_at) {
  next_at = packet::kIpv6NextHeader;
  uint32_t repeated = packet::kIpv6HeaderBytes;
  uint32_t at = repeated;
  for (uint8_t next = ip[next_at]; bytes - at >= 8;) {
    if (next != packet::kHopByHop && next != packet::kRouting && next != packet::kDestinationOptions)
      break;
    const uint32_t header = at, length = 8 + ip[at + 1] * 8u;
    if (bytes - at < length) break;
    at += length;
    if (next != packet::kDestinationOptions) {
      next_at = header;
      repeated = at;
    }
    next = ip[header];
  }
  return repeated;
}

}  // namespace

Fragmenter::Fragmenter(const uint8_t* ip, uint32_t bytes, uint32_t mtu_bytes, uint32_t ipv6_id)
    : ip_(ip), mtu_bytes_(mtu_bytes), ipv6_id_(ipv6_id), is_v4_(ip[0] >> 4 == 4) {
  if (is_v4_) {
    data_at_ = (ip[0] & 0xfu) * 4;
    first_bytes_ = data_at_;
    make_ipv4_header();
  } else {
    data_at_ = per_fragment_bytes(ip, bytes, next_at_);
    first_bytes_ = later_bytes_ = data_at_ + kFragmentHeaderBytes;
  }
  total_bytes_ = bytes - data_at_;
  const uint32_t end =
      is_v4_ ? (load_be16(ip + packet::kIpv4Fragment) & packet::kIpv4OffsetMask) * 8u + bytes
             : bytes - packet::kIpv6HeaderBytes;
  if (end > kMostBytes || mtu_bytes < std::max(first_bytes_, later_bytes_) + 8) at_ = total_bytes_;
}

void Fragmenter::make_ipv4_header() {
  std::memcpy(later_, ip_, packet::kIpv4HeaderBytes);
  later_bytes_ = packet::kIpv4HeaderBytes +
                 copied_options(ip_ + packet::kIpv4HeaderBytes,
                                data_at_ - packet::kIpv4HeaderBytes,
                                later_ + packet::kIpv4HeaderBytes);
  later_[0] = static_cast<uint8_t>(0x40 | later_bytes_ / 4);
}

uint32_t Fragmenter::data_bytes(uint32_t at) const {
  const uint32_t room = mtu_bytes_ - (at == 0 ? first_bytes_ : later_bytes_);
  const uint32_t rest = total_bytes_ - at;
  return rest <= room ? rest : room / 8 * 8;
}

uint32_t Fragmenter::left() const {
  uint32_t pieces = 0;
  for (uint32_t at = at_; at < total_bytes_; at += data_bytes(at)) pieces++;
  return pieces;
}

uint32_t Fragmenter::next(uint8_t* to) {
  const uint32_t header = header_bytes(), data = data_bytes(at_);
  const bool last = at_ + data == total_bytes_;
  std::memcpy(to + header, ip_ + data_at_ + at_, data);
  if (is_v4_) {
    write_ipv4_header(to, header, data, last);
  } else {
    write_ipv6_header(to, header, data, last);
  }
  at_ += data;
  return header + data;
}

void Fragmenter::write_ipv4_header(uint8_t* to, uint32_t header, uint32_t data, bool last) const {
  std::memcpy(to, at_ == 0 ? ip_ : later_, header);
  const uint32_t own = load_be16(ip_ + packet::kIpv4Fragment);  // of a fragment that is cut again
  const uint32_t offset = (own & packet::kIpv4OffsetMask) + at_ / 8;
  const uint32_t more = last ? own & packet::kIpv4MoreFragments : packet::kIpv4MoreFragments;
  store_be16(to + packet::kIpv4TotalLength, static_cast<uint16_t>(header + data));
  store_be16(to + packet::kIpv4Fragment, static_cast<uint16_t>(offset | more));
  store_be16(to + packet::kIpv4Checksum, 0);
  store_be16(to + packet::kIpv4Checksum, packet::internet_checksum(to, header));
}

void Fragmenter::write_ipv6_header(uint8_t* to, uint32_t header, uint32_t data, bool last) const {
  std::memcpy(to, ip_, data_at_);
  store_be16(to + packet::kIpv6PayloadLength,
             static_cast<uint16_t>(header - packet::kIpv6HeaderBytes + data));
  to[next_at_] = packet::kFragmentHeader;
  uint8_t* fragment = to + data_at_;
  fragment[0] = ip_[next_at_];
  fragment[1] = 0;
  store_be16(fragment + 2, static_cast<uint16_t>(at_ | (last ? 0 : 1)));
  store_be32(fragment + 4, ipv6_id_);
}

}  // namespace esplane::net
