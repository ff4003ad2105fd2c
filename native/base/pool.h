// Memory for what packets look at among very many: SAs, their key tables and replay windows.
//
// A packet of one SA in a million finds nothing of it in a cache, and with pages of 4 KiB not even
// its addresses in the TLB. So blocks of one size each are cut from chunks of 2 MiB, which the
// kernel backs by one huge page where it can (`madvise` in
// /sys/kernel/mm/transparent_hugepage/enabled). The first chunk of a size stays in small pages: a
// gateway with few SAs takes no more than it uses. Chunks are no part of a core dump, as keys are in
// them. One that has become empty goes back to the kernel, but for one of each size: where few SAs
// come and go, each would map it anew.
//
// Where ESPLANE_HEAP_BLOCKS is defined, as in builds of tests, the blocks of instance() are the
// heap's own, so that sanitizers see their ends and their lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>

namespace esplane::base {

class Pool {
 public:
  static constexpr size_t kAlignment = 64;

  enum class Source : uint8_t { kChunks, kHeap };

  /// That of the process. It is never destroyed.
  static Pool& instance();

  explicit Pool(Source source = Source::kChunks) : source_(source) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// A block aligned to a cache line. Any thread.
  /// @throws std::bad_alloc
  void* allocate(size_t bytes);
  /// @param bytes  as it was allocated with
  void release(void* block, size_t bytes) noexcept;

 private:
  struct Block {
    Block* next;
  };
  struct Chunk;
  /// The chunks of one size of blocks that have a block free; the first is used first.
  struct Size {
    Chunk* usable = nullptr;
    uint32_t chunks = 0;
    bool has_empty = false;  ///< one of them has no block in use
  };

  static constexpr size_t kChunkBytes = size_t{2} << 20;
  /// Longer blocks are the heap's.
  static constexpr size_t kMostBytes = 16 << 10;

  bool is_of_heap(size_t bytes) const { return source_ == Source::kHeap || bytes > kMostBytes; }
  static size_t block_bytes(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
  Size& size_of(size_t bytes) { return sizes_[block_bytes(bytes) / kAlignment]; }
  static Chunk* make_chunk(bool huge);
  static void link(Size& size, Chunk* chunk);
  static void unlink(Size& size, Chunk* chunk);

  const Source source_;
  std::mutex mutex_;
  Size sizes_[kMostBytes / kAlignment + 1];
};

/// A base of classes whose objects are blocks of the pool.
struct Pooled {
  static void* operator new(size_t bytes) { return Pool::instance().allocate(bytes); }
  static void operator delete(void* block, size_t bytes) { Pool::instance().release(block, bytes); }
};

}  // namespace esplane::base
