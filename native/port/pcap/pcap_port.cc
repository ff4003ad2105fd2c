#include "port/pcap/pcap_port.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "port/pcap/pcap_file.h"
#include "port/queue_counters.h"

namespace esplane::port {
namespace {

class PcapQueue final : public Queue {
 public:
  PcapQueue(const std::vector<CapturedPacket>* arriving, PcapWriter* writer, FramePool& pool)
      : arriving_(arriving), writer_(writer), pool_(pool) {}

  uint32_t rx(packet::Batch& batch, uint32_t max) override {
    const uint32_t room = pool_.umem().chunk_bytes() - FramePool::kHeadroom;
    const size_t count = arriving_ ? arriving_->size() : 0;
    uint32_t received = 0;
    while (next_ < count && received < max && batch.size < packet::Batch::kCapacity) {
      const CapturedPacket& packet = (*arriving_)[next_];
      if (packet.data.size() > room || packet.data.size() < packet.original_bytes) {
        counters_.rx_dropped.add(1);  // does not fit a frame, or the capture has cut it
        next_++;
        continue;
      }
      uint8_t* frame = pool_.get();
      if (!frame) {
        counters_.rx_no_frame.add(1);
        break;
      }
      std::memcpy(frame + FramePool::kHeadroom, packet.data.data(), packet.data.size());
      const uint32_t i = batch.size++;
      batch.data[i] = frame + FramePool::kHeadroom;
      batch.length[i] = static_cast<uint32_t>(packet.data.size());
      batch.verdict[i] = packet::Verdict::kPending;
      received++;
      next_++;
    }
    counters_.rx.add(received);
    return received;
  }

  uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) override {
    for (uint32_t i = 0; i < count; i++) {
      const bool written = !writer_ || writer_->write({data[i], length[i]});
      (written ? counters_.tx : counters_.tx_invalid).add(1);
      pool_.put(data[i]);
    }
    return count;
  }

  void flush() override {
    if (writer_) writer_->flush();
  }
  int poll_fd() const override { return -1; }
  QueueStats stats() const override { return counters_.stats(); }

 private:
  const std::vector<CapturedPacket>* arriving_;
  PcapWriter* writer_;
  FramePool& pool_;
  size_t next_ = 0;
  QueueCounters counters_;
};

class PcapPort final : public Port {
 public:
  PcapPort(const std::string& name, Role role, const std::string& read_path,
           const std::string& write_path)
      : name_(name), role_(role) {
    if (!read_path.empty()) arriving_.emplace(read_path);
    if (!write_path.empty()) writer_.emplace(write_path);
  }

  const std::string& name() const override { return name_; }
  const std::string& mode() const override { return mode_; }
  Role role() const override { return role_; }
  uint32_t queues() const override { return 1; }
  int ifindex() const override { return 0; }
  const uint8_t* mac() const override { return mac_.data(); }
  uint32_t mtu_bytes() const override { return 1500; }

  std::unique_ptr<Queue> open_queue(uint32_t index, FramePool& pool) override {
    if (index > 0) throw std::out_of_range(name_ + " has one queue");
    return std::make_unique<PcapQueue>(arriving_ ? &arriving_->packets() : nullptr,
                                       writer_ ? &*writer_ : nullptr, pool);
  }

 private:
  std::string name_;
  std::string mode_ = "pcap";
  Role role_;
  std::array<uint8_t, 6> mac_{};
  std::optional<PcapFile> arriving_;
  std::optional<PcapWriter> writer_;
};

}  // namespace

std::unique_ptr<Port> open_pcap_port(const std::string& name, Role role,
                                     const std::string& read_path, const std::string& write_path) {
  return std::make_unique<PcapPort>(name, role, read_path, write_path);
}

}  // namespace esplane::port
