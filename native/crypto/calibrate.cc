#include "crypto/calibrate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <vector>

#include "crypto/composite.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kPackets = 32;
constexpr uint32_t kFrameBytes = 1536;
constexpr uint32_t kTextAt = 32;
constexpr uint32_t kTextBytes[] = {64, 1424, 128, 576, 64, 1424, 256, 1024};
constexpr int kRounds = 8;

/// A batch with texts, keys and nonces of no meaning.
class Workload {
 public:
  Workload(const Suite& suite, const uint8_t* key) : memory_(kPackets * kFrameBytes) {
    batch_.size = kPackets;
    for (uint32_t i = 0; i < kPackets; i++) {
      uint8_t* frame = &memory_[i * kFrameBytes];
      const uint32_t bytes = kTextBytes[i % std::size(kTextBytes)];
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
  const Workload workload(suite, key.data());
  // Opening finds what sealing left behind: good ICVs, and the texts come back.
  return workload.best_of([&] {
    engine.seal(workload.batch());
    engine.open(workload.batch());
  }) / 2;
}

double measure(const CipherPart& part, const Suite& suite) {
  const Table key(part, suite.encryption_key_bytes);
  const Workload workload(suite, key.data());
  return workload.best_of([&] {
    part.encrypt(workload.batch(), 0);
    part.decrypt(workload.batch(), 0);
  }) / 2;
}

double measure(const MacPart& part, const Suite& suite) {
  const Table key(part, suite.integrity_key_bytes);
  const Workload workload(suite, key.data());
  Icvs icvs;
  return workload.best_of([&] { part.sign(workload.batch(), 0, icvs); });
}

}  // namespace esplane::crypto
