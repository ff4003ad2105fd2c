#include "base/deputy.h"

#include <pthread.h>

#include <utility>

namespace esplane::base {

Deputy::Deputy(const std::string& name) : thread_(&Deputy::serve, this) {
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

Deputy::~Deputy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

void Deputy::run(std::function<void()> errand) {
  std::packaged_task<void()> task(std::move(errand));
  auto done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    errand_ = std::move(task);
  }
  asked_.notify_one();
  done.get();
}

void Deputy::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return stopping_ || errand_; });
    if (stopping_) return;
    auto task = std::move(*errand_);
    errand_.reset();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace esplane::base
