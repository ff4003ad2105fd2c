#include "port/memory/memory_port.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "port/memory/spsc_ring.h"
#include "port/queue_counters.h"
#include "port/system.h"

namespace esplane::port {
namespace {

/// One direction of one queue. The sender lends its frames; the receiver copies and returns them.
struct Lane {
  struct Packet {
    uint8_t* data;
    uint32_t length;
  };

  explicit Lane(uint32_t ring_entries)
      : entries(ring_entries),
        packets(ring_entries),
        returned(ring_entries),
        event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!event) throw_errno(errno, "cannot make an event descriptor");
  }

  const uint32_t entries;
  SpscRing<Packet> packets;     ///< sender to receiver
  SpscRing<uint8_t*> returned;  ///< back; never full, since the sender lends at most its entries
  Fd event;
  std::atomic<bool> receiver_open{false};
  std::atomic<bool> receiver_waits{true};  ///< found nothing, and may go to sleep
  std::atomic<bool> event_set{false};
  /// Held by the receiver during a burst, and by either side that goes away.
  std::atomic<bool> busy{false};

  bool try_lock() { return !busy.exchange(true, std::memory_order_acquire); }
  void lock() {
    while (!try_lock()) std::this_thread::yield();
  }
  void unlock() { busy.store(false, std::memory_order_release); }
};

/// What both ends of a cable share.
struct Wire {
  Wire(uint32_t queues, uint32_t entries) {
    for (auto& direction : lanes) {
      for (uint32_t i = 0; i < queues; i++) direction.push_back(std::make_unique<Lane>(entries));
    }
  }
  uint32_t queues() const { return static_cast<uint32_t>(lanes[0].size()); }

  std::array<std::vector<std::unique_ptr<Lane>>, 2> lanes;  ///< [sending end][queue]
  std::array<std::atomic<bool>, 2> taken{};                 ///< ends that have a port
};

class MemoryQueue final : public Queue {
 public:
  MemoryQueue(std::shared_ptr<Wire> wire, uint32_t end, uint32_t index, FramePool& pool)
      : wire_(std::move(wire)),
        out_(*wire_->lanes[end][index]),
        in_(*wire_->lanes[1 - end][index]),
        pool_(pool) {
    if (in_.receiver_open.exchange(true)) throw std::logic_error("the queue is open already");
  }
  ~MemoryQueue() override;

  uint32_t rx(packet::Batch& batch, uint32_t max) override;
  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override;
  void flush() override;
  int poll_fd() const override { return in_.event.get(); }
  QueueStats stats() const override { return counters_.stats(); }

 private:
  bool anything_arrived();
  void collect_returned();

  std::shared_ptr<Wire> wire_;
  Lane& out_;
  Lane& in_;
  FramePool& pool_;
  QueueCounters counters_;
  uint32_t lent_ = 0;  ///< frames of ours that the other end has, or has returned
};

MemoryQueue::~MemoryQueue() {
  {  // As receiver: give back what was not read.
    const std::lock_guard guard(in_);
    in_.receiver_open.store(false);
    for (uint32_t n = in_.packets.available(); n > 0; n--)
      in_.returned.push(in_.packets.pop().data);
    in_.packets.release();
    in_.returned.publish();
  }
  // As sender: take back what was lent.
  const std::lock_guard guard(out_);
  for (uint32_t n = out_.packets.available(); n > 0; n--) pool_.put(out_.packets.pop().data);
  out_.packets.release();
  collect_returned();
}

/// False if there is nothing to receive; then the sender's next flush raises the event.
bool MemoryQueue::anything_arrived() {
  if (in_.packets.available() > 0) return true;
  if (in_.event_set.exchange(false)) {
    uint64_t count;
    [[maybe_unused]] const ssize_t n = read(in_.event.get(), &count, sizeof count);
  }
  in_.receiver_waits.store(true);
  // Against a sender that published before it could see that we wait (its fence is in flush).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return in_.packets.available() > 0;
}

uint32_t MemoryQueue::rx(packet::Batch& batch, uint32_t max) {
  const std::unique_lock guard(in_, std::try_to_lock);
  if (!guard) return 0;  // the sender is going away, and takes its packets with it
  if (!anything_arrived()) return 0;
  const uint32_t room = pool_.umem().chunk_bytes() - FramePool::kHeadroom;
  const uint32_t count =
      std::min({max, packet::Batch::kCapacity - batch.size, in_.packets.available()});
  uint32_t received = 0;
  for (uint32_t n = 0; n < count; n++) {
    uint8_t* frame = pool_.get();
    if (!frame) {
      counters_.rx_no_frame.add(1);
      break;
    }
    const Lane::Packet packet = in_.packets.pop();
    in_.returned.push(packet.data);
    if (packet.length > room) {
      counters_.rx_dropped.add(1);
      pool_.put(frame);
      continue;
    }
    std::memcpy(frame + FramePool::kHeadroom, packet.data, packet.length);
    const uint32_t i = batch.size++;
    batch.data[i] = frame + FramePool::kHeadroom;
    batch.length[i] = packet.length;
    batch.verdict[i] = packet::Verdict::kPending;
    received++;
  }
  in_.packets.release();
  in_.returned.publish();
  counters_.rx.add(received);
  return received;
}

