// The timing loop behind `benchGcm`: see gcm_bench.h.
//
// A repetition is as many kernel calls as take about 200 microseconds; the median over all
// repetitions is what is reported, so that a disturbance of the machine does not count. Opening
// works in place as well: every second time a frame comes round its ICV does not hold, which
// costs the same, and the first time round every ICV is checked.
#include "addon/gcm_bench.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

#include "addon/gcm_peers.h"

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Engine;
using crypto::KeyTable;

constexpr size_t kFrameBytes = 2048;
constexpr size_t kNonceBytes = 12;
constexpr uint32_t kAadBytes = 8;
/// Before the text in each frame: nonce and AAD, as headers precede it in a real one.
constexpr size_t kHeaderBytes = 64;

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/// Frames in one block of memory, and the keys that they take turns with.
class Frames {
 public:
  explicit Frames(const GcmBenchOptions& options)
      : options_(options),
        stride_(round_up(kHeaderBytes + options.text_bytes + Batch::kMostIcvBytes,
                         options.hot ? 64 : kFrameBytes)),
        count_(options.hot ? options.batch
                           : round_up(std::max<size_t>(kColdBytes / stride_, 1), options.batch)),
        memory_(new(std::align_val_t{kFrameBytes}) uint8_t[stride_ * count_]) {
    for (size_t i = 0; i < stride_ * count_; i++) memory_[i] = static_cast<uint8_t>(i * 167 >> 3);
  }

  void use_keys_of(const Engine& kernel) {
    keys_.clear();
    for (uint32_t k = 0; k < options_.keys; k++) {
      uint8_t key[32];
      for (uint32_t i = 0; i < sizeof key; i++) key[i] = static_cast<uint8_t>(k * 31 + i);
      keys_.emplace_back(kernel, suite(), crypto::Keys{{key, options_.key_bits / 8}});
    }
  }

  /// Points the batch at the next frames.
  void next(Batch& batch) {
    for (uint32_t i = 0; i < options_.batch; i++) {
      uint8_t* frame = &memory_[stride_ * cursor_];
      batch.key[i] = keys_[cursor_ % options_.keys].data();
      batch.nonce[i] = frame;
      batch.aad[i] = frame + (options_.gmac ? kHeaderBytes : kNonceBytes);
      batch.text[i] = frame + kHeaderBytes;
      batch.icv[i] = frame + kHeaderBytes + options_.text_bytes;
      if (++cursor_ == count_) cursor_ = 0;
    }
  }

  Batch batch() const {
    Batch batch;
    batch.size = options_.batch;
    const bool gmac = options_.gmac;
    std::fill_n(batch.aad_bytes, options_.batch, gmac ? options_.text_bytes : kAadBytes);
    std::fill_n(batch.text_bytes, options_.batch, gmac ? 0 : options_.text_bytes);
    std::fill_n(batch.icv_bytes, options_.batch, uint32_t{suite().icv_bytes});
    return batch;
  }

  const crypto::Suite& suite() const {
    return *crypto::find_suite(crypto::kEncrAesGcm16, static_cast<uint16_t>(options_.key_bits),
                               crypto::kNone);
  }

  size_t batches() const { return count_ / options_.batch; }

 private:
  struct Free {
    void operator()(uint8_t* p) const { ::operator delete[](p, std::align_val_t{kFrameBytes}); }
  };

  const GcmBenchOptions& options_;
  size_t stride_, count_;
  std::unique_ptr<uint8_t[], Free> memory_;
  std::deque<KeyTable> keys_;
  size_t cursor_ = 0;
};

/// Seals every frame with the default kernel, so that the first opening finds good ICVs.
void seal_all(Frames& frames) {
  const Engine& engine = crypto::engine(frames.suite());
  frames.use_keys_of(engine);
  Batch batch = frames.batch();
  for (size_t i = 0; i < frames.batches(); i++) {
    frames.next(batch);
    engine.seal(batch);
  }
}

void open_all(Frames& frames, const Engine& kernel) {
  Batch batch = frames.batch();
  const uint64_t all = ~uint64_t{0} >> (64 - batch.size);
  for (size_t i = 0; i < frames.batches(); i++) {
    frames.next(batch);
    if (kernel.open(batch) != all) throw std::runtime_error("a kernel refused a good ICV");
  }
}

/// Times `calls` kernel calls; per packet.
Sample run(Frames& frames, const GcmBenchOptions& options, Batch& batch, uint64_t calls) {
  Stopwatch watch;
  watch.start();
  for (uint64_t i = 0; i < calls; i++) {
    if (!options.hot) frames.next(batch);
    if (options.decrypt) {
      options.kernel->open(batch);
    } else {
      options.kernel->seal(batch);
    }
  }
  watch.stop();
  return watch.take(calls * batch.size);
}

}  // namespace

GcmBenchResult bench_gcm(const GcmBenchOptions& options) {
  Frames frames(options);
  if (options.decrypt) seal_all(frames);
  frames.use_keys_of(*options.kernel);
  if (options.decrypt) open_all(frames, *options.kernel);

  Batch batch = frames.batch();
  frames.next(batch);
  constexpr double kRepetitionNs = 200e3;
  run(frames, options, batch, 1);
  const double call_ns = run(frames, options, batch, 1).ns * batch.size;
  const uint64_t calls = std::max<uint64_t>(1, static_cast<uint64_t>(kRepetitionNs / call_ns));

  std::vector<Sample> samples;
  const uint64_t until = base::monotonic_ns() + static_cast<uint64_t>(options.seconds * 1e9);
  do {
    samples.push_back(run(frames, options, batch, calls));
  } while (base::monotonic_ns() < until || samples.size() < 3);

  reset_gcm_peers();
  return {cost_of(samples), static_cast<uint32_t>(samples.size())};
}

}  // namespace esplane::addon
