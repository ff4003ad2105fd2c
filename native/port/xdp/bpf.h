// bpf(2), as little of it as we need: maps, programs, links and test runs. No libbpf.
//
// Every object lives as long as its descriptor. Nothing is pinned, so all of it goes away with
// the process, by SIGKILL too.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>
#include <string>

#include "port/system.h"

namespace esplane::port::xdp {

/// A BPF map.
class Map {
 public:
  Map() = default;
  /// @throws std::system_error; where a capability is missing, it is named
  Map(bpf_map_type type, const char* name, uint32_t key_bytes, uint32_t value_bytes,
      uint32_t entries, uint32_t flags = 0);

  int fd() const { return fd_.get(); }
  /// @throws std::system_error
  void update(const void* key, const void* value) const;
  /// An entry that is not there is no error. @throws std::system_error
  void erase(const void* key) const;
  /// @return true if there is an entry; its value is then in `value`
  bool lookup(const void* key, void* value) const;

 private:
  Fd fd_;
  std::string name_;
};

/// What a test run of a program gave.
struct TestRun {
  uint32_t result;       ///< XDP_* or TC_ACT_*
  uint32_t nanoseconds;  ///< mean of all repetitions
};

/// A loaded program.
class Program {
 public:
  Program() = default;
  /// @throws std::system_error with the verifier's last lines, or the missing capability
  Program(bpf_prog_type type, const char* name, std::span<const bpf_insn> instructions);

  int fd() const { return fd_.get(); }
  /// Runs the program on `frame` (at least 14 bytes) in the kernel, by BPF_PROG_TEST_RUN.
  TestRun test_run(std::span<const uint8_t> frame, uint32_t repetitions = 1) const;

 private:
  Fd fd_;
};

/// An attachment of a program to an interface, undone when it is destroyed.
class Link {
 public:
  Link() = default;
  /// @param attach_type  BPF_XDP or kTcxIngress
  /// @param flags        for BPF_XDP: XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE
  /// @throws std::system_error. EBUSY (an earlier owner is just going) is retried for a second.
  Link(const Program& program, int ifindex, uint32_t attach_type, uint32_t flags);

  explicit operator bool() const { return bool{fd_}; }

  /// BPF_TCX_INGRESS: Linux 6.6 and later; older headers do not name it.
  static constexpr uint32_t kTcxIngress = 46;

 private:
  Fd fd_;
};

}  // namespace esplane::port::xdp
