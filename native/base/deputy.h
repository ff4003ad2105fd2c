// A thread that keeps the capabilities of whoever made it, and does on request what others may not
// do any more. It runs nothing else and sees no packet.
#pragma once

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace esplane::base {

class Deputy {
 public:
  /// @param name  of the thread, at most 15 characters
  explicit Deputy(const std::string& name);
  ~Deputy();
  Deputy(const Deputy&) = delete;
  Deputy& operator=(const Deputy&) = delete;

  /// Has it call `errand`, and waits until that has returned. One caller at a time.
  /// @throws what `errand` throws
  void run(std::function<void()> errand);

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable asked_;
  std::optional<std::packaged_task<void()>> errand_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all others
};

}  // namespace esplane::base
