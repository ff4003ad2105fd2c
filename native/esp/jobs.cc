#include "esp/jobs.h"

namespace esplane::esp {
namespace {

using crypto::Batch;
using crypto::Engine;

bool has_one_engine(const Jobs& jobs) {
  bool same = true;
  for (uint32_t j = 1; j < jobs.batch.size; j++) same &= jobs.engine[j] == jobs.engine[0];
  return same;
}

/// The jobs of one engine, in order.
struct Share {
  Batch batch;
  uint8_t job[Batch::kCapacity];

  Share(const Jobs& jobs, const Engine* engine) {
    for (uint32_t j = 0; j < jobs.batch.size; j++) {
      if (jobs.engine[j] != engine) continue;
      const uint32_t i = batch.size++;
      job[i] = static_cast<uint8_t>(j);
      batch.key[i] = jobs.batch.key[j];
      batch.nonce[i] = jobs.batch.nonce[j];
      batch.aad[i] = jobs.batch.aad[j];
      batch.aad_bytes[i] = jobs.batch.aad_bytes[j];
      batch.text[i] = jobs.batch.text[j];
      batch.text_bytes[i] = jobs.batch.text_bytes[j];
      batch.icv[i] = jobs.batch.icv[j];
      batch.icv_bytes[i] = jobs.batch.icv_bytes[j];
    }
  }
};

/// Calls `each(engine, share)` for every engine of the jobs.
template <typename Each>
void split(const Jobs& jobs, Each each) {
  uint64_t done = 0;
  for (uint32_t j = 0; j < jobs.batch.size; j++) {
    if (done >> j & 1) continue;
    const Share share(jobs, jobs.engine[j]);
    for (uint32_t i = 0; i < share.batch.size; i++) done |= uint64_t{1} << share.job[i];
    each(*jobs.engine[j], share);
  }
}

}  // namespace

void Jobs::seal() const {
  if (batch.size == 0) return;
  if (has_one_engine(*this)) return engine[0]->seal(batch);
  split(*this, [](const Engine& e, const Share& share) { e.seal(share.batch); });
}

uint64_t Jobs::open() const {
  if (batch.size == 0) return 0;
  if (has_one_engine(*this)) return engine[0]->open(batch);
  uint64_t authentic = 0;
  split(*this, [&authentic](const Engine& e, const Share& share) {
    const uint64_t holds = e.open(share.batch);
    for (uint32_t i = 0; i < share.batch.size; i++) {
      authentic |= (holds >> i & 1) << share.job[i];
    }
  });
  return authentic;
}

}  // namespace esplane::esp
