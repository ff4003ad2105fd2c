// The way out of a lane: packets are staged per port, sent in bursts, and what is refused is
// counted and its frame given back. Order within a port is kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "net/next_hop.h"
#include "packet/batch.h"
#include "pipeline/counters.h"
#include "pipeline/hold_queue.h"
#include "pipeline/large_buffer.h"
#include "port/port.h"

namespace esplane::pipeline {

struct Watch;

/// Where packets that are the kernel's enter it.
class Reinjector {
 public:
  virtual ~Reinjector() = default;
  /// Hands over copies of the IP packets of a burst, at most Batch::kCapacity; their headers are
  /// nobody's any more. @return bit i: packet i was taken, and not refused
  virtual uint64_t write(uint8_t* const* packets, const uint32_t* bytes, uint32_t count) = 0;
};

class Egress {
 public:
  /// What is sent, for the counters.
  enum class Content : uint8_t {
    kClear,
    kEsp,
    kEspRest,  ///< a later fragment of an ESP packet
  };

  static constexpr uint32_t kEthernetBytes = 14;
  static constexpr uint16_t kIpv4Type = 0x0800, kIpv6Type = 0x86dd;  ///< IANA EtherTypes

  /// @param large  packets in it are in no frame
  Egress(port::FramePool& pool, Counters& counters, const LargeBuffer& large)
      : pool_(pool), counters_(&counters), large_(large) {}

  void count_in(Counters& counters) { counters_ = &counters; }
  /// The queue that the lane sends on by this port; of several the first.
  void set_queue(uint16_t port, port::Queue* queue);
  /// Nothing leads to the port any more.
  void remove_queue(uint16_t port) { ports_[port].queue = nullptr; }
  /// Where packets enter the host that go by the gateway's own TUN, or by the interface of a tunnel;
  /// null: nowhere.
  void set_reinjector(spd::Scope scope, Reinjector* reinjector);

  /// Whoever watches sees what is sent.
  void set_watch(const std::atomic<const Watch*>& watch, uint32_t lane) {
    watch_ = &watch;
    lane_ = lane;
  }

  /// Puts an Ethernet header before the IP packet at `data` and stages it. Takes over the frame.
  void forward(uint8_t* data, uint32_t length, const net::NextHop& hop, Content content,
               Origin origin) {
    Stage& stage = ports_[hop.port];
    if (stage.count == packet::Batch::kCapacity) send(stage);
    uint8_t* frame = data - kEthernetBytes;
    std::memcpy(frame, &hop.macs, sizeof hop.macs);
    base::store_be16(frame + sizeof hop.macs, data[0] >> 4 == 4 ? kIpv4Type : kIpv6Type);
    const uint32_t n = stage.count++;
    stage.data[n] = frame;
    stage.length[n] = length + kEthernetBytes;
    stage.content[n] = content;
    stage.origin[n] = origin;
  }

  /// Stages an IP packet that the kernel is handed. Takes over the frame. Never called for what is
  /// PROTECT.
  void reinject(uint8_t* data, uint32_t length, Origin origin, spd::Scope scope);

  /// Gives the frame back, and counts the verdict of what was received: packets of our own are in
  /// no verdict.
  void finish(uint8_t* data, packet::Verdict verdict, Origin origin) {
    if (origin == Origin::kReceived) counters_->count(verdict);
    release(data);
  }
  /// Gives the frame back without a verdict.
  void release(uint8_t* data) {
    if (!large_.owns(data)) pool_.put(data);
  }
  /// Frames for packets that the worker builds itself.
  port::FramePool& pool() { return pool_; }

  /// Sends what is staged. Once per burst.
  void send();
  /// Calls each(port, frame, length) for what is staged.
  template <typename Each>
  void each_staged(Each each) const {
    for (uint16_t p = 0; p < ports_.size(); p++) {
      for (uint32_t i = 0; i < ports_[p].count; i++)
        each(p, ports_[p].data[i], ports_[p].length[i]);
    }
  }
  /// Calls each(scope, packet, length) for what is staged to enter the host.
  template <typename Each>
  void each_staged_to_host(Each each) const {
    for (uint32_t i = 0; i < host_.count; i++)
      each(host_.scope[i], host_.data[i], host_.length[i]);
  }

 private:
  struct Stage {
    port::Queue* queue = nullptr;
    uint32_t count = 0;
    uint8_t* data[packet::Batch::kCapacity];
    uint32_t length[packet::Batch::kCapacity];
    Content content[packet::Batch::kCapacity];
    Origin origin[packet::Batch::kCapacity];
  };
  struct HostStage {
    uint32_t count = 0;
    uint8_t* data[packet::Batch::kCapacity];
    uint32_t length[packet::Batch::kCapacity];
    Origin origin[packet::Batch::kCapacity];
    spd::Scope scope[packet::Batch::kCapacity];
  };
  void send(Stage& stage);
  void send_to_host();
  uint64_t send_to_host(spd::Scope scope, uint64_t of);
  void show(const Stage& stage, const Watch& watch) const;

  static constexpr std::atomic<const Watch*> kUnwatched{nullptr};

  port::FramePool& pool_;
  Counters* counters_;
  const LargeBuffer& large_;
  std::vector<Stage> ports_;
  HostStage host_;
  std::vector<Reinjector*> reinjectors_;  ///< by scope
  const std::atomic<const Watch*>* watch_ = &kUnwatched;
  uint32_t lane_ = 0;
};

}  // namespace esplane::pipeline
