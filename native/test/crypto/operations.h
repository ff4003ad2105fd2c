// AES-GCM operations made up from a seed, and sealed by libcrypto, for comparing kernels.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "crypto/aead.h"
#include "crypto/openssl.h"

namespace esplane::test {

using Random = std::mt19937_64;

inline std::vector<uint8_t> random_bytes(Random& random, size_t bytes) {
  std::vector<uint8_t> v(bytes);
  for (uint8_t& b : v) b = static_cast<uint8_t>(random());
  return v;
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
    crypto::GcmKey expanded;
    crypto::kOpensslKernel.expand(expanded, key);
    crypto::GcmBatch batch;
    append_to(batch, expanded, sealed.data(), icv.data());
    crypto::kOpensslKernel.seal(batch);
  }

  void append_to(crypto::GcmBatch& batch, const crypto::GcmKey& expanded, uint8_t* text,
                 uint8_t* icv_out) const {
    const uint32_t i = batch.size++;
    batch.key[i] = &expanded;
    batch.nonce[i] = nonce.data();
    batch.aad[i] = aad.data();
    batch.aad_bytes[i] = static_cast<uint32_t>(aad.size());
    batch.text[i] = text;
    batch.text_bytes[i] = static_cast<uint32_t>(clear.size());
    batch.icv[i] = icv_out;
  }
};

/// Operations put into a kernel's hands as one batch, texts and ICVs in copies.
class Run {
 public:
  Run(const crypto::GcmKernel& kernel, const std::vector<Operation>& operations)
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
  crypto::GcmBatch& batch() { return batch_; }

 private:
  template <typename Text, typename Icv>
  void fill(Text text_of, Icv icv_of) {
    keys_.clear();
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
  const crypto::GcmKey& key_of(const Operation& o) {
    for (size_t i = 0; i < batch_.size; i++) {
      if (operations_[i].key == o.key) return *batch_.key[i];
    }
    kernel_.expand(keys_.emplace_back(), o.key);
    return keys_.back();
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

  const crypto::GcmKernel& kernel_;
  const std::vector<Operation>& operations_;
  std::deque<crypto::GcmKey> keys_;
  std::deque<std::vector<uint8_t>> texts_, icvs_;
  crypto::GcmBatch batch_;
};

}  // namespace esplane::test
