#include "base/pool.h"

#include <sys/mman.h>

#include <utility>

namespace esplane::base {

/// At the beginning of its memory; blocks follow, and what was never given out yet lies behind
/// `fresh`.
struct alignas(Pool::kAlignment) Pool::Chunk {
  Chunk* before = nullptr;
  Chunk* next = nullptr;
  Block* free = nullptr;
  uint32_t used = 0;  ///< blocks
  uint32_t fresh = sizeof(Chunk);

  bool is_full(size_t bytes) const { return free == nullptr && fresh + bytes > kChunkBytes; }
  void* take(size_t bytes) {
    used++;
    if (free == nullptr) {
      void* block = reinterpret_cast<uint8_t*>(this) + fresh;
      fresh += static_cast<uint32_t>(bytes);
      return block;
    }
    Block* block = free;
    free = block->next;
    return block;
  }
  void give_back(void* memory) {
    used--;
    free = new (memory) Block{free};
  }
  static Chunk* of(void* block) {
    return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(block) & ~(kChunkBytes - 1));
  }
};

Pool& Pool::instance() {
#if defined(ESPLANE_HEAP_BLOCKS)
  constexpr auto kSource = Source::kHeap;
#else
  constexpr auto kSource = Source::kChunks;
#endif
  // Objects may be destroyed later than any static one.
  static Pool* const pool = new Pool(kSource);
  return *pool;
}

void* Pool::allocate(size_t bytes) {
  if (is_of_heap(bytes)) return ::operator new(bytes, std::align_val_t{kAlignment});
  const size_t each = block_bytes(bytes);
  Size& size = size_of(bytes);
  const std::lock_guard lock(mutex_);
  if (size.usable == nullptr) {
    link(size, make_chunk(size.chunks > 0));
    size.chunks++;
  }
  Chunk* chunk = size.usable;
  if (chunk->used == 0) size.has_empty = false;
  void* block = chunk->take(each);
  if (chunk->is_full(each)) unlink(size, chunk);
  return block;
}

void Pool::release(void* block, size_t bytes) noexcept {
  if (is_of_heap(bytes)) return ::operator delete(block, std::align_val_t{kAlignment});
  Size& size = size_of(bytes);
  Chunk* chunk = Chunk::of(block);
  const std::lock_guard lock(mutex_);
  const bool was_full = chunk->is_full(block_bytes(bytes));
  chunk->give_back(block);
  if (was_full) link(size, chunk);
  if (chunk->used > 0) return;
  if (!std::exchange(size.has_empty, true)) return;
  unlink(size, chunk);
  size.chunks--;
  munmap(chunk, kChunkBytes);
}

/// Maps twice as much and cuts off what is not aligned.
Pool::Chunk* Pool::make_chunk(bool huge) {
  void* memory = mmap(nullptr, 2 * kChunkBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<uint8_t*>(memory);
  auto* chunk = reinterpret_cast<uint8_t*>(Chunk::of(begin + kChunkBytes - 1));
  if (chunk != begin) munmap(begin, static_cast<size_t>(chunk - begin));
  uint8_t* end = chunk + kChunkBytes;
  if (end != begin + 2 * kChunkBytes) munmap(end, static_cast<size_t>(begin + 2 * kChunkBytes - end));
  madvise(chunk, kChunkBytes, MADV_DONTDUMP);
  madvise(chunk, kChunkBytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return new (chunk) Chunk;
}

void Pool::link(Size& size, Chunk* chunk) {
  chunk->before = nullptr;
  chunk->next = size.usable;
  if (chunk->next != nullptr) chunk->next->before = chunk;
  size.usable = chunk;
}

void Pool::unlink(Size& size, Chunk* chunk) {
  (chunk->before != nullptr ? chunk->before->next : size.usable) = chunk->next;
  if (chunk->next != nullptr) chunk->next->before = chunk->before;
}

}  // namespace esplane::base
