// Security associations as the packet path holds them (RFC 4301 §4.4.2.1): one inbound or
// outbound ESP SA each, hot fields in front, on cache lines by who writes them.
//
// Tunnel mode; what protects the packets is a suite (crypto/suite.h), worked by an engine. SAs are
// made and owned by the Sad (sad.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crypto/engine.h"
#include "packet/address.h"
#include "packet/selector.h"
#include "packet/verdict.h"
#include "replay/window.h"
#include "sad/lifetime.h"
#include "sad/path_mtu.h"

namespace esplane::sad {

inline constexpr uint32_t kMostSaltBytes = 4;

/// What a pair of SAs is made from: the ChildSa of src/sad/sad.ts.
struct SaParameters {
  uint32_t inbound_spi = 0;       ///< from Sad::allocate_spi
  uint32_t outbound_spi = 0;      ///< the peer's
  packet::IpAddress local;        ///< outer addresses
  packet::IpAddress remote;
  bool udp_encapsulation = false; ///< ESP in UDP (RFC 3948), with these ports
  uint16_t local_port = 4500;
  uint16_t remote_port = 4500;

  uint16_t encryption = crypto::kEncrAesGcm16;  ///< IANA transform ID
  uint16_t key_bits = 128;              ///< without the salt
  uint16_t integrity = 0;               ///< 0 with an AEAD
  /// Keying material: encryption key | salt | integrity key (RFC 7296 §2.17). Read during the call only; the caller wipes it.
  std::span<const uint8_t> inbound_key;
  std::span<const uint8_t> outbound_key;

  /// What becomes of an IPv4 packet without DF that does not fit: it is fragmented before ESP, or
  /// what ESP makes of it is, behind it (RFC 4301 §7, §8.1).
  bool fragment_after = false;
  bool esn = false;
  uint32_t replay_window = 4096;  ///< packets; 0: no replay check
  std::vector<packet::Selector> local_selectors;
  std::vector<packet::Selector> remote_selectors;

  LifetimeLimits lifetime;  ///< of each direction

  /// Where numbering goes on: last number sent and highest received. 0 in a fresh SA; otherwise
  /// only under keys whose numbers up to here are spent (a state take-over, tests).
  uint64_t outbound_sequence = 0;
  uint64_t inbound_sequence = 0;
};

/// @throws std::invalid_argument naming what cannot be used; never a secret
void validate(const SaParameters& parameters);

/// SPIs up to this one are IANA's (RFC 4303 §2.1).
inline constexpr uint32_t kLastReservedSpi = 255;

struct OutboundSa {
  /// Sequence numbers for a group of packets: first .. first + granted - 1.
  struct Reservation {
    uint64_t first;
    uint32_t granted;  ///< fewer than asked for at the end of the number space only
  };

  /// @param parameters  valid ones
  explicit OutboundSa(const SaParameters& parameters);
  ~OutboundSa();
  OutboundSa(const OutboundSa&) = delete;
  OutboundSa& operator=(const OutboundSa&) = delete;

  /// Reserves `count` sequence numbers by one atomic add. No number is ever handed out twice; the
  /// last is 2^32-1, with ESN 2^64-1 (RFC 4303 §3.3.3). Any worker.
  Reservation reserve(uint32_t count);
  /// The number space will end soon: rekey now.
  bool near_end() const { return sequence.load(std::memory_order_relaxed) >= near_end_from; }
  /// Last number handed out.
  uint64_t last_sequence() const { return sequence.load(std::memory_order_relaxed); }
  /// Where its packets go: the outer destination.
  packet::IpAddress peer() const;
  /// Whether a packet from `source` may have been one of the last million of this SA.
  /// @param low_sequence  lower half of its sequence number; 0: not known
  bool has_sent_lately(const packet::IpAddress& source, uint32_t low_sequence) const;

  /// What is sent is counted here, and refused where that is too much.
  Usage usage() { return {packets, bytes, lifetime}; }

  // First line: read for every packet, never written after construction.

  /// Outer IP header, and UDP header where the SA has one, with what every packet shares filled
  /// in; lengths, DSCP, ECN, IPv4 ID, DF and checksum are the packet's.
  alignas(64) uint8_t outer[48] = {};
  uint8_t outer_bytes = 0;    ///< 20, 28, 40 or 48
  uint8_t outer_ip_bytes = 0; ///< 20 or 40
  bool udp_encapsulation = false;
  bool esn = false;
  uint8_t salt[kMostSaltBytes] = {};
  uint16_t outer_sum = 0;     ///< IPv4: over `outer`, for its checksum (packet/checksum.h)
  uint16_t ip_id_offset = 0;  ///< so that SAs between the same hosts do not share IPv4 IDs
  uint32_t spi = 0;           ///< host order

  // Second line: written once for each group of packets, but for its last three fields.
  alignas(64) std::atomic<uint64_t> sequence{0};  ///< last number handed out
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};                 ///< of inner packets
  uint64_t near_end_from = 0;
  uint64_t sequence_limit = 0;
  uint32_t inbound_spi = 0;   ///< of the pair, by which the control plane knows it

  // Third line: read for every packet.
  alignas(64) const crypto::Suite* suite;
  const crypto::Engine* engine;
  crypto::KeyTable key;
  PathMtu path_mtu;             ///< what ICMP has said
  bool fragment_after = false;  ///< ESP packets are fragmented, not what is in them
  bool ports_matter = false;    ///< its selectors have ports: later fragments do not fit them

  Lifetime lifetime;  ///< looked at once for each group of packets
};
static_assert(offsetof(OutboundSa, sequence) == 64, "what every packet reads is one cache line");
static_assert(offsetof(OutboundSa, suite) == 128, "what every group writes is one cache line");

struct InboundSa {
  /// @param parameters  valid ones
  explicit InboundSa(const SaParameters& parameters);
  ~InboundSa();
  InboundSa(const InboundSa&) = delete;
  InboundSa& operator=(const InboundSa&) = delete;

  /// What is accepted is counted here, and refused where that is too much.
  Usage usage() { return {packets, bytes, lifetime}; }
  void count_refused(packet::Verdict verdict) {
    refused[static_cast<uint32_t>(verdict)].fetch_add(1, std::memory_order_relaxed);
  }

  // First line: read for every packet, never written after construction.
  alignas(64) uint32_t spi = 0;  ///< host order
  bool esn = false;
  bool udp_encapsulation = false;
  uint8_t salt[kMostSaltBytes] = {};
  /// The peer as negotiated. A NAT may change it: the pipeline compares where an authentic packet
  /// came from.
  uint16_t remote_port = 0;
  packet::IpAddress remote;

  // Second line: written once for each group of packets.
  alignas(64) std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};  ///< of inner packets
  replay::Window window;

  // Third line: read for every packet.
  alignas(64) const crypto::Suite* suite;
  const crypto::Engine* engine;
  crypto::KeyTable key;

  Lifetime lifetime;  ///< looked at once for each group of packets

  // Cold.
  std::vector<packet::Selector> local_selectors;
  std::vector<packet::Selector> remote_selectors;
  /// Packets that found this SA and went no further, by verdict.
  std::atomic<uint64_t> refused[packet::kVerdictCount] = {};
};
static_assert(offsetof(InboundSa, packets) == 64, "what every packet reads is one cache line");
static_assert(offsetof(InboundSa, suite) == 128, "what every group writes is one cache line");

}  // namespace esplane::sad
