// What the privileged tests share: a network namespace of their own, and a loud skip without it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "port/system.h"

namespace esplane::test {

/// False, and says so, where this process may not do what lab tests do. With CI set, a
/// skip is a failure.
inline bool privileged() {
  const std::string missing = port::missing_capabilities();
  if (missing.empty()) return true;
  std::fprintf(stderr, "SKIPPED %s: missing %s\n",
               doctest::getContextOptions()->currentTest->m_name, missing.c_str());
  if (std::getenv("CI")) FAIL("a privileged test was skipped in CI");
  return false;
}

/// Moves this thread into a new, anonymous network namespace, and back at the end. The namespace
/// and all in it are gone when the last descriptor into it is closed.
class NetworkNamespace {
 public:
  NetworkNamespace() : before_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    if (!before_ || unshare(CLONE_NEWNET) < 0) throw std::runtime_error("cannot make a namespace");
    run("ip link set lo up");
  }
  ~NetworkNamespace() { setns(before_.get(), CLONE_NEWNET); }
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  /// Runs a command in the namespace. @throws std::runtime_error if it fails
  static void run(const std::string& command) {
    if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
  }

  /// Makes a pair of interfaces without traffic of their own.
  static void make_veth(const std::string& a, const std::string& b, int queues = 1) {
    const std::string count = " numtxqueues " + std::to_string(queues) + " numrxqueues " +
                              std::to_string(queues);
    run("ip link add " + a + count + " type veth peer name " + b + count);
    for (const std::string& device : {a, b}) {
      run("sysctl -qw net.ipv6.conf." + device + ".disable_ipv6=1");
      run("ip link set " + device + " arp off up");
    }
  }

 private:
  port::Fd before_;
};

}  // namespace esplane::test
