// The gate before IKE: who is let through, whom it asks for a COOKIE, and for how long one holds.
#include "ike/gate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"

namespace {

using namespace esplane;
using ike::Gate;
using ike::Standing;
using Bytes = std::vector<uint8_t>;

const Gate::SpiKey kKey{1, 2, 3};
const packet::IpAddress kHome = *packet::IpAddress::parse("192.0.2.7");
const packet::IpAddress kElsewhere = *packet::IpAddress::parse("2001:db8::7");

struct Payload {
  uint8_t type;
  Bytes data;
};

const Payload kSa{33, Bytes(40, 1)}, kKe{34, Bytes(36, 2)}, kNonce{40, Bytes(32, 3)};

/// An IKE_SA_INIT request (RFC 7296 §3.1, §3.2).
Bytes request(const std::vector<Payload>& payloads) {
  Bytes m(28);
  base::store_be64(&m[0], 0x0102030405060708);
  m[16] = payloads.empty() ? 0 : payloads[0].type;
  m[17] = 0x20;
  m[18] = 34;
  m[19] = 0x08;
  for (size_t i = 0; i < payloads.size(); i++) {
    const auto& [type, data] = payloads[i];
    const size_t length = 4 + data.size();
    const Bytes head{i + 1 < payloads.size() ? payloads[i + 1].type : uint8_t{0}, 0,
                     static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
    m.insert(m.end(), head.begin(), head.end());
    m.insert(m.end(), data.begin(), data.end());
  }
  base::store_be32(&m[24], static_cast<uint32_t>(m.size()));
  return m;
}

Bytes plain() { return request({kSa, kKe, kNonce}); }

/// The request that follows an answer: with what is in its Notify payload before the rest.
Bytes with_cookie(const Gate::Answer& answer) {
  return request({{41, Bytes(answer.begin() + 32, answer.end())}, kSa, kKe, kNonce});
}

}  // namespace

TEST_CASE("the answer is a COOKIE in a response without an SPI of ours (RFC 7296 §2.6)") {
  Gate gate(kKey);
  const auto answer = gate.answer(plain(), kHome, 5);
  const Bytes head{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 41, 0x20, 34, 0x20, 0, 0, 0, 0, 0, 0, 0, 69};
  CHECK(Bytes(answer.begin(), answer.begin() + 28) == head);
  // No next payload, 41 octets, no SPI, type 16390.
  CHECK(Bytes(answer.begin() + 28, answer.begin() + 36) == Bytes{0, 0, 0, 41, 0, 0, 0x40, 0x06});
}

TEST_CASE("who brings the COOKIE back is let through, from where it was sent to and nowhere else") {
  Gate gate(kKey);
  CHECK(gate.judge(plain(), kHome, 5) == Standing::kStranger);
  const auto answer = gate.answer(plain(), kHome, 5);
  Bytes again = with_cookie(answer);
  CHECK(gate.judge(again, kHome, 6) == Standing::kProved);
  CHECK(gate.judge(again, kElsewhere, 6) == Standing::kStranger);
  CHECK(Gate(kKey).judge(again, kHome, 6) == Standing::kStranger);
  for (const size_t at : {size_t{0}, size_t{37}, size_t{68}, again.size() - 1}) {
    Bytes other = again;
    other[at] ^= 1;
    CHECK(gate.judge(other, kHome, 6) == Standing::kStranger);
  }
}

TEST_CASE("a COOKIE holds for one to two minutes") {
  Gate gate(kKey);
  const Bytes early = with_cookie(gate.answer(plain(), kHome, 100));
  CHECK(gate.judge(early, kHome, 159) == Standing::kProved);
  CHECK(gate.judge(early, kHome, 160) == Standing::kProved);
  CHECK(gate.judge(early, kHome, 219) == Standing::kProved);
  CHECK(gate.judge(early, kHome, 220) == Standing::kStranger);
  const Bytes late = with_cookie(gate.answer(plain(), kHome, 250));
  CHECK(gate.judge(late, kHome, 1000) == Standing::kStranger);
}

TEST_CASE("what is no request for a new IKE SA is known by the mark in our SPI") {
  Gate gate(kKey);
  const auto judge = [&](size_t at, uint8_t value) {
    Bytes m = plain();
    m[at] = value;
    return gate.judge(m, kHome, 5);
  };
  CHECK(judge(17, 0x10) == Standing::kForeign);  // IKEv1
  CHECK(judge(18, 35) == Standing::kForeign);
  CHECK(judge(19, 0x28) == Standing::kForeign);  // a response
  CHECK(judge(15, 1) == Standing::kForeign);     // a responder's SPI
  CHECK(judge(23, 1) == Standing::kForeign);     // message ID 1
  CHECK(judge(27, 1) == Standing::kForeign);     // not its length
  CHECK(gate.judge({}, kHome, 5) == Standing::kForeign);

  // printf '\011\001\002\003\004\005' | openssl dgst -sha256 -mac HMAC -macopt hexkey:010203000...
  const uint8_t ours[] = {9, 1, 2, 3, 4, 5, 0x78, 0x97};
  for (const bool initiator : {true, false}) {
    Bytes m = plain();
    m[18] = 37;
    m[19] = initiator ? 0x08 : 0x20;
    std::copy_n(ours, 8, &m[initiator ? 8 : 0]);
    CHECK(gate.judge(m, kHome, 5) == Standing::kOurs);
    for (size_t at = 0; at < 8; at++) {
      Bytes other = m;
      other[(initiator ? 8 : 0) + at] ^= 1;
      CHECK(gate.judge(other, kHome, 5) == Standing::kForeign);
    }
    // The same octets where the peer's SPI stands.
    m[19] ^= 0x08;
    CHECK(gate.judge(m, kHome, 5) == Standing::kForeign);
  }
}

TEST_CASE("a request is read within its bounds, whatever its lengths say") {
  Gate gate(kKey);
  CHECK(gate.judge(request({}), kHome, 5) == Standing::kNonsense);
  CHECK(gate.judge(request({kSa, kKe}), kHome, 5) == Standing::kNonsense);
  CHECK(gate.judge(request({kSa, {40, Bytes(15)}}), kHome, 5) == Standing::kNonsense);
  CHECK(gate.judge(request({kSa, {40, Bytes(257)}}), kHome, 5) == Standing::kNonsense);
  const Bytes cookie = with_cookie(gate.answer(plain(), kHome, 5));
  for (const Bytes& good : {plain(), cookie}) {
    // Each octet of the payload headers, with all that it may hold.
    for (size_t at = 16; at < good.size(); at++) {
      for (const int value : {0, 1, 3, 4, 0x7f, 0x80, 0xff}) {
        Bytes m = good;
        m[at] = static_cast<uint8_t>(value);
        gate.judge(Bytes(m), kHome, 5);
      }
    }
    for (size_t bytes = 0; bytes < good.size(); bytes++) {
      Bytes m(good.begin(), good.begin() + static_cast<long>(bytes));
      m.shrink_to_fit();
      if (bytes >= 28) base::store_be32(&m[24], static_cast<uint32_t>(bytes));
      CHECK(gate.judge(m, kHome, 5) != Standing::kProved);
    }
  }
}
