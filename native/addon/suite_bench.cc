#include "addon/suite_bench.h"

#include <vector>

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Form;

/// Before the text, as ESP has it: SPI, sequence number and IV; the nonce lies there too.
constexpr uint32_t kHeaderBytes = 32;

/// Frames of one suite, each on cache lines of its own.
class Frames {
 public:
  explicit Frames(const SuiteBenchOptions& o)
      : stride_((kHeaderBytes + o.text_bytes + Batch::kMostIcvBytes + 63) / 64 * 64),
        memory_(stride_ * o.batch) {
    for (size_t i = 0; i < memory_.size(); i++) memory_[i] = static_cast<uint8_t>(i * 167 >> 3);
  }

  Batch batch(const SuiteBenchOptions& o, const crypto::KeyTable& key) {
    const crypto::Suite& suite = *o.suite;
    const uint32_t text_bytes = o.text_bytes / suite.block_bytes * suite.block_bytes;
    // AEADs authenticate SPI and sequence number beside the text, all others what they cover.
    const uint32_t aad_bytes = suite.form == Form::kAead ? 8 : 8 + suite.iv_bytes + text_bytes;
    Batch batch;
    batch.size = o.batch;
    for (uint32_t i = 0; i < o.batch; i++) {
      uint8_t* frame = &memory_[stride_ * i];
      batch.key[i] = key.data();
      batch.nonce[i] = frame + 8;
      batch.text[i] = frame + kHeaderBytes;
      batch.text_bytes[i] = suite.form == Form::kGmac ? 0 : text_bytes;
      batch.aad[i] = suite.form == Form::kAead ? frame : frame + kHeaderBytes - 8 - suite.iv_bytes;
      batch.aad_bytes[i] = aad_bytes;
      batch.icv[i] = frame + kHeaderBytes + text_bytes;
      batch.icv_bytes[i] = suite.icv_bytes;
    }
    return batch;
  }

 private:
  size_t stride_;
  std::vector<uint8_t> memory_;
};

}  // namespace

Cost bench_suite(const SuiteBenchOptions& o) {
  static constexpr uint8_t kKey[64] = {1, 2, 3};
  const crypto::KeyTable key(
      *o.engine, *o.suite,
      {{kKey, o.suite->encryption_key_bytes}, {kKey, o.suite->integrity_key_bytes}});
  Frames frames(o);
  const Batch batch = frames.batch(o, key);
  std::vector<Sample> samples;
  const auto timed = [&](auto call) {
    Stopwatch watch;
    watch.start();
    call();
    watch.stop();
    samples.push_back(watch.take(o.batch));
  };
  o.engine->seal(batch);
  o.engine->open(batch);
  const uint64_t until = base::monotonic_ns() + static_cast<uint64_t>(o.seconds * 1e9);
  do {
    if (o.open) {
      o.engine->seal(batch);
      timed([&] { o.engine->open(batch); });
    } else {
      timed([&] { o.engine->seal(batch); });
      o.engine->open(batch);
    }
  } while (base::monotonic_ns() < until || samples.size() < 5);
  return cost_of(samples);
}

}  // namespace esplane::addon
