// What is answered with an ICMP error, and what must not be (RFC 4443 §2.4, RFC 1812 §4.3.2.7).
#include "net/icmp_error.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "test/net/fragments.h"

namespace {

using namespace esplane;
using namespace esplane::test;

constexpr uint8_t kEchoRequest = 128, kPacketTooBig = 2;

/// An IPv6 packet of ICMPv6.
/// @param next  kIcmpV6, or of an extension header before it
Bytes icmp_v6(uint8_t next, uint8_t type) {
  const DatagramFields fields{.source = "2001:db8::2", .destination = "2001:db8::1"};
  Bytes data;
  if (next != packet::kIcmpV6) data = {packet::kIcmpV6, 0, 1, 4, 0, 0, 0, 0};  // PadN
  if (next == packet::kFragmentHeader) data = {packet::kIcmpV6, 0, 0, 1, 0, 0, 0, 9};
  data.insert(data.end(), {type, 0, 0, 0, 0, 0, 0, 0});
  Bytes packet = whole(fields, data);
  packet[packet::kIpv6NextHeader] = next;
  return packet;
}

bool may_answer(const Bytes& packet) {
  return net::may_answer_with_error(packet.data(), static_cast<uint32_t>(packet.size()));
}

}  // namespace

TEST_CASE("an ICMPv6 error is not answered with one, whatever stands before it") {
  for (const uint8_t next : {packet::kIcmpV6, packet::kHopByHop, packet::kDestinationOptions,
                             packet::kFragmentHeader}) {
    CAPTURE(int{next});
    CHECK(may_answer(icmp_v6(next, kEchoRequest)));
    CHECK_FALSE(may_answer(icmp_v6(next, kPacketTooBig)));
  }
}

TEST_CASE("a later fragment is not answered with an error") {
  Bytes packet = icmp_v6(packet::kFragmentHeader, kEchoRequest);
  base::store_be16(packet.data() + packet::kIpv6HeaderBytes + 2, 8);
  CHECK_FALSE(may_answer(packet));
}
