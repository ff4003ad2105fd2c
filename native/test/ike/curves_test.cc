// X25519 and X448 against RFC 7748, with memory that a sanitizer watches.
#include "ike/curves.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace esplane;
using ike::Curve;
using Octets = std::vector<uint8_t>;

Octets hex(std::string_view digits) {
  Octets octets;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    octets.push_back(static_cast<uint8_t>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return octets;
}

Octets public_value(Curve curve, const Octets& private_key) {
  Octets out(ike::key_bytes(curve));
  ike::public_value(curve, private_key, out);
  return out;
}

Octets shared_secret(Curve curve, const Octets& private_key, const Octets& peer_public) {
  Octets out(ike::key_bytes(curve));
  CHECK(ike::shared_secret(curve, private_key, peer_public, out));
  return out;
}

struct Example {
  Curve curve;
  Octets alice, alice_public, bob, bob_public, secret;
};

// RFC 7748 §6.1, §6.2
const Example kExamples[] = {
    {Curve::kX25519,
     hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
     hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
     hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
     hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
     hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")},
    {Curve::kX448,
     hex("9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf5"
         "74a9419744897391006382a6f127ab1d9ac2d8c0a598726b"),
     hex("9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bb"
         "c836647241d953d40c5b12da88120d53177f80e532c41fa0"),
     hex("1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120"
         "bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d"),
     hex("3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972"
         "fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609"),
     hex("07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56"
         "fd2464c335543936521c24403085d59a449a5037514a879d")}};

}  // namespace

TEST_CASE("the public values and the secret are those of RFC 7748 §6") {
  for (const auto& [curve, alice, alice_public, bob, bob_public, secret] : kExamples) {
    CHECK(public_value(curve, alice) == alice_public);
    CHECK(public_value(curve, bob) == bob_public);
    CHECK(shared_secret(curve, alice, bob_public) == secret);
    CHECK(shared_secret(curve, bob, alice_public) == secret);
  }
}

TEST_CASE("a secret of zeros is refused, and what comes after it is not") {
  for (const auto& [curve, alice, alice_public, bob, bob_public, secret] : kExamples) {
    const Octets zero(ike::key_bytes(curve));
    Octets out(ike::key_bytes(curve), 7);
    CHECK_FALSE(ike::shared_secret(curve, alice, zero, out));
    CHECK(out == Octets(out.size(), 7));
    CHECK(shared_secret(curve, alice, bob_public) == secret);
  }
}

TEST_CASE("threads work keys at the same time") {
  const Example& it = kExamples[0];
  const auto derive = [](const Example& of, const Octets& own, const Octets& peer, Octets& out) {
    for (int i = 0; i < 50; i++) ike::shared_secret(of.curve, own, peer, out);
  };
  Octets one(32), two(32);
  std::thread first([&] { derive(it, it.alice, it.bob_public, one); });
  std::thread second([&] { derive(it, it.bob, it.alice_public, two); });
  first.join();
  second.join();
  CHECK(one == it.secret);
  CHECK(two == it.secret);
}
