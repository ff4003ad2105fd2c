#include "port/umem.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace esplane::port {
namespace {

constexpr size_t kHugepageBytes = size_t{2} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

uint8_t* map_anonymous(size_t bytes, int flags) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<uint8_t*>(p);
}

}  // namespace

Umem::Umem(uint32_t frames, uint32_t chunk_bytes) : frames_(frames), chunk_bytes_(chunk_bytes) {
  if (frames == 0) throw std::invalid_argument("a Umem needs at least one frame");
  // What AF_XDP accepts in aligned mode, and what leaves room for a packet behind the headroom.
  if (!std::has_single_bit(chunk_bytes) || chunk_bytes < 2048 || chunk_bytes > 4096) {
    throw std::invalid_argument("frames of a Umem have 2048 or 4096 bytes");
  }
  // A mapping starts on a page, which is aligned for every chunk size that is allowed.
  mapped_bytes_ = round_up(bytes(), kHugepageBytes);
  base_ = bytes() >= kHugepageBytes ? map_anonymous(mapped_bytes_, MAP_HUGETLB) : nullptr;
  hugepages_ = base_ != nullptr;
  if (!base_) {
    mapped_bytes_ = round_up(bytes(), static_cast<size_t>(sysconf(_SC_PAGESIZE)));
    base_ = map_anonymous(mapped_bytes_, 0);
  }
  if (!base_) throw std::system_error(errno, std::generic_category(), "cannot map packet memory");
  locked_ = mlock(base_, mapped_bytes_) == 0;
  madvise(base_, mapped_bytes_, MADV_DONTDUMP);
  madvise(base_, mapped_bytes_, MADV_DONTFORK);
}

Umem::~Umem() {
  // Decrypted packets have passed through here.
  explicit_bzero(base_, bytes());
  munmap(base_, mapped_bytes_);
}

FramePool::FramePool(Umem& umem, uint32_t first, uint32_t count) : umem_(umem) {
  if (first > umem.frames() || count > umem.frames() - first) {
    throw std::out_of_range("a frame pool exceeds its Umem");
  }
  free_.reserve(count);
  // Lowest frame on top, so that a lightly used pool stays within few pages.
  for (uint32_t i = count; i-- > 0;) {
    free_.push_back(umem.at(uint64_t{first + i} * umem.chunk_bytes()));
  }
}

}  // namespace esplane::port
