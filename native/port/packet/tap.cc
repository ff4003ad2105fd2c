#include "port/packet/tap.h"

#include <linux/filter.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "packet/ip.h"
#include "port/packet/block_ring.h"
#include "port/system.h"

namespace esplane::port {
namespace {

using base::load_be16;
using base::load_be32;

constexpr uint16_t kIkePort = 500, kNatTraversalPort = 4500;

/// A packet's headers as far as classification reads them. Cut short, they say less.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : rest_(bytes) {}
  bool has(size_t bytes) const { return rest_.size() >= bytes; }
  const uint8_t* at(size_t offset) const { return rest_.data() + offset; }
  uint8_t byte(size_t offset) const { return rest_[offset]; }
  void skip(size_t bytes) { rest_ = rest_.subspan(std::min(bytes, rest_.size())); }

 private:
  std::span<const uint8_t> rest_;
};

/// ESP in UDP, IKE or a keepalive (RFC 3948 §2), or nothing of the kind.
TapClass classify_udp(const Reader& udp) {
  if (!udp.has(packet::kUdpHeaderBytes)) return TapClass::kOther;
  const uint16_t from = load_be16(udp.at(packet::kUdpSourcePort));
  const uint16_t to = load_be16(udp.at(packet::kUdpDestinationPort));
  if (from == kIkePort || to == kIkePort) return TapClass::kIke;
  if (from != kNatTraversalPort && to != kNatTraversalPort) return TapClass::kOther;
  const uint16_t bytes = load_be16(udp.at(packet::kUdpLength));
  if (bytes == packet::kUdpHeaderBytes + 1) return TapClass::kKeepalive;
  if (bytes < packet::kUdpHeaderBytes + 4 || !udp.has(packet::kUdpHeaderBytes + 4)) {
    return TapClass::kOther;
  }
  return load_be32(udp.at(packet::kUdpHeaderBytes)) == 0 ? TapClass::kIke : TapClass::kEsp;
}

TapClass classify_upper(uint8_t protocol, const Reader& upper, bool later_fragment) {
  if (protocol == packet::kEsp) return TapClass::kEsp;
  if (protocol == packet::kAh) return TapClass::kAh;
  if (protocol == packet::kUdp && !later_fragment) return classify_udp(upper);
  // Neighbour Discovery: types 133 to 137 (RFC 4861 §4).
  const bool discovery = protocol == packet::kIcmpV6 && !later_fragment && upper.has(1) &&
                         upper.byte(0) >= 133 && upper.byte(0) <= 137;
  return discovery ? TapClass::kNeighbour : TapClass::kOther;
}

TapClass classify_ipv4(Reader packet) {
  const uint8_t protocol = packet.byte(packet::kIpv4Protocol);
  const bool later = load_be16(packet.at(packet::kIpv4Fragment)) & packet::kIpv4OffsetMask;
  packet.skip(4u * (packet.byte(0) & 15));
  return classify_upper(protocol, packet, later);
}

TapClass classify_ipv6(Reader packet) {
  uint8_t next = packet.byte(packet::kIpv6NextHeader);
  packet.skip(packet::kIpv6HeaderBytes);
  // Each extension header is at least eight bytes, so this ends.
  while (packet.has(8)) {
    if (next == packet::kFragmentHeader) {
      const bool later = load_be16(packet.at(2)) >> 3;
      next = packet.byte(0);
      packet.skip(8);
      if (later) return classify_upper(next, packet, true);
    } else if (next == packet::kHopByHop || next == packet::kRouting ||
               next == packet::kDestinationOptions) {
      next = packet.byte(0);
      packet.skip(8u * (packet.byte(1) + 1u));
    } else {
      break;
    }
  }
  return classify_upper(next, packet, false);
}

bool within(const std::vector<Prefix>& networks, Family family, const uint8_t* address) {
  return std::any_of(networks.begin(), networks.end(), [&](const Prefix& network) {
    return network.family == family && network.contains(address);
  });
}

}  // namespace

TapClass classify_tapped(std::span<const uint8_t> frame, const std::vector<Prefix>& networks) {
  Reader packet(frame);
  if (!packet.has(14)) return TapClass::kOther;
  uint16_t ethertype = load_be16(packet.at(12));
  packet.skip(14);
  while ((ethertype == 0x8100 || ethertype == 0x88a8) && packet.has(4)) {
    ethertype = load_be16(packet.at(2));
    packet.skip(4);
  }
  if (ethertype == 0x0806) return TapClass::kNeighbour;  // ARP
  TapClass kind;
  Family family;
  const uint8_t* source;
  if (ethertype == 0x0800 && packet.has(packet::kIpv4HeaderBytes)) {
    family = Family::kIpv4;
    source = packet.at(packet::kIpv4Source);
    kind = classify_ipv4(packet);
  } else if (ethertype == 0x86dd && packet.has(packet::kIpv6HeaderBytes)) {
    family = Family::kIpv6;
    source = packet.at(packet::kIpv6Source);
    kind = classify_ipv6(packet);
  } else {
    return TapClass::kOther;
  }
  if (kind != TapClass::kOther && kind != TapClass::kNeighbour) return kind;
  const uint8_t* destination = source + (family == Family::kIpv4 ? 4 : 16);
  const bool clear = within(networks, family, source) || within(networks, family, destination);
  return clear ? TapClass::kClearText : kind;
}

