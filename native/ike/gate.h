// The gate before IKE: tells messages of strangers from those of peers, without state and in a
// microsecond, so that a flood of them costs those little who have an IKE SA, or want one.
//
// A request for a new IKE SA costs a key exchange, and its source address may be forged; whoever
// brings a COOKIE has shown that it is where it says (RFC 7296 §2.6). All other messages bear an SPI
// of our making, which is known by its mark: its last two octets are a MAC of those before.
//
// Left out: the choice of when a COOKIE is demanded, which is the control plane's.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "packet/address.h"

namespace esplane::ike {

/// An IKE message, without the non-ESP marker.
using Message = std::span<const uint8_t>;

/// What a message is to the gate.
enum class Standing : uint8_t {
  kOurs,      ///< for an IKE SA whose SPI may well be of our making
  kForeign,   ///< for one whose SPI is not; or no message of IKEv2 at all
  kProved,    ///< a request for a new IKE SA, with a COOKIE of ours that holds
  kStranger,  ///< such a request without
  kNonsense,  ///< such a request whose payloads cannot be followed to a nonce
};

class Gate {
 public:
  /// Octets of an answer: header, Notify payload, COOKIE.
  static constexpr size_t kAnswerBytes = 28 + 8 + 33;
  using Answer = std::array<uint8_t, kAnswerBytes>;

  /// Of the mark in SPIs.
  using SpiKey = std::array<uint8_t, 32>;

  explicit Gate(const SpiKey& spi_key) : spi_key_(spi_key) {}
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// @param now_s  seconds of a clock that never goes back
  Standing judge(Message message, const packet::IpAddress& source, uint32_t now_s);

  /// The response to a stranger: it is to come again with this COOKIE.
  Answer answer(Message request, const packet::IpAddress& source, uint32_t now_s);

 private:
  /// cookie = version | HMAC-SHA-256(secret, Ni | IPi | SPIi)
  using Cookie = std::array<uint8_t, 33>;

  struct Secret {
    uint8_t version = 0;
    std::array<uint8_t, 32> key{};
    bool known = false;
  };

  bool bears_our_mark(Message message) const;
  void renew(uint32_t now_s);
  static Cookie make(const Secret& secret, Message request, Message nonce,
                     const packet::IpAddress& source);

  SpiKey spi_key_;
  /// A new secret takes the place of one that is a minute old; the last one stays good as long.
  Secret current_, last_;
  uint32_t since_s_ = 0;
};

}  // namespace esplane::ike
