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
  epoch_.free_all_unseen();
}

void Epoch::Reader::idle() {
  // As in resume(): either retire() sees that we are idle, or we see that something waits.
  seen_.store(kIdle, std::memory_order_release);
  epoch_.now_.fetch_add(0, std::memory_order_acq_rel);
  if (epoch_.waiting() != 0) epoch_.collect();
}

void Epoch::Reader::resume() {
  // Both we and retire() change `now_` by a read-modify-write, so one of us comes first. If we do,
  // the collector sees that we are active; if retire() does, we see that its object is gone.
  seen_.store(0, std::memory_order_relaxed);
  const uint64_t now = epoch_.now_.fetch_add(0, std::memory_order_acq_rel);
  seen_.store(now, std::memory_order_release);
}

Epoch::~Epoch() {
  for (const Queue* queue : {&small_, &large_}) {
    for (const Retired& r : queue->retired) r.destroy(r.object);
  }
}

void Epoch::retire(const void* object, void (*destroy)(const void*), Queue& queue) {
  const std::lock_guard lock(mutex_);
  queue.waiting.store(queue.retired.size() + 1, std::memory_order_relaxed);
  const uint64_t since = now_.fetch_add(1, std::memory_order_acq_rel) + 1;
  queue.retired.push_back({object, destroy, since});
  free_all_unseen();
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
  free_all_unseen();
}

void Epoch::try_collect() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) free_unseen(small_, seen_by_all(), kFew);
}

void Epoch::free_all_unseen() {
  const uint64_t seen = seen_by_all();
  free_unseen(small_, seen);
  free_unseen(large_, seen);
}

void Epoch::free_unseen(Queue& queue, uint64_t seen, uint32_t most) {
  auto& retired = queue.retired;
  for (; most > 0 && !retired.empty() && retired.front().since <= seen; most--) {
    retired.front().destroy(retired.front().object);
    retired.pop_front();
  }
  queue.waiting.store(retired.size(), std::memory_order_relaxed);
}

}  // namespace esplane::base
