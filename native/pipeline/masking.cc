// Traffic flow confidentiality (RFC 4303 §2.7 and §2.6): packets are padded to one length, and
// dummies fill the silence between them.
#include <algorithm>
#include <cstring>

#include "pipeline/stages.h"

namespace esplane::pipeline {
namespace {

/// Behind an inner packet: ESP's own padding and trailer, the longest ICV.
constexpr uint32_t kEspTail = 16 + packet::kEspTrailerBytes + crypto::Batch::kMostIcvBytes;
constexpr uint32_t kShortestDummy = packet::kIpv4HeaderBytes;

}  // namespace

/// Makes packet i longer, as far as path and frame allow. Its own header tells the receiver where
/// it ends.
void Stages::pad(Burst& burst, uint32_t i) {
  auto& batch = burst.batch;
  const uint32_t tail = batch.tailroom(i);
  const uint32_t room = batch.length[i] + (tail > kEspTail ? tail - kEspTail : 0);
  const auto& sa = *batch.outbound[i];
  const uint32_t path =
      std::min(burst.path[i].mtu_bytes, most_in_frame() - Egress::kEthernetBytes);
  const uint32_t wanted =
      std::min({uint32_t{sa.pad_to_bytes}, esp::largest_inner_bytes(sa, path), room});
  if (wanted <= batch.length[i]) return;
  std::memset(batch.data[i] + batch.length[i], 0, wanted - batch.length[i]);
  batch.length[i] = wanted;
}

void Stages::send_dummies() {
  const auto* maskings = core_.shared.sad.maskings();
  if (maskings == nullptr) return;
  for (const auto& masking : *maskings) {
    const uint32_t count = masking->due(core_.now_ms);
    if (count != 0) masking->sent(send_dummies(masking->sa(), count));
  }
}

uint32_t Stages::until_dummies_ms() const {
  uint32_t least_ms = kNoDummies;
  const auto* maskings = core_.shared.sad.maskings();
  if (maskings == nullptr) return least_ms;
  for (const auto& masking : *maskings) {
    least_ms = std::min(least_ms, masking->until_due_ms(core_.now_ms));
  }
  return least_ms;
}

/// A dummy begins like no IP packet does, so that ESP gives it next header 59. What is in it nobody
/// sees. Returns how many went out.
uint32_t Stages::send_dummies(sad::OutboundSa& sa, uint32_t count) {
  const auto* entry = core_.next_hop(sa.peer());
  if (entry == nullptr || !entry->answered || entry->hop.kind != net::NextHop::Kind::kForward) return 0;
  auto& pool = core_.egress.pool();
  count = static_cast<uint32_t>(std::min<size_t>(count, pool.available()));
  resumed_.batch.clear();
  resumed_.batch.chunk_bytes = core_.shared.chunk_bytes;
  resumed_.origin = Origin::kOurs;
  for (uint32_t i = 0; i < count; i++) {
    resumed_.append(pool.get() + port::FramePool::kHeadroom, 0, packet::IpHeader{});
    resumed_.batch.outbound[i] = &sa;
    resumed_.path[i] = entry->hop;
    resumed_.path[i].mtu_bytes = sa.path_mtu.least(entry->hop.mtu_bytes, core_.now_ms);
    resumed_.batch.length[i] = dummy_bytes(resumed_, i);
    std::memset(resumed_.batch.data[i], 0, resumed_.batch.length[i]);
  }
  core_.counters->dummies_sent.add(count);
  prepare_seal(resumed_);
  resumed_.sealing.seal();
  finish_outbound(resumed_);
  return count;
}

/// As long as the padded packets are; without padding of any length that the path takes.
uint32_t Stages::dummy_bytes(const Burst& burst, uint32_t i) {
  const uint32_t most = std::min(largest_inner_bytes(burst, i), most_in_frame() - kEspTail);
  if (most <= kShortestDummy) return kShortestDummy;
  const uint32_t padded = burst.batch.outbound[i]->pad_to_bytes;
  if (padded != 0) return std::min(padded, most);
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return kShortestDummy + static_cast<uint32_t>((random_ >> 33) % (most - kShortestDummy + 1));
}

}  // namespace esplane::pipeline
