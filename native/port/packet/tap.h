// The wire tap of labs: counts what crosses interfaces, by class, in a thread of its own.
//
// It watches from a third namespace that bridges the ports of two gateways: taps at the gateways'
// own interfaces see neither what AF_XDP sends nor what XDP redirects. Each frame is counted once,
// as it enters the bridge.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "port/prefix.h"

namespace esplane::port {

enum class TapClass : uint8_t { kEsp, kAh, kIke, kKeepalive, kClearText, kNeighbour, kOther };

/// The class of one frame, of which at least the headers are there.
TapClass classify_tapped(std::span<const uint8_t> frame, const std::vector<Prefix>& networks);

/// Packets by class. All of one moment, from all tapped interfaces.
struct TapCounts {
  uint64_t esp = 0;          ///< ESP, and UDP port 4500 without the non-ESP marker (RFC 3948 §2.1)
  uint64_t esp_bytes = 0;    ///< their bytes, Ethernet header included
  uint64_t ah = 0;
  uint64_t ike = 0;          ///< UDP 500, and UDP 4500 with the marker
  uint64_t keepalive = 0;    ///< NAT keepalives (RFC 3948 §2.3)
  uint64_t clear_text = 0;   ///< to or from one of the networks, and none of the above
  uint64_t neighbour = 0;    ///< ARP, Neighbour and Router Discovery
  uint64_t other = 0;
  uint64_t kernel_drops = 0; ///< frames that the tap missed; counts are exact while this is 0
};

class WireTap {
 public:
  /// Starts to count, promiscuously.
  /// @param interfaces  such as the two ports of a bridge
  /// @param networks    what must not be seen in clear
  /// @throws std::system_error
  WireTap(const std::vector<std::string>& interfaces, const std::vector<Prefix>& networks);
  ~WireTap();
  WireTap(const WireTap&) = delete;
  WireTap& operator=(const WireTap&) = delete;

  /// Counts so far. The kernel hands frames over in blocks, at most 20 ms late.
  TapCounts counts();
  /// Stops after having counted what has arrived until now, and returns the final counts.
  TapCounts stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace esplane::port
