// AES-GCM operations made up from a seed, and sealed by libcrypto, for comparing kernels.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <string_view>
#include <vector>

#include "crypto/engine.h"
#include "crypto/openssl.h"

namespace esplane::test {

using Random = std::mt19937_64;

inline std::vector<uint8_t> random_bytes(Random& random, size_t bytes) {
  std::vector<uint8_t> v(bytes);
  for (uint8_t& b : v) b = static_cast<uint8_t>(random());
  return v;
}

/// AES-GCM with a key of 16, 24 or 32 bytes.
inline const crypto::Suite& gcm_suite(size_t key_bytes) {
  return *crypto::find_suite(crypto::kEncrAesGcm16, static_cast<uint16_t>(key_bytes * 8),
                             crypto::kNone);
}

/// The engines for AES-GCM, fastest first.
inline std::span<const crypto::Engine* const> gcm_engines() {
  return crypto::engines(gcm_suite(16));
}

inline crypto::KeyTable expand_for(const crypto::Engine& engine,
                                   const std::vector<uint8_t>& key) {
  return crypto::KeyTable(engine, gcm_suite(key.size()), crypto::Keys{key});
}

inline bool is_slow(const crypto::Engine& kernel) {
  return std::string_view(kernel.name) == "reference";
}

/// Runs the check on every kernel but the oracle.
template <typename Check>
void for_each_kernel(Check check) {
  for (const crypto::Engine* kernel : gcm_engines()) {
    if (kernel == &crypto::kOpensslEngine) continue;
    CAPTURE(kernel->name);
    check(*kernel);
  }
}

/// Lengths around the borders of blocks and tiles, where kernels go wrong.
inline bool is_near_border(size_t length) {
  return (length + 2) % 64 < 5 || (length + 1) % 16 < 3;
}

/// One operation with what libcrypto makes of it.
struct Operation {
  std::vector<uint8_t> key, nonce, aad, clear;
  std::vector<uint8_t> sealed, icv;

  Operation(Random& random, size_t key_bytes, size_t aad_bytes, size_t text_bytes)
      : Operation(random, random_bytes(random, key_bytes), aad_bytes, text_bytes) {}

  Operation(Random& random, std::vector<uint8_t> raw_key, size_t aad_bytes, size_t text_bytes)
      : key(std::move(raw_key)),
        nonce(random_bytes(random, 12)),
        aad(random_bytes(random, aad_bytes)),
        clear(random_bytes(random, text_bytes)),
        sealed(clear),
        icv(16) {
    const crypto::KeyTable expanded = expand_for(crypto::kOpensslEngine, key);
    crypto::Batch batch;
    append_to(batch, expanded, sealed.data(), icv.data());
    crypto::kOpensslEngine.seal(batch);
  }

  void append_to(crypto::Batch& batch, const crypto::KeyTable& expanded, uint8_t* text,
                 uint8_t* icv_out) const {
    const uint32_t i = batch.size++;
    batch.key[i] = expanded.data();
    batch.nonce[i] = nonce.data();
    batch.aad[i] = aad.data();
    batch.aad_bytes[i] = static_cast<uint32_t>(aad.size());
    batch.text[i] = text;
    batch.text_bytes[i] = static_cast<uint32_t>(clear.size());
    batch.icv[i] = icv_out;
    batch.icv_bytes[i] = static_cast<uint32_t>(icv.size());
  }
};

/// Operations put into a kernel's hands as one batch, texts and ICVs in copies.
class Run {
 public:
  Run(const crypto::Engine& kernel, const std::vector<Operation>& operations)
      : kernel_(kernel), operations_(operations) {}

  /// True if the kernel makes of every text and ICV what libcrypto did.
  bool seals() {
    fill([](const Operation& o) { return o.clear; }, [](const Operation& o) { return o.icv; });
    for (auto& icv : icvs_) std::fill(icv.begin(), icv.end(), uint8_t{0});
    kernel_.seal(batch_);
    return holds([](const Operation& o) { return o.sealed; }) && icvs_hold();
  }

  /// True if the kernel accepts every packet and gives back its clear text.
  bool opens() {
    prepare_open();
    return kernel_.open(batch_) == all() && holds([](const Operation& o) { return o.clear; }) &&
           icvs_hold();
  }

  /// Puts the sealed texts in place, for a test to spoil before it calls `open`.
  void prepare_open() {
    fill([](const Operation& o) { return o.sealed; }, [](const Operation& o) { return o.icv; });
  }
  uint64_t open() { return kernel_.open(batch_); }
  uint64_t all() const { return ~uint64_t{0} >> (64 - operations_.size()); }

  std::vector<uint8_t>& text(size_t i) { return texts_[i]; }
  std::vector<uint8_t>& icv(size_t i) { return icvs_[i]; }
  crypto::Batch& batch() { return batch_; }

 private:
  template <typename Text, typename Icv>
  void fill(Text text_of, Icv icv_of) {
    keys_.clear();
    key_index_.clear();
    texts_.clear();
    icvs_.clear();
    batch_.size = 0;
    for (const Operation& o : operations_) {
      texts_.push_back(text_of(o));
      icvs_.push_back(icv_of(o));
      o.append_to(batch_, key_of(o), texts_.back().data(), icvs_.back().data());
    }
  }

  /// Operations with the same key share its expansion, as packets of one SA do.
  const crypto::KeyTable& key_of(const Operation& o) {
    const auto [at, is_new] = key_index_.try_emplace(o.key, keys_.size());
    if (is_new) keys_.emplace_back(kernel_, gcm_suite(o.key.size()), crypto::Keys{o.key});
    return keys_[at->second];
  }

  template <typename Text>
  bool holds(Text text_of) const {
    for (size_t i = 0; i < operations_.size(); i++) {
      if (texts_[i] != text_of(operations_[i])) return false;
    }
    return true;
  }

  bool icvs_hold() const {
    for (size_t i = 0; i < operations_.size(); i++) {
      if (icvs_[i] != operations_[i].icv) return false;
    }
    return true;
  }

  const crypto::Engine& kernel_;
  const std::vector<Operation>& operations_;
  std::deque<crypto::KeyTable> keys_;
  std::map<std::vector<uint8_t>, size_t> key_index_;
  std::deque<std::vector<uint8_t>> texts_, icvs_;
  crypto::Batch batch_;
};

}  // namespace esplane::test
