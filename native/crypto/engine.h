// Engines: implementations of a suite, on batches. Own kernels, or those of a library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "crypto/batch.h"
#include "crypto/suite.h"

namespace esplane::crypto {

/// The keys of one SA in one direction, without the salt. Read during a call only.
struct Keys {
  std::span<const uint8_t> encryption;      ///< Suite::encryption_key_bytes
  std::span<const uint8_t> integrity = {};  ///< Suite::integrity_key_bytes
};

struct CipherPart;
struct MacPart;

/// One implementation. All function pointers are set; seal and open neither allocate (but a
/// thread's first call) nor throw, and may be called by several threads at once.
struct Engine {
  const char* name;      ///< "vaes512", "aesni", "openssl", "reference", ...
  uint32_t table_bytes;  ///< of expanded keys

  /// Fills a table of `table_bytes`, aligned to 64 bytes.
  void (*expand)(uint8_t* table, const Suite& suite, const Keys& keys);
  /// Encrypts every text, then writes every ICV. Batches may mix the suites of this engine.
  void (*seal)(const Batch& batch);
  /// Compares every ICV in constant time and decrypts every text.
  /// @return a bit per operation: 1 where the ICV holds. Where it does not, the text is garbage
  ///         that the caller must not use.
  uint64_t (*open)(const Batch& batch);

  /// What a composite is made of (crypto/composite.h), which has no `expand`. The batch of a call
  /// is of one composite.
  const CipherPart* cipher = nullptr;
  const MacPart* mac = nullptr;

  /// Fetches into the cache what of a table a text of so many bytes needs; null: that is all of it.
  void (*prefetch)(const uint8_t* table, uint32_t text_bytes) = nullptr;
};

/// Fetches `bytes` from `begin` on into the cache.
/// Inlined always: kernels call it, and no two ISA tiers may share a copy.
[[gnu::always_inline]] inline void prefetch_range(const void* begin, size_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(begin) & ~uintptr_t{63};
  for (uintptr_t line = first; line < reinterpret_cast<uintptr_t>(begin) + bytes; line += 64)
    __builtin_prefetch(reinterpret_cast<const void*>(line));
}

/// Expanded keys, in the layout of one engine. Wiped on destruction.
class KeyTable {
 public:
  KeyTable(const Engine& engine, const Suite& suite, const Keys& keys);
  ~KeyTable();
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  const uint8_t* data() const { return memory_; }
  void prefetch(const Engine& engine, uint32_t text_bytes) const {
    if (engine.prefetch != nullptr) return engine.prefetch(memory_, text_bytes);
    prefetch_range(memory_, bytes_);
  }
  uint32_t bytes() const { return bytes_; }

 private:
  uint8_t* memory_;
  uint32_t bytes_;
};

/// The engines for this suite that this CPU can run: the fastest first as a rule. The last is the
/// reference.
std::span<const Engine* const> engines(const Suite& suite);

/// The engine in use: the fastest on this machine (crypto/choice.h).
const Engine& engine(const Suite& suite);

}  // namespace esplane::crypto
