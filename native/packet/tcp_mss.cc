#include "packet/tcp_mss.h"

#include "base/bytes.h"
#include "packet/checksum.h"

namespace esplane::packet {
namespace {

using base::load_be16;
using base::store_be16;

constexpr uint8_t kEndOfOptions = 0, kNoOperation = 1, kMaximumSegmentSize = 2;
constexpr uint32_t kMssOptionBytes = 4;

uint16_t swap_bytes(uint16_t v) { return static_cast<uint16_t>(v << 8 | v >> 8); }

/// Writes another value into the option's field, which may lie across two words of the checksum:
/// there its bytes count the other way round.
void set_mss(uint8_t* tcp, uint32_t at, uint16_t before, uint16_t after) {
  store_be16(tcp + at, after);
  if (at % 2 != 0) {
    before = swap_bytes(before);
    after = swap_bytes(after);
  }
  const uint16_t checksum = load_be16(tcp + kTcpChecksum);
  store_be16(tcp + kTcpChecksum, checksum_update(checksum, before, after));
}

}  // namespace

bool clamp_mss(uint8_t* ip, const IpHeader& header, uint32_t mtu_bytes) {
  const uint32_t headers =
      kTcpHeaderBytes + (header.family == Family::kV4 ? kIpv4HeaderBytes : kIpv6HeaderBytes);
  if (mtu_bytes <= headers || mtu_bytes - headers > 0xffff) return false;
  const auto most = static_cast<uint16_t>(mtu_bytes - headers);

  uint8_t* tcp = ip + header.header_bytes;
  const uint32_t bytes = header.total_bytes - header.header_bytes;
  if (bytes < kTcpHeaderBytes) return false;
  const uint32_t end = (tcp[kTcpDataOffset] >> 4) * 4u;
  if (end > bytes) return false;

  bool changed = false;
  for (uint32_t at = kTcpHeaderBytes; at < end && tcp[at] != kEndOfOptions;) {
    if (tcp[at] == kNoOperation) {
      at++;
      continue;
    }
    if (end - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > end - at) break;
    if (tcp[at] == kMaximumSegmentSize && tcp[at + 1] == kMssOptionBytes) {
      const uint16_t mss = load_be16(tcp + at + 2);
      if (mss > most) {
        set_mss(tcp, at + 2, mss, most);
        changed = true;
      }
    }
    at += tcp[at + 1];
  }
  return changed;
}

}  // namespace esplane::packet