struct WireTap::Impl {
  /// Headers are enough, so that the rings hold more packets.
  static constexpr uint32_t kSnapBytes = 256;
  static constexpr uint32_t kBlocks = 64;  // of 256 KiB: 16 MiB an interface
  static constexpr int kSettleMilliseconds = 20;

  Impl(const std::vector<std::string>& interfaces, const std::vector<Prefix>& watched)
      : networks(watched), stop_event(eventfd(0, EFD_CLOEXEC)) {
    if (!stop_event) throw_errno(errno, "cannot make an event descriptor");
    for (const std::string& interface : interfaces) open(query_interface(interface).index);
    thread = std::thread([this] { run(); });
  }

  void open(int ifindex) {
    auto ring = std::make_unique<BlockRing>(BlockRing::Options{.blocks = kBlocks});
    sock_filter cut[] = {{BPF_RET | BPF_K, 0, 0, kSnapBytes}};
    const sock_fprog program{1, cut};
    if (setsockopt(ring->fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) {
      throw_errno(errno, "cannot attach a socket filter");
    }
    ring->set_promiscuous(ifindex);
    ring->bind_to(ifindex);
    rings.push_back(std::move(ring));
  }

  void run() {
    std::vector<pollfd> waiting{{stop_event.get(), POLLIN, 0}};
    for (const auto& ring : rings) waiting.push_back({ring->fd(), POLLIN, 0});
    for (bool stopping = false;;) {
      // Woken by the stop, what is in unfinished blocks is waited for.
      const int ready = poll(waiting.data(), waiting.size(), stopping ? kSettleMilliseconds : -1);
      const bool any = read_all();
      if (stopping && ready <= 0 && !any) return;
      if (waiting[0].revents & POLLIN) {
        stopping = true;
        waiting[0].fd = -1;  // poll ignores it
      }
    }
  }

  bool read_all() {
    TapCounts seen{};
    bool any = false;
    RingPacket packet;
    for (const auto& ring : rings) {
      while (ring->next(packet)) {
        any = true;
        add(seen, classify_tapped(packet.frame, networks), packet.wire_bytes);
      }
    }
    const std::lock_guard lock(mutex);
    totals.esp += seen.esp;
    totals.esp_bytes += seen.esp_bytes;
    totals.ah += seen.ah;
    totals.ike += seen.ike;
    totals.keepalive += seen.keepalive;
    totals.clear_text += seen.clear_text;
    totals.neighbour += seen.neighbour;
    totals.other += seen.other;
    return any;
  }

  static void add(TapCounts& counts, TapClass kind, uint32_t bytes) {
    switch (kind) {
      case TapClass::kEsp:
        counts.esp++;
        counts.esp_bytes += bytes;
        break;
      case TapClass::kAh: counts.ah++; break;
      case TapClass::kIke: counts.ike++; break;
      case TapClass::kKeepalive: counts.keepalive++; break;
      case TapClass::kClearText: counts.clear_text++; break;
      case TapClass::kNeighbour: counts.neighbour++; break;
      case TapClass::kOther: counts.other++; break;
    }
  }

  TapCounts counts() {
    const std::lock_guard lock(mutex);
    TapCounts now = totals;
    for (const auto& ring : rings) now.kernel_drops += ring->drops();
    return now;
  }

  void stop() {
    if (!thread.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(stop_event.get(), &one, sizeof one);
    thread.join();
  }

  const std::vector<Prefix> networks;
  Fd stop_event;
  std::vector<std::unique_ptr<BlockRing>> rings;
  std::mutex mutex;
  TapCounts totals;
  std::thread thread;
};

WireTap::WireTap(const std::vector<std::string>& interfaces, const std::vector<Prefix>& networks)
    : impl_(std::make_unique<Impl>(interfaces, networks)) {}

WireTap::~WireTap() { impl_->stop(); }

TapCounts WireTap::counts() { return impl_->counts(); }

TapCounts WireTap::stop() {
  impl_->stop();
  return impl_->counts();
}

}  // namespace esplane::port
