#include "base/deputy.h"

#include <doctest/doctest.h>
#include <linux/capability.h>
#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <thread>

#include "base/capabilities.h"
#include "port/system.h"
#include "test/port/lab.h"

using esplane::base::Deputy;

TEST_CASE("a deputy runs errands on a thread of its own, and what they throw reaches the caller") {
  Deputy deputy("deputy");
  std::thread::id ran_on;
  for (int i = 0; i < 100; i++) deputy.run([&] { ran_on = std::this_thread::get_id(); });
  CHECK(ran_on != std::this_thread::get_id());
  CHECK_THROWS_WITH(deputy.run([] { throw std::runtime_error("no"); }), "no");
  int done = 0;
  deputy.run([&] { done++; });
  CHECK(done == 1);
}

TEST_SUITE("lab") {
  TEST_CASE("a deputy may what the thread that made it has given up since") {
    if (!esplane::test::privileged()) return;
    const auto open = [] { return esplane::port::Fd(socket(AF_PACKET, SOCK_RAW, 0)); };
    bool own = true, by_deputy = false;
    std::thread([&] {
      Deputy deputy("deputy");
      esplane::base::keep_capabilities(0);
      own = static_cast<bool>(open());
      deputy.run([&] { by_deputy = static_cast<bool>(open()); });
    }).join();
    CHECK_FALSE(own);
    CHECK(by_deputy);
  }
}
