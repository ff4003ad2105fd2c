// What an error of the kernel says of capabilities.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <thread>

#include "base/capabilities.h"
#include "port/system.h"

namespace esplane::port {
namespace {

std::string told(int error) {
  try {
    throw_errno(error, "cannot do it");
  } catch (const std::system_error& e) {
    return e.what();
  }
}

TEST_CASE("an error names the capabilities that this thread lacks, as far as they are its cause") {
  std::string denied, no_memory, other;
  std::thread([&] {
    REQUIRE(base::keep_capabilities(0) == 0);
    denied = told(EACCES);
    no_memory = told(ENOBUFS);
    other = told(ENOENT);
  }).join();
  CHECK(denied == "cannot do it (missing CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON): "
                  "Permission denied");
  CHECK(no_memory == "cannot do it (missing CAP_IPC_LOCK): No buffer space available");
  CHECK(other == "cannot do it: No such file or directory");
}

}  // namespace
}  // namespace esplane::port
