// ESP packets that others made, both ways: draft-mcgrew-gcm-test-01, RFC 7634, RFC 3602 and scapy.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "crypto/engine.h"
#include "esp/jobs.h"
#include "esp/inbound.h"
#include "esp/locate.h"
#include "esp/outbound.h"
#include "sad/sa.h"
#include "test/esp/frames.h"
#include "test/esp/mcgrew_packets.h"
#include "test/esp/rfc_packets.h"
#include "test/esp/scapy_packets.h"
#include "test/sad/parameters.h"

namespace esplane::esp {
namespace {

using packet::Batch;
using packet::IpHeader;
using packet::Verdict;
using test::bytes_of;
using test::Frames;
using test::Pair;

TEST_CASE("opens the packets of draft-mcgrew-gcm-test-01 to their plaintexts") {
  Frames frames;
  uint16_t offset[Batch::kCapacity] = {};
  IpHeader inner[Batch::kCapacity];
  std::vector<std::unique_ptr<sad::InboundSa>> sas;
  for (const test::McGrewPacket& v : test::kMcGrewPackets) {
    const std::vector<uint8_t> esp = bytes_of(v.packet);
    Pair pair(std::max(base::load_be32(esp.data()), 256u));
    pair.use_keymat(v.keymat);
    pair.p.esn = v.esn;
    pair.p.inbound_sequence = v.sequence - 1;
    sas.push_back(std::make_unique<sad::InboundSa>(pair.p));
    frames.batch.inbound[frames.add(esp)] = sas.back().get();
  }
  REQUIRE(frames.batch.size == 14);

  inbound(frames.batch, offset, inner);

  for (uint32_t i = 0; i < 14; i++) {
    CAPTURE(i);
    const std::vector<uint8_t> text = bytes_of(test::kMcGrewPackets[i].plaintext);
    CHECK(test::hex_of(frames.batch.data[i] + header_bytes(sas[i]->protection), text.size()) ==
          test::kMcGrewPackets[i].plaintext);
    // All of them carry next header 1, which tunnel mode has no use for: it is refused, but only
    // after its ICV held and it took its place in the window.
    CHECK(frames.batch.verdict[i] == Verdict::kBadNextHeader);
    CHECK(sas[i]->window.highest() == test::kMcGrewPackets[i].sequence);
  }
}

TEST_CASE("seals the plaintexts of draft-mcgrew-gcm-test-01 to the same packets") {
  // Their IVs are not sequence numbers, so the jobs are filled as outbound() does, with their IV.
  for (const test::McGrewPacket& v : test::kMcGrewPackets) {
    const std::vector<uint8_t> expected = bytes_of(v.packet);
    const std::vector<uint8_t> text = bytes_of(v.plaintext);
    Pair pair(0x1000);
    pair.use_keymat(v.keymat);
    pair.p.esn = v.esn;
    const sad::OutboundSa sa(pair.p);
    std::vector<uint8_t> esp(expected.begin(), expected.begin() + header_bytes(sa.protection));
    esp.insert(esp.end(), text.begin(), text.end());
    esp.resize(esp.size() + sa.protection.icv_bytes);
    Jobs jobs;
    jobs.add(sa.protection, v.sequence, esp.data(), static_cast<uint32_t>(text.size()), Direction::kSeal);
    jobs.seal();
    CHECK(test::hex_of(esp.data(), esp.size()) == v.packet);
  }
}

/// Those of RFC 3602 show no integrity algorithm: any will do, its ICV aside.
void use_suite_of(const test::RfcPacket& v, Pair& pair, std::vector<uint8_t>& keymat) {
  pair.p.encryption = v.encryption;
  pair.p.key_bits = v.key_bits;
  pair.p.integrity = v.encryption == crypto::kEncrAesCbc ? crypto::kAuthHmacSha2_256_128 : 0;
  keymat = bytes_of(v.key);
  keymat.resize(pair.p.suite()->keymat_bytes(), 0x55);
  pair.p.inbound_key = pair.p.outbound_key = keymat;
}

/// Seals its plaintext under its own IV. @return SPI to ICV
std::vector<uint8_t> sealed(const test::RfcPacket& v) {
  const std::vector<uint8_t> expected = bytes_of(v.packet), text = bytes_of(v.plaintext);
  Pair pair(0x1000);
  std::vector<uint8_t> keymat;
  use_suite_of(v, pair, keymat);
  const sad::OutboundSa sa(pair.p);
  std::vector<uint8_t> esp(4);  // room before the SPI, which Jobs::add asks for
  esp.insert(esp.end(), expected.begin(), expected.begin() + header_bytes(sa.protection));
  esp.insert(esp.end(), text.begin(), text.end());
  esp.resize(esp.size() + crypto::Batch::kMostIcvBytes);
  Jobs jobs;
  jobs.add(sa.protection, v.sequence, &esp[4], static_cast<uint32_t>(text.size()), Direction::kSeal);
  jobs.seal();
  esp.erase(esp.begin(), esp.begin() + 4);
  esp.resize(header_bytes(sa.protection) + text.size() + sa.protection.icv_bytes);
  return esp;
}

TEST_CASE("seals the plaintexts of RFC 7634 A and RFC 3602 §4 to the same packets") {
  for (const test::RfcPacket& v : test::kRfcPackets) {
    CAPTURE(v.name);
    const std::vector<uint8_t> expected = bytes_of(v.packet);
    const std::vector<uint8_t> esp = sealed(v);
    REQUIRE(esp.size() >= expected.size());
    CHECK(test::hex_of(esp.data(), expected.size()) == v.packet);
  }
}

TEST_CASE("opens the packets of RFC 7634 A and RFC 3602 §4 to their plaintexts") {
  for (const test::RfcPacket& v : test::kRfcPackets) {
    CAPTURE(v.name);
    const std::vector<uint8_t> esp = sealed(v), text = bytes_of(v.plaintext);
    Pair pair(base::load_be32(esp.data()));
    std::vector<uint8_t> keymat;
    use_suite_of(v, pair, keymat);
    pair.p.inbound_sequence = v.sequence - 1;
    sad::InboundSa sa(pair.p);
    Frames frames;
    uint16_t offset[Batch::kCapacity] = {};
    IpHeader inner[Batch::kCapacity];
    frames.batch.inbound[frames.add(esp)] = &sa;
    inbound(frames.batch, offset, inner);
    CHECK(sa.window.highest() == v.sequence);
    if (v.next_header == packet::kIpv4InIp) {
      CHECK(frames.batch.verdict[0] == Verdict::kPending);
      CHECK(test::hex_of(frames.batch.data[0], frames.batch.length[0]) ==
            test::hex_of(text.data(), base::load_be16(&text[2])));
    } else {  // ICMP, which tunnel mode has no use for: refused behind its ICV
      CHECK(frames.batch.verdict[0] == Verdict::kBadNextHeader);
      CHECK(test::hex_of(frames.batch.data[0] + header_bytes(sa.protection), text.size()) == v.plaintext);
    }
  }
}

/// The SA pair between scapy's addresses, about to send and to receive `v`.
void set_up(const test::ScapyPacket& v, Pair& pair) {
  const bool outer_v4 = v.outer[0] == '4';
  pair.use_keymat(v.key);
  pair.p.local = test::ip(outer_v4 ? "192.0.2.1" : "2001:db8:1::1");
  pair.p.remote = test::ip(outer_v4 ? "198.51.100.2" : "2001:db8:2::2");
  pair.p.udp_encapsulation = v.udp_encapsulation;
  pair.p.esn = v.esn;
  pair.p.outbound_sequence = pair.p.inbound_sequence = v.sequence - 1;
}

TEST_CASE("seals to the very packets that scapy makes, and touches nothing around them") {
  for (const test::ScapyPacket& v : test::kScapyPackets) {
    CAPTURE(v.name);
    Pair pair(0x1000, test::kScapySpi);
    set_up(v, pair);
    sad::OutboundSa sa(pair.p);
    sa.ip_id_offset = 0;
    Frames frames;
    const uint32_t i = frames.add(bytes_of(v.inner));
    frames.batch.outbound[i] = &sa;
    outbound(frames.batch);
    CHECK(frames.batch.verdict[i] == Verdict::kPending);
    CHECK(frames.hex(i) == v.outer);
    CHECK(frames.untouched_around(i));
    CHECK(sealed_bytes(sa, static_cast<uint32_t>(bytes_of(v.inner).size())) ==
          frames.batch.length[i]);
  }
}

TEST_CASE("opens the packets that scapy makes to the inner packets") {
  for (const test::ScapyPacket& v : test::kScapyPackets) {
    CAPTURE(v.name);
    Pair pair(test::kScapySpi);
    set_up(v, pair);
    sad::InboundSa sa(pair.p);
    Frames frames;
    const uint32_t i = frames.add(bytes_of(v.outer));
    frames.batch.inbound[i] = &sa;

    IpHeader outer;
    REQUIRE(packet::parse_ip(frames.batch.data[i], frames.batch.length[i], outer) ==
            Verdict::kPending);
    const Location found = locate(frames.batch.data[i], outer);
    REQUIRE(found.content == Content::kEsp);
    CHECK(found.in_udp == v.udp_encapsulation);
    CHECK(found.spi == test::kScapySpi);
    CHECK(found.end == frames.batch.length[i]);
    uint16_t offset[Batch::kCapacity] = {found.offset};
    IpHeader inner[Batch::kCapacity];
    inbound(frames.batch, offset, inner);

    CHECK(frames.batch.verdict[i] == Verdict::kPending);
    CHECK(frames.hex(i) == v.inner);
    CHECK(inner[i].total_bytes == frames.batch.length[i]);
    CHECK(sa.window.highest() == v.sequence);
    CHECK(sa.packets.load() == 1);
    CHECK(sa.bytes.load() == frames.batch.length[i]);
  }
}

}  // namespace
}  // namespace esplane::esp
