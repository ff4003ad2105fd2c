#include "port/xdp/xdp_port.h"

#include <linux/if_link.h>

#include <mutex>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "port/packet/packet_sender.h"
#include "port/system.h"
#include "port/xdp/classifier.h"
#include "port/xdp/socket.h"
#include "port/xdp/xdp_queue.h"

namespace esplane::port {
namespace {

/// Where in the receive path the program runs.
struct AttachMode {
  const char* name;
  uint32_t flags;
};
constexpr AttachMode kNative{"native", XDP_FLAGS_DRV_MODE};  // in the driver
constexpr AttachMode kSkb{"skb", XDP_FLAGS_SKB_MODE};        // behind it, with every driver

class XdpPort final : public Port {
 public:
  /// @throws std::system_error
  XdpPort(const XdpPortOptions& options, const InterfaceInfo& interface, AttachMode attach,
          Resources& resources)
      : options_(options),
        interface_(interface),
        resources_(resources),
        ring_entries_(options.ring_entries != 0 ? options.ring_entries : resources.ring_entries),
        classifier_(xdp::Hook::kXdp, options.role, resources.selection.maps(), interface.mac,
                    interface.rx_queues),
        link_(classifier_.program(), interface.index, BPF_XDP, attach.flags),
        sockets_(interface.rx_queues),
        lent_sockets_(interface.rx_queues) {
    for (uint32_t i = 0; i < queues(); i++) sockets_[i] = make_socket(i);
    mode_ = std::string("xdp-") + attach.name +
            (sockets_[0]->zero_copy() ? "-zerocopy" : "-copy");
  }

  const std::string& name() const override { return options_.name; }
  const std::string& mode() const override { return mode_; }
  Role role() const override { return options_.role; }
  uint32_t queues() const override { return static_cast<uint32_t>(sockets_.size()); }
  int ifindex() const override { return interface_.index; }
  const uint8_t* mac() const override { return interface_.mac.data(); }
  uint32_t mtu_bytes() const override { return interface_.mtu_bytes; }
  void refresh() override {
    interface_.refresh(options_.device);
    classifier_.set_mac(interface_.mac);
  }

  std::unique_ptr<Queue> open_queue(uint32_t index, FramePool& pool) override {
    const std::lock_guard lock(mutex_);
    if (index >= queues()) throw std::out_of_range(options_.device + " has no such queue");
    if (&pool.umem() != &resources_.umem) throw std::logic_error("the pool has another Umem");
    auto socket = sockets_[index] ? std::move(sockets_[index]) : make_socket(index);
    lent_sockets_[index] = socket;
    return std::make_unique<xdp::XdpQueue>(std::move(socket), classifier_, index,
                                           ring_entries_, resources_.busy_poll_us > 0, pool);
  }
  /// Beside the queues' own sockets the kernel has none that sends over AF_XDP.
  std::unique_ptr<Queue> open_sender(FramePool& pool) override {
    return std::make_unique<SendingQueue>(interface_.index, pool);
  }
  uint32_t frames_held() const override { return ring_entries_; }

 private:
  std::shared_ptr<xdp::Socket> make_socket(uint32_t queue) {
    const auto sharing = any_socket();
    return std::make_shared<xdp::Socket>(
        resources_.umem, xdp::Socket::Options{.ifindex = interface_.index,
                                              .queue = queue,
                                              .ring_entries = ring_entries_,
                                              .sharing = sharing.get(),
                                              .busy_poll_us = resources_.busy_poll_us});
  }

  /// A bound socket of this port, here or in an open queue, or null.
  std::shared_ptr<xdp::Socket> any_socket() const {
    for (uint32_t i = 0; i < queues(); i++) {
      if (sockets_[i]) return sockets_[i];
      if (auto socket = lent_sockets_[i].lock()) return socket;
    }
    return nullptr;
  }

  XdpPortOptions options_;
  InterfaceInfo interface_;
  Resources& resources_;
  const uint32_t ring_entries_;
  std::string mode_;
  xdp::Classifier classifier_;
  xdp::Link link_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<xdp::Socket>> sockets_;      ///< bound, their queue not opened yet
  std::vector<std::weak_ptr<xdp::Socket>> lent_sockets_;   ///< in an open queue
};

void append(std::string& note, const std::string& text) {
  note += (note.empty() ? "" : "; ") + text;
}

}  // namespace

std::unique_ptr<Port> open_xdp_port(const XdpPortOptions& options, Resources& resources,
                                    std::string& note) {
  const InterfaceInfo interface = query_interface(options.device);
  if (options.queues != 0 && options.queues != interface.rx_queues) {
    // A packet on a queue without a socket would be dropped or go to the kernel.
    throw std::runtime_error(options.device + " has " + std::to_string(interface.rx_queues) +
                             " queues, not " + std::to_string(options.queues) +
                             ": every one must be served (\"ethtool -L " + options.device +
                             "\" changes their number)");
  }
  std::string notes;
  const uint32_t room = resources.umem.chunk_bytes() - FramePool::kHeadroom;
  if (interface.mtu_bytes + 14 > room) {
    append(notes, "frames over " + std::to_string(room) + " bytes are dropped, the MTU is " +
                      std::to_string(interface.mtu_bytes));
  }
  if (!interface.up) append(notes, options.device + " is down");

  std::string reasons;
  for (const AttachMode mode : {kNative, kSkb}) {
    try {
      auto port = std::make_unique<XdpPort>(options, interface, mode, resources);
      if (!reasons.empty()) append(notes, reasons);
      note = notes;
      return port;
    } catch (const std::system_error& error) {
      append(reasons, std::string("no XDP in ") + mode.name + " mode: " + error.what());
      // What is not allowed in one mode is not allowed in the other.
      if (error.code() == std::errc::operation_not_permitted) break;
    }
  }
  throw std::runtime_error(options.device + ": " + reasons);
}

}  // namespace esplane::port
