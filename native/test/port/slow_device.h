// A network device that takes packets no faster than a test reads them: a TAP.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "port/port.h"
#include "port/system.h"
#include "test/port/lab.h"

namespace esplane::test {

class SlowDevice {
 public:
  explicit SlowDevice(const char* name) : fd_(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    REQUIRE(ioctl(fd_.get(), TUNSETIFF, &request) == 0);
    NetworkNamespace::run("sysctl -qw net.ipv6.conf." + std::string(name) + ".disable_ipv6=1");
    NetworkNamespace::run("ip link set " + std::string(name) + " arp off up");
  }

  /// Reads all that has left. @return packets
  uint32_t drain() {
    uint32_t count = 0;
    char frame[2048];
    while (read(fd_.get(), frame, sizeof frame) > 0) count++;
    return count;
  }

 private:
  port::Fd fd_;
};

/// Sends until the device takes no more, then lets it go on: all that was accepted leaves, and the
/// queue says for how long something waits.
inline void check_that_waiting_is_told(port::Queue& queue, port::FramePool& pool, SlowDevice& device) {
  constexpr uint32_t kBytes = 1000, kMostTurns = 100;
  CHECK_FALSE(queue.has_unsent());
  uint32_t accepted = 0;
  for (uint32_t turn = 0; turn < kMostTurns && !queue.has_unsent(); turn++) {
    for (uint32_t i = 0; i < 32; i++) {
      uint8_t* frame = pool.get();
      REQUIRE(frame != nullptr);
      std::memset(frame, 0xff, kBytes);
      if (queue.tx(&frame, &kBytes, 1) == 1) accepted++;
      else pool.put(frame);
    }
    queue.flush();
  }
  REQUIRE(queue.has_unsent());
  uint32_t left = 0;
  for (uint32_t turn = 0; turn < kMostTurns && left < accepted; turn++) {
    left += device.drain();
    queue.flush();
  }
  left += device.drain();
  CHECK(left == accepted);
  CHECK_FALSE(queue.has_unsent());
}

}  // namespace esplane::test
