// A port: where packets come from and go to. One interface over AF_XDP, TPACKET_V3, TUN, pcap
// files and memory. Calls are per burst, not per packet.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "packet/batch.h"
#include "port/umem.h"

namespace esplane::port {

/// What lies on a port's far side. It decides which XDP program and which pipeline serve it.
enum class Role : uint8_t {
  kLan,
  kWan,
  kHost,  ///< this host's own stack: IP packets without Ethernet headers
};

/// Counters of one queue, in packets. Read by any thread while the queue's worker runs.
struct QueueStats {
  uint64_t rx = 0, tx = 0;
  uint64_t rx_dropped = 0;       ///< the kernel had no room for them
  uint64_t rx_no_frame = 0;      ///< no frame was on the fill ring
  uint64_t tx_full = 0;          ///< refused by tx()
  uint64_t tx_invalid = 0;       ///< descriptors that the kernel refused

  QueueStats& operator+=(const QueueStats& o) {
    rx += o.rx;
    tx += o.tx;
    rx_dropped += o.rx_dropped;
    rx_no_frame += o.rx_no_frame;
    tx_full += o.tx_full;
    tx_invalid += o.tx_invalid;
    return *this;
  }
};

/// Of the rings that a queue shares with the kernel, at one moment. `size` is 0 where it has none.
struct QueueRings {
  struct Fill {
    uint32_t used = 0, size = 0;  ///< entries
  };
  Fill receive;     ///< packets that wait for the worker
  Fill transmit;    ///< packets that wait for the kernel
  Fill fill;        ///< frames for the kernel to receive into
  Fill completion;  ///< frames that have left, and wait for the worker
};

/// One receive and transmit queue of a port, driven by exactly one worker thread.
///
/// Frames received come from the worker's pool and belong to the caller; frames given to tx()
/// belong to the queue, which returns them to its own pool when they have left. A frame may be
/// received on one queue and sent on another of the same worker.
///
/// Destroying a queue returns every frame that it held to the pool, which must outlive it.
///
/// @note Partial checksums. A TCP or UDP stack on this host that sends through a veth leaves the
/// L4 checksum to "hardware": the field then holds the pseudo-header's sum only. TPACKET_V3 ports
/// complete it. XDP does not tell: whoever encrypts what an AF_XDP LAN port received has to
/// complete the checksum where the field equals the pseudo-header's sum:
/// packet::complete_checksum. (One full checksum in 65,536 equals it too; completing that one gives
/// the same value again.)
class Queue {
 public:
  virtual ~Queue() = default;

  /// Appends up to `max` received packets to `batch` (verdict kPending, `data` at the first byte:
  /// Ethernet header, or the IP header on a TUN). Never blocks.
  /// @return number appended
  virtual uint32_t rx(packet::Batch& batch, uint32_t max) = 0;

  /// Queues `count` packets for sending. Takes over the frames of those it accepts.
  /// @return number accepted, from the front
  virtual uint32_t tx(uint8_t* const* data, const uint32_t* length, uint32_t count) = 0;

  /// Starts transmission of what tx() queued and collects completed frames. Once per loop.
  virtual void flush() = 0;

  /// The device was busy: what tx() took waits for another flush(), and no descriptor tells when.
  virtual bool has_unsent() const { return false; }

  /// A descriptor that poll(2) reports readable when packets wait, or -1 (busy polling only).
  virtual int poll_fd() const = 0;

  virtual QueueStats stats() const = 0;
  /// Any thread, while the queue's worker runs.
  virtual QueueRings rings() const { return {}; }

  /// Nothing more is received but what waits already. Quick; between two owners.
  virtual void stop_receiving() {}
  /// Gives back what the kernel has of it, which may take milliseconds. Any thread; afterwards it
  /// is only destroyed, by who owns its pool.
  virtual void close() {}
};

/// A network attachment with one or more queues.
class Port {
 public:
  virtual ~Port() = default;

  virtual const std::string& name() const = 0;
  /// What was had, for people and JSON: "xdp-native-copy", "xdp-native-zerocopy", "xdp-skb-copy",
  /// "packet", "tun", "pcap", "memory".
  virtual const std::string& mode() const = 0;
  virtual Role role() const = 0;
  virtual uint32_t queues() const = 0;
  /// Interface index, or 0 where there is no interface.
  virtual int ifindex() const = 0;
  /// Our Ethernet address; zeros where there is none.
  virtual const uint8_t* mac() const = 0;
  virtual uint32_t mtu_bytes() const = 0;
  /// The interface's address or MTU may have changed: both are read again, and frames to the new
  /// address are ours from now on.
  /// @throws std::system_error where the interface is gone
  virtual void refresh() {}

  /// Opens queue `index` for a worker that owns `pool`; again only after it was closed. The port
  /// must outlive its queues. Any thread.
  /// @throws std::system_error, std::runtime_error with what could not be had
  virtual std::unique_ptr<Queue> open_queue(uint32_t index, FramePool& pool) = 0;
  /// Opens what only sends, for a worker that no queue is left for.
  /// @throws std::system_error; std::runtime_error where the port has none but its queues
  virtual std::unique_ptr<Queue> open_sender(FramePool&) {
    throw std::runtime_error("port " + name() + " has " + std::to_string(queues()) +
                             " queue(s), and cannot send beside them");
  }
  /// Frames of its worker that one queue keeps for receiving.
  virtual uint32_t frames_held() const { return 0; }
};

}  // namespace esplane::port
