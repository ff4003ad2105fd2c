// The Security Association Database of the packet path (RFC 4301 §4.4.2).
//
// Inbound SPIs are ours to choose, so the low bits of an SPI are the index of its SA and the other
// bits are random: no hash, no collision. Workers look up without a lock; any thread installs and
// removes. What is removed is wiped and freed when no worker can hold it any more (base/epoch.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/epoch.h"
#include "sad/masking.h"
#include "sad/outbound_index.h"
#include "sad/sa.h"
#include "sad/schedule.h"

namespace esplane::sad {

/// No free index.
struct SadFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Counters of a pair, as ChildSaCounters of src/sad/sad.ts.
struct PairCounters {
  uint64_t in_packets = 0, in_bytes = 0;    ///< bytes of inner packets
  uint64_t out_packets = 0, out_bytes = 0;
  uint64_t in_sequence = 0;                 ///< highest received
  uint64_t in_lost = 0;                     ///< never received, and left of the window
  uint64_t out_sequence = 0;                ///< next to send
  /// Largest packets that the path takes, outside and inside, ICMP's word included; 0 before a
  /// packet was sent. By Dataplane::counters.
  uint32_t path_mtu_bytes = 0, inner_mtu_bytes = 0;
  uint64_t refused[packet::kVerdictCount] = {};
};

class Sad {
 public:
  static constexpr uint32_t kMostPairs = 1u << 20;

  /// @param capacity  most pairs and reserved SPIs at once, 1..kMostPairs
  Sad(uint32_t capacity, base::Epoch& epoch);
  ~Sad();
  Sad(const Sad&) = delete;
  Sad& operator=(const Sad&) = delete;

  /// Reserves an inbound SPI, above 255 (RFC 4303 §2.1). Any thread.
  /// @throws SadFull
  uint32_t allocate_spi();
  /// Gives back a reserved SPI under which nothing was installed; others are left alone.
  void release_spi(uint32_t spi);

  /// Makes both SAs of a pair under a reserved SPI. Inbound packets find theirs at once; the
  /// outbound one is used once the caller attaches it to a policy (spd::Spd::attach), and masks its
  /// silence once the caller says so.
  /// @return the outbound SA, valid until remove()
  /// @throws std::invalid_argument where the parameters are not usable, or the SPI not reserved
  OutboundSa* install(const SaParameters& parameters);

  /// Unpublishes a pair. The caller has detached the outbound SA from its policy before
  /// (spd::Spd::detach). Its keys are wiped when no worker can hold it.
  /// @return false where no such pair is installed
  bool remove(uint32_t inbound_spi);

  /// Whether the silence of a pair is filled with dummies, where its parameters ask for any. Its peer
  /// has to have the pair, and no other is to be sent on in its place. Any thread.
  void set_masked(uint32_t inbound_spi, bool masked);

  /// Sends a pair's packets between these ends from now on, and expects its peer there: a NAT
  /// changed its mapping (RFC 7296 §2.23), or a side moved (RFC 4555 §3.5). Traffic goes on; a
  /// packet goes the old or the new way. Any thread.
  /// @return false where no such pair is installed
  /// @throws std::invalid_argument for addresses of another family, or in transport mode, whose
  ///         packets have addresses of their own
  bool move(uint32_t inbound_spi, const Endpoint& local, const Endpoint& remote);

  /// The inbound SA with this SPI, or null. Workers only, between two quiescent().
  InboundSa* find(uint32_t spi) const {
    InboundSa* sa = at_index_of(spi);
    return sa && sa->spi == spi ? sa : nullptr;
  }
  /// The SA that has this SPI if any has. Likewise.
  InboundSa* at_index_of(uint32_t spi) const {
    const uint32_t index = spi & index_mask_;
    return index < capacity_ ? inbound_[index].load(std::memory_order_acquire) : nullptr;
  }
  void prefetch(uint32_t spi) const {
    const uint32_t index = spi & index_mask_;
    if (index < capacity_) __builtin_prefetch(&inbound_[index]);
  }

  /// Any thread. Nothing where no such pair is installed.
  std::optional<PairCounters> counters(uint32_t inbound_spi) const;
  /// The outbound SA of a pair, or null. The pointer is safe until that pair is removed: for
  /// threads that remove pairs themselves.
  OutboundSa* outbound(uint32_t inbound_spi) const;
  /// The outbound SA with this SPI to this peer, as an ICMP error quotes it, or null; of several
  /// the newest. Takes the lock. For workers the pointer holds until they are quiescent.
  OutboundSa* find_outbound(uint32_t outbound_spi, const packet::IpAddress& peer) const;
  /// Calls `each(inbound, outbound)` for pairs that have reached a limit of time, once for each
  /// limit; for a few of them at most: others stay due. Takes the lock only where one is due.
  template <typename Each>
  void each_expired(uint32_t now_s, Each each) {
    if (schedule_.next_s() > now_s) return;
    const std::lock_guard lock(mutex_);
    for (uint32_t n = 0; n < kFewExpired; n++) {
      const Slot* slot = installed(schedule_.take(now_s));
      if (slot == nullptr) return;
      each(*slot->inbound, *slot->outbound);
    }
  }
  using Maskings = std::vector<std::shared_ptr<Masking>>;
  /// The SAs that send dummy packets; null: none does. Workers only, between two quiescent().
  const Maskings* maskings() const { return maskings_.load(std::memory_order_acquire); }

  /// Pairs installed. Any thread.
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  uint32_t capacity() const { return capacity_; }

 private:
  /// What the control side knows about an index; under the mutex.
  struct Slot {
    uint32_t spi = 0;          ///< reserved, installed, or the last one handed out
    bool reserved = false;
    std::unique_ptr<InboundSa> inbound;
    std::unique_ptr<OutboundSa> outbound;
  };

  Slot* installed(uint32_t spi);
  const Slot* installed(uint32_t spi) const;
  void free_index(uint32_t index);
  void set_masked(OutboundSa& sa, bool masked);

  static constexpr uint32_t kFewExpired = 32;

  const uint32_t capacity_;
  const uint32_t index_mask_;
  base::Epoch& epoch_;
  std::unique_ptr<std::atomic<InboundSa*>[]> inbound_;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  OutboundIndex by_outbound_spi_;
  std::deque<uint32_t> free_;  ///< oldest first: an index rests as long as possible
  std::atomic<uint32_t> size_{0};
  Schedule schedule_;
  std::atomic<const Maskings*> maskings_{nullptr};  ///< owned; replaced as a whole
};

}  // namespace esplane::sad
