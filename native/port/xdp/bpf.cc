#include "port/xdp/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace esplane::port::xdp {
namespace {

int bpf(int command, bpf_attr& attr) {
  return static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
}

uint64_t pointer(const void* p) { return reinterpret_cast<uintptr_t>(p); }

/// The last lines of the verifier's log: there it says what it refused.
std::string tail(const std::string& log, size_t bytes) {
  if (log.size() <= bytes) return log;
  const size_t line = log.find('\n', log.size() - bytes);
  return log.substr(line == std::string::npos ? log.size() - bytes : line + 1);
}

}  // namespace

Map::Map(bpf_map_type type, const char* name, uint32_t key_bytes, uint32_t value_bytes,
         uint32_t entries, uint32_t flags)
    : name_(name) {
  bpf_attr attr{};
  attr.map_type = type;
  attr.key_size = key_bytes;
  attr.value_size = value_bytes;
  attr.max_entries = entries;
  attr.map_flags = flags;
  name_.copy(attr.map_name, sizeof attr.map_name - 1);
  fd_ = Fd{bpf(BPF_MAP_CREATE, attr)};
  if (!fd_) throw_errno(errno, "cannot create the BPF map " + name_);
}

void Map::update(const void* key, const void* value) const {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(fd());
  attr.key = pointer(key);
  attr.value = pointer(value);
  if (bpf(BPF_MAP_UPDATE_ELEM, attr) < 0)
    throw_errno(errno, "cannot write to the BPF map " + name_);
}

void Map::erase(const void* key) const {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(fd());
  attr.key = pointer(key);
  if (bpf(BPF_MAP_DELETE_ELEM, attr) < 0 && errno != ENOENT) {
    throw_errno(errno, "cannot delete from the BPF map " + name_);
  }
}

bool Map::lookup(const void* key, void* value) const {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(fd());
  attr.key = pointer(key);
  attr.value = pointer(value);
  return bpf(BPF_MAP_LOOKUP_ELEM, attr) == 0;
}

Program::Program(bpf_prog_type type, const char* name, std::span<const bpf_insn> instructions) {
  bpf_attr attr{};
  attr.prog_type = type;
  attr.insns = pointer(instructions.data());
  attr.insn_cnt = static_cast<uint32_t>(instructions.size());
  // The helpers that we call are open to any licence.
  attr.license = pointer("Apache-2.0");
  std::string_view(name).copy(attr.prog_name, sizeof attr.prog_name - 1);
  fd_ = Fd{bpf(BPF_PROG_LOAD, attr)};
  if (fd_) return;

  const int error = errno;
  std::string text = "cannot load the BPF program " + std::string(name);
  if (error != EPERM) {
    std::vector<char> log(1 << 18);
    attr.log_buf = pointer(log.data());
    attr.log_size = static_cast<uint32_t>(log.size());
    attr.log_level = 1;
    Fd again{bpf(BPF_PROG_LOAD, attr)};
    text += ", the verifier says: " + tail(std::string(log.data()), 1000);
  }
  throw_errno(error, text);
}

TestRun Program::test_run(std::span<const uint8_t> frame, uint32_t repetitions) const {
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<uint32_t>(fd());
  attr.test.data_in = pointer(frame.data());
  attr.test.data_size_in = static_cast<uint32_t>(frame.size());
  attr.test.repeat = repetitions;
  if (bpf(BPF_PROG_TEST_RUN, attr) < 0) throw_errno(errno, "cannot test-run a BPF program");
  return {attr.test.retval, attr.test.duration};
}

Link::Link(const Program& program, int ifindex, uint32_t attach_type, uint32_t flags) {
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<uint32_t>(program.fd());
  attr.link_create.target_ifindex = static_cast<uint32_t>(ifindex);
  attr.link_create.attach_type = attach_type;
  attr.link_create.flags = flags;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (!(fd_ = Fd{bpf(BPF_LINK_CREATE, attr)})) {
    if (errno != EBUSY || std::chrono::steady_clock::now() > give_up) {
      throw_errno(errno, errno == EBUSY ? "another BPF program is attached to the interface"
                                        : "cannot attach a BPF program to the interface");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace esplane::port::xdp