uint32_t MemoryQueue::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  collect_returned();
  uint32_t accepted = 0;
  if (out_.receiver_open.load(std::memory_order_acquire)) {
    // Never more on loan than `returned` can hold.
    accepted = std::min({count, out_.packets.room(count), out_.entries - lent_});
    for (uint32_t i = 0; i < accepted; i++) out_.packets.push({data[i], length[i]});
    out_.packets.publish();
    lent_ += accepted;
  }
  counters_.tx.add(accepted);
  counters_.tx_full.add(count - accepted);
  return accepted;
}

void MemoryQueue::flush() {
  collect_returned();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!out_.receiver_waits.load(std::memory_order_relaxed)) return;
  if (lent_ == 0 || !out_.receiver_waits.exchange(false)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(out_.event.get(), &one, sizeof one);
  // Only now: a receiver that reads the event before it is written would never read it again.
  out_.event_set.store(true);
}

void MemoryQueue::collect_returned() {
  // available() looks at the other side's index only when it has nothing left of its last look.
  while (const uint32_t count = out_.returned.available()) {
    for (uint32_t i = 0; i < count; i++) pool_.put(out_.returned.pop());
    out_.returned.release();
    lent_ -= count;
  }
}

class MemoryPort final : public Port {
 public:
  MemoryPort(std::shared_ptr<Wire> wire, uint32_t end, const MemoryPortOptions& options)
      : wire_(std::move(wire)), end_(end), options_(options) {
    // A locally administered address of its own, so that Ethernet works as on a real wire.
    static std::atomic<uint16_t> next{1};
    const uint16_t number = next++;
    mac_ = {
        0x02, 0x65, 0x73, 0x70, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  }
  ~MemoryPort() override { wire_->taken[end_] = false; }

  const std::string& name() const override { return options_.name; }
  const std::string& mode() const override { return mode_; }
  Role role() const override { return options_.role; }
  uint32_t queues() const override { return wire_->queues(); }
  int ifindex() const override { return 0; }
  const uint8_t* mac() const override { return mac_.data(); }
  uint32_t mtu_bytes() const override { return options_.mtu_bytes; }
  std::unique_ptr<Queue> open_queue(uint32_t index, FramePool& pool) override {
    if (index >= queues()) throw std::out_of_range(options_.name + " has no such queue");
    return std::make_unique<MemoryQueue>(wire_, end_, index, pool);
  }

 private:
  std::shared_ptr<Wire> wire_;
  uint32_t end_;
  MemoryPortOptions options_;
  std::string mode_ = "memory";
  std::array<uint8_t, 6> mac_;
};

std::unique_ptr<Port> take_end(std::shared_ptr<Wire> wire, const MemoryPortOptions& options) {
  for (uint32_t end : {0u, 1u}) {
    if (!wire->taken[end].exchange(true)) {
      return std::make_unique<MemoryPort>(std::move(wire), end, options);
    }
  }
  throw std::invalid_argument("both ends of the memory link are taken");
}

}  // namespace

std::unique_ptr<Port> open_memory_port(const std::string& link, const MemoryPortOptions& options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Wire>> wires;
  const std::lock_guard lock(mutex);
  std::erase_if(wires, [](const auto& entry) { return entry.second.expired(); });
  auto wire = wires[link].lock();
  if (!wire) {
    wire = std::make_shared<Wire>(std::max(1u, options.queues), options.ring_entries);
    wires[link] = wire;
  }
  if (wire->queues() != std::max(1u, options.queues)) {
    throw std::invalid_argument("memory link \"" + link + "\" has " +
                                std::to_string(wire->queues()) + " queues at its other end");
  }
  return take_end(std::move(wire), options);
}

std::pair<std::unique_ptr<Port>, std::unique_ptr<Port>> make_memory_pair(
    const MemoryPortOptions& a, const MemoryPortOptions& b) {
  auto wire = std::make_shared<Wire>(std::max(1u, a.queues), a.ring_entries);
  auto first = take_end(wire, a);
  return {std::move(first), take_end(std::move(wire), b)};
}

}  // namespace esplane::port
