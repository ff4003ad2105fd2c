// Counters of one worker. Only that worker writes them, anyone may read them at any time: relaxed
// atomics that cost the writer a plain add.
#pragma once

#include <atomic>
#include <cstdint>

#include "packet/verdict.h"

namespace esplane::pipeline {

/// A counter with one writer.
class Counter {
 public:
  void add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct alignas(64) Counters {
  /// Every packet received ends in exactly one of these. (One that waits for its next hop counts
  /// as kHeld too, once.)
  Counter verdict[packet::kVerdictCount];

  Counter rx_packets;
  Counter esp_out_packets;  ///< ESP packets that a port took for sending
  Counter esp_out_bytes;    ///< of their outer IP packets
  Counter esp_in_packets;   ///< ESP packets whose ICV held and that passed the replay check
  Counter esp_in_bytes;     ///< of their outer IP packets
  Counter mss_clamped;      ///< TCP segments whose MSS option was lowered
  Counter dummies_sent;     ///< RFC 4303 §2.6; they are nobody's verdict
  Counter odd_ecn;          ///< packets accepted with ECN fields that no router makes (RFC 6040 §4.2)
  Counter icmp_errors;      ///< made by us; they are nobody's verdict
  Counter helped_bursts;    ///< of other workers' queues, whose heavy part this one did
  Counter busy_cycles;      ///< ticks of the time stamp counter spent in loops that had work
  Counter cycles;           ///< ticks since the worker started, sleep included

  void count(packet::Verdict v, uint64_t n = 1) { verdict[static_cast<uint32_t>(v)].add(n); }
};
static_assert(alignof(Counters) == 64, "two workers' counters never share a cache line");

}  // namespace esplane::pipeline
