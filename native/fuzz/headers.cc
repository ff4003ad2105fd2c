// Untrusted headers: reading IP, finding ESP in it, the checksum that a stack left unfinished, TTL,
// and ICMP errors about whatever it is. Nothing outside of the packet is touched, and what is said
// about it lies inside.
//
// Input: a byte of flags, and the packet. Flag 1: repair the IPv4 header checksum.
#include "esp/locate.h"
#include "fuzz/input.h"
#include "net/icmp_error.h"

namespace esplane {
namespace {

constexpr uint32_t kIcmpHeadroom = 48;

void check_header(const packet::IpHeader& h, uint32_t bytes) {
  FUZZ_CHECK(h.total_bytes <= bytes);
  FUZZ_CHECK(h.header_bytes <= h.total_bytes);
  FUZZ_CHECK(h.family == packet::Family::kV4 || h.family == packet::Family::kV6);
  // Pieces other than the first have no ports to be seen.
  FUZZ_CHECK(h.fragment_offset == 0 || !h.has_ports);
}

void check_location(const uint8_t* ip, const packet::IpHeader& h) {
  const esp::Location at = esp::locate(ip, h);
  if (at.content != esp::Content::kEsp) return;
  FUZZ_CHECK(at.offset >= h.header_bytes);
  FUZZ_CHECK(at.end <= h.total_bytes);
  FUZZ_CHECK(at.offset + packet::kEspHeaderBytes <= at.end);
  FUZZ_CHECK(at.spi == base::load_be32(ip + at.offset));
}

/// The error is a packet that can be read itself, and is about none other.
void check_icmp_error(const std::vector<uint8_t>& original, uint32_t bytes, bool is_v4) {
  if (!net::may_answer_with_error(original.data(), bytes)) return;
  std::vector<uint8_t> frame(kIcmpHeadroom + bytes);
  std::memcpy(frame.data() + kIcmpHeadroom, original.data(), bytes);
  uint8_t* data = frame.data() + kIcmpHeadroom;
  const auto ours = *net::IpAddress::parse(is_v4 ? "192.0.2.1" : "2001:db8::1");
  net::make_icmp_error(data, bytes, {.kind = net::IcmpError::Kind::kTooBig, .mtu_bytes = 1280},
                       ours);
  FUZZ_CHECK(data >= frame.data() && data + bytes <= frame.data() + frame.size());
  packet::IpHeader h;
  FUZZ_CHECK(packet::parse_ip(data, bytes, h) == packet::Verdict::kPending);
  FUZZ_CHECK(h.source == ours);
  FUZZ_CHECK(h.protocol == (is_v4 ? packet::kIcmp : packet::kIcmpV6));
  FUZZ_CHECK(!net::may_answer_with_error(data, bytes));
}

}  // namespace
}  // namespace esplane

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace esplane;
  fuzz::Input input(data, bytes);
  const uint8_t flags = input.byte();
  std::vector<uint8_t> packet = input.bytes(65535);
  packet.shrink_to_fit();
  if (flags & 1) fuzz::repair_ipv4_checksum(packet);
  packet::IpHeader header;
  const auto length = static_cast<uint32_t>(packet.size());
  if (packet::parse_ip(packet.data(), length, header) != packet::Verdict::kPending) return 0;
  check_header(header, length);
  check_location(packet.data(), header);
  check_icmp_error(packet, header.total_bytes, header.family == packet::Family::kV4);
  packet::complete_checksum(packet.data(), header);
  if (header.ttl > 0) packet::decrement_ttl(packet.data(), header.family);
  packet::IpHeader again;
  FUZZ_CHECK(packet::parse_ip(packet.data(), length, again) == packet::Verdict::kPending);
  FUZZ_CHECK(again.total_bytes == header.total_bytes && again.protocol == header.protocol);
  return 0;
}
