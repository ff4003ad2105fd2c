#include "crypto/calibrate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "crypto/composite.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kPackets = 32;
constexpr uint32_t kFrameBytes = 1536;
constexpr uint32_t kTextAt = 32;
/// What works on several packets side by side depends on how alike they are: in a burst of many flows,
/// and in one of a transfer.
constexpr uint32_t kMixed[] = {64, 1424, 128, 576, 64, 1424, 256, 1024};
constexpr uint32_t kAlike[] = {1424};
constexpr int kRounds = 8;

/// A batch with texts, keys and nonces of no meaning.
class Workload {
 public:
  Workload(const Suite& suite, const uint8_t* key, std::span<const uint32_t> text_bytes)
      : memory_(kPackets * kFrameBytes) {
    batch_.size = kPackets;
    for (uint32_t i = 0; i < kPackets; i++) {
      uint8_t* frame = &memory_[i * kFrameBytes];
      const uint32_t bytes = text_bytes[i % text_bytes.size()];
      bytes_ += bytes;
      batch_.key[i] = key;
      batch_.nonce[i] = frame + 8;
      batch_.aad[i] = frame;
      batch_.aad_bytes[i] = suite.form == Form::kAead ? 8 : kTextAt + bytes;
      batch_.text[i] = frame + kTextAt;
      batch_.text_bytes[i] = suite.form == Form::kGmac ? 0 : bytes;
      batch_.icv[i] = frame + kTextAt + bytes;
      batch_.icv_bytes[i] = suite.icv_bytes;
    }
  }

  const Batch& batch() const { return batch_; }

  /// The best time of `once` for a byte.
  template <typename Once>
  double best_of(Once once) const {
    using Clock = std::chrono::steady_clock;
    once();  // a thread's first call may allocate
    double best = std::numeric_limits<double>::infinity();
    for (int round = 0; round < kRounds; round++) {
      const auto start = Clock::now();
      once();
      const std::chrono::duration<double, std::nano> spent = Clock::now() - start;
      best = std::min(best, spent.count());
    }
    return best / bytes_;
  }

 private:
  std::vector<uint8_t> memory_;
  Batch batch_;
  double bytes_ = 0;
};

/// The time of `once`, which takes a batch, for a byte.
template <typename Once>
double time_of(const Suite& suite, const uint8_t* key, Once once) {
  const Workload mixed(suite, key, kMixed), alike(suite, key, kAlike);
  double sum = 0;
  for (const Workload* burst : {&mixed, &alike})
    sum += burst->best_of([&] { once(burst->batch()); });
  return sum / 2;
}

const uint8_t kKey[64] = {1, 2, 3};

/// A part's key table.
template <typename Part>
class Table {
 public:
  Table(const Part& part, size_t key_bytes) : memory_(new Aligned[1 + part.table_bytes / 64]) {
    part.expand(data(), {kKey, key_bytes});
  }
  uint8_t* data() const { return memory_[0].bytes; }

 private:
  struct alignas(64) Aligned {
    uint8_t bytes[64];
  };
  std::unique_ptr<Aligned[]> memory_;
};

}  // namespace

double measure(const Engine& engine, const Suite& suite) {
  const KeyTable key(engine, suite,
                     {{kKey, suite.encryption_key_bytes}, {kKey, suite.integrity_key_bytes}});
  // Opening finds what sealing left behind: good ICVs, and the texts come back.
  return time_of(suite, key.data(), [&](const Batch& batch) {
           engine.seal(batch);
           engine.open(batch);
         }) / 2;
}

double measure(const CipherPart& part, const Suite& suite) {
  const Table key(part, suite.encryption_key_bytes);
  return time_of(suite, key.data(), [&](const Batch& batch) {
           part.encrypt(batch, 0);
           part.decrypt(batch, 0);
         }) / 2;
}

double measure(const MacPart& part, const Suite& suite) {
  const Table key(part, suite.integrity_key_bytes);
  Icvs icvs;
  return time_of(suite, key.data(), [&](const Batch& batch) { part.sign(batch, 0, icvs); });
}

}  // namespace esplane::crypto
