// What a pair of SAs is made from: the ChildSa of src/sad/sad.ts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "crypto/engine.h"
#include "crypto/suite.h"
#include "packet/address.h"
#include "packet/ip.h"
#include "packet/selector.h"
#include "sad/lifetime.h"
#include "sad/outer_header.h"

namespace esplane::sad {

/// By its number as an IP protocol.
enum class Protocol : uint8_t { kEsp = packet::kEsp, kAh = packet::kAh };

enum class Mode : uint8_t { kTunnel, kTransport };

/// Traffic flow confidentiality, outbound (RFC 4303 §2.7, §2.6).
struct Tfc {
  /// Inner packets shorter than this are padded to it, as far as the path MTU allows; 0: none are.
  /// What is padded counts as bytes of the SA.
  uint16_t pad_to_bytes = 0;
  /// Dummy packets sent while there is nothing else to send: of `pad_to_bytes`, or of any length.
  uint32_t dummies_per_second = 0;
};

struct SaParameters {
  uint32_t inbound_spi = 0;       ///< from Sad::allocate_spi
  uint32_t outbound_spi = 0;      ///< the peer's
  Protocol protocol = Protocol::kEsp;
  Mode mode = Mode::kTunnel;
  packet::IpAddress local;        ///< outer addresses; in transport mode the packets' own
  packet::IpAddress remote;
  bool udp_encapsulation = false; ///< ESP in UDP (RFC 3948), with these ports
  uint16_t local_port = 4500;
  uint16_t remote_port = 4500;

  uint16_t encryption = crypto::kEncrAesGcm16;  ///< IANA transform ID; 0 with AH
  uint16_t key_bits = 128;                      ///< without the salt
  uint16_t integrity = 0;                       ///< 0 with an AEAD
  const crypto::Engine* engine = nullptr;       ///< null: the one in use for the suite
  /// Keying material: encryption key | salt | integrity key (RFC 7296 §2.17). Read during the call
  /// only; the caller wipes it.
  std::span<const uint8_t> inbound_key;
  std::span<const uint8_t> outbound_key;

  /// What becomes of an IPv4 packet without DF that does not fit: it is fragmented before ESP, or
  /// what ESP makes of it is, behind it (RFC 4301 §7, §8.1).
  bool fragment_after = false;
  /// Whether the MSS options of TCP are lowered to what fits, either way (packet/tcp_mss.h).
  bool clamp_mss = true;
  bool esn = false;
  uint32_t replay_window = 4096;  ///< packets; 0: no replay check
  std::vector<packet::Selector> local_selectors;
  std::vector<packet::Selector> remote_selectors;

  LifetimeLimits lifetime;  ///< of each direction

  /// What it lets in enters the host by the interface of this route-based tunnel; 0: by none of them
  /// (spd::Scope).
  uint16_t scope = 0;
  OuterPolicy outer;  ///< tunnel mode
  Tfc tfc;            ///< ESP in tunnel mode

  /// Where numbering goes on: last number sent and highest received. 0 in a fresh SA; otherwise
  /// only under keys whose numbers up to here are spent (a state take-over, tests).
  uint64_t outbound_sequence = 0;
  uint64_t inbound_sequence = 0;

  Endpoint local_endpoint() const { return {local, local_port}; }
  Endpoint remote_endpoint() const { return {remote, remote_port}; }
  /// Null where there is no such suite.
  const crypto::Suite* suite() const {
    return crypto::find_suite(encryption, key_bits, integrity);
  }
  const crypto::Engine& engine_in_use() const {
    return engine == nullptr ? crypto::engine(*suite()) : *engine;
  }
};

/// @throws std::invalid_argument naming what cannot be used; never a secret
void validate(const SaParameters& parameters);

/// SPIs up to this one are IANA's (RFC 4303 §2.1).
inline constexpr uint32_t kLastReservedSpi = 255;
/// The last sequence number, without and with ESN.
inline constexpr uint64_t kLastSequence = 0xffffffff;
inline constexpr uint64_t kLastExtendedSequence = ~uint64_t{0};

}  // namespace esplane::sad
