#include "port/packet/packet_port.h"

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "port/packet/block_ring.h"
#include "port/packet/merging.h"
#include "port/packet/packet_queue.h"
#include "port/packet/packet_sender.h"
#include "port/system.h"
#include "port/xdp/classifier.h"

namespace esplane::port {
namespace {

class PacketPort final : public Port {
 public:
  /// In this order nothing is handled twice, and nothing that is ours passes the kernel: rings
  /// that reject everything, then the drop for the kernel, then what the rings let in.
  PacketPort(const PacketPortOptions& options, const InterfaceInfo& interface, Resources& resources)
      : options_(options),
        interface_(interface),
        merging_off_(options.device),
        drop_(xdp::Hook::kTcxIngress, options.role, resources.selection.maps(), interface.mac),
        filter_(xdp::Hook::kSocketFilter, options.role, resources.selection.maps(),
                interface.mac) {
    make_rings();
    link_ = attach_drop();
    for (const auto& ring : rings_) ring->attach(filter_.program());
  }

  const std::string& name() const override { return options_.name; }
  const std::string& mode() const override { return mode_; }
  Role role() const override { return options_.role; }
  uint32_t queues() const override { return static_cast<uint32_t>(rings_.size()); }
  int ifindex() const override { return interface_.index; }
  const uint8_t* mac() const override { return interface_.mac.data(); }
  uint32_t mtu_bytes() const override { return interface_.mtu_bytes; }
  void refresh() override {
    interface_.refresh(options_.device);
    drop_.set_mac(interface_.mac);
    filter_.set_mac(interface_.mac);
  }

  std::unique_ptr<Queue> open_queue(uint32_t index, FramePool& pool) override {
    if (index >= queues()) throw std::out_of_range(options_.device + " has no such queue");
    return std::make_unique<PacketQueue>(*rings_[index], interface_.index, pool);
  }
  std::unique_ptr<Queue> open_sender(FramePool& pool) override {
    return std::make_unique<SendingQueue>(interface_.index, pool);
  }

 private:
  void make_rings() {
    int group = BlockRing::kNewGroup;
    for (uint32_t i = 0; i < std::max(1u, options_.queues); i++) {
      auto ring = std::make_unique<BlockRing>(BlockRing::Options{.offload_headers = true});
      ring->reject_all();
      ring->bind_to(interface_.index);
      if (options_.queues > 1) group = ring->join(group);
      rings_.push_back(std::move(ring));
    }
  }

  xdp::Link attach_drop() {
    try {
      return xdp::Link(drop_.program(), interface_.index, xdp::Link::kTcxIngress, 0);
    } catch (const std::system_error& error) {
      throw std::runtime_error(
          options_.device + ": a packet socket is only a tap, and the kernel cannot be kept from " +
          "handling the same packets: no tcx ingress program (Linux 6.6 and later): " +
          error.what());
    }
  }

  PacketPortOptions options_;
  InterfaceInfo interface_;
  std::string mode_ = "packet";
  MergingOff merging_off_;
  xdp::Classifier drop_;
  xdp::Classifier filter_;
  xdp::Link link_;  ///< outlives the rings: until they are gone nothing of ours reaches the kernel
  std::vector<std::unique_ptr<BlockRing>> rings_;
};

}  // namespace

std::unique_ptr<Port> open_packet_port(const PacketPortOptions& options, Resources& resources,
                                       std::string& note) {
  const InterfaceInfo interface = query_interface(options.device);
  auto port = std::make_unique<PacketPort>(options, interface, resources);
  note = interface.up ? "" : options.device + " is down";
  return port;
}

}  // namespace esplane::port
