#include "base/epoch.h"

#include <algorithm>

namespace esplane::base {

Epoch::Reader::Reader(Epoch& epoch) : epoch_(epoch), seen_(kIdle) {
  {
    const std::lock_guard lock(epoch_.mutex_);
    epoch_.readers_.push_back(this);
  }
  resume();
}

Epoch::Reader::~Reader() {
  const std::lock_guard lock(epoch_.mutex_);
  std::erase(epoch_.readers_, this);
  epoch_.free_unseen();
}

void Epoch::Reader::idle() {
  // As in resume(): either retire() sees that we are idle, or we see that something waits.
  seen_.store(kIdle, std::memory_order_release);
  epoch_.now_.fetch_add(0, std::memory_order_acq_rel);
  if (epoch_.waiting_.load(std::memory_order_relaxed) != 0) epoch_.collect();
}

void Epoch::Reader::resume() {
  // Both we and retire() change `now_` by a read-modify-write, so one of us comes first. If we do,
  // the collector sees that we are active; if retire() does, we see that its object is gone.
  seen_.store(0, std::memory_order_relaxed);
  const uint64_t now = epoch_.now_.fetch_add(0, std::memory_order_acq_rel);
  seen_.store(now, std::memory_order_release);
}

Epoch::~Epoch() {
  for (const Retired& r : retired_) r.destroy(r.object);
}

void Epoch::retire(const void* object, void (*destroy)(const void*)) {
  const std::lock_guard lock(mutex_);
  waiting_.store(retired_.size() + 1, std::memory_order_relaxed);
  const uint64_t since = now_.fetch_add(1, std::memory_order_acq_rel) + 1;
  retired_.push_back({object, destroy, since});
  free_unseen();
}

uint64_t Epoch::seen_by_all() const {
  uint64_t least = Reader::kIdle;
  for (const Reader* reader : readers_) {
    least = std::min(least, reader->seen_.load(std::memory_order_acquire));
  }
  return least;
}

void Epoch::collect() {
  const std::lock_guard lock(mutex_);
  free_unseen();
}

void Epoch::try_collect() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) free_unseen();
}

void Epoch::free_unseen() {
  const uint64_t seen = seen_by_all();
  const auto unseen = std::partition(retired_.begin(), retired_.end(),
                                     [seen](const Retired& r) { return r.since > seen; });
  for (auto r = unseen; r != retired_.end(); ++r) r->destroy(r->object);
  retired_.erase(unseen, retired_.end());
  waiting_.store(retired_.size(), std::memory_order_relaxed);
}

}  // namespace esplane::base
