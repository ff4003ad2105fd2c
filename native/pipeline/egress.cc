#include "pipeline/egress.h"

#include <bit>

#include "pipeline/watch.h"

namespace esplane::pipeline {

using packet::Verdict;

void Egress::set_queue(uint16_t port, port::Queue* queue) {
  if (ports_.size() <= port) ports_.resize(port + 1u);
  if (ports_[port].queue == nullptr) ports_[port].queue = queue;
}

void Egress::set_reinjector(spd::Scope scope, Reinjector* reinjector) {
  if (reinjectors_.size() <= scope) reinjectors_.resize(scope + 1u);
  reinjectors_[scope] = reinjector;
}

void Egress::reinject(uint8_t* data, uint32_t length, Origin origin, spd::Scope scope) {
  if (host_.count == packet::Batch::kCapacity) send_to_host();
  const uint32_t n = host_.count++;
  host_.data[n] = data;
  host_.length[n] = length;
  host_.origin[n] = origin;
  host_.scope[n] = scope;
  if (large_.owns(data)) send_to_host();  // another packet takes its place
}

void Egress::send_to_host() {
  uint64_t left = ~uint64_t{0} >> (packet::Batch::kCapacity - host_.count);
  while (left != 0) left &= ~send_to_host(host_.scope[std::countr_zero(left)], left);
  host_.count = 0;
}

/// @param of  the staged packets that are left, as bits
/// @return    those of them that go by the TUN of this scope, and have gone
uint64_t Egress::send_to_host(spd::Scope scope, uint64_t of) {
  uint8_t* data[packet::Batch::kCapacity];
  uint32_t length[packet::Batch::kCapacity];
  Origin origin[packet::Batch::kCapacity];
  uint32_t count = 0;
  uint64_t gone = 0;
  for (; of != 0; of &= of - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(of));
    if (host_.scope[i] != scope) continue;
    gone |= uint64_t{1} << i;
    data[count] = host_.data[i];
    length[count] = host_.length[i];
    origin[count++] = host_.origin[i];
  }
  const Watch* watch = watch_->load(std::memory_order_acquire);
  if (watch && watch->capture) [[unlikely]]
    watch->capture->take_from_tun(lane_, scope, Capture::Direction::kSent, data, length, count);
  auto* reinjector = scope < reinjectors_.size() ? reinjectors_[scope] : nullptr;
  const uint64_t taken = reinjector ? reinjector->write(data, length, count) : 0;
  const bool own = scope == spd::kHostScope;
  const Verdict in = own ? Verdict::kReinjected : Verdict::kInterface;
  const Verdict refused = own ? Verdict::kReinjectFailed : Verdict::kInterfaceRefused;
  for (uint32_t n = 0; n < count; n++) finish(data[n], taken >> n & 1 ? in : refused, origin[n]);
  return gone;
}

void Egress::send() {
  if (host_.count > 0) send_to_host();
  for (auto& stage : ports_) {
    if (stage.count > 0) send(stage);
  }
}

void Egress::send(Stage& stage) {
  if (const Watch* watch = watch_->load(std::memory_order_acquire)) [[unlikely]]
    show(stage, *watch);
  const uint32_t sent = stage.queue->tx(stage.data, stage.length, stage.count);
  uint64_t received = 0, esp = 0, esp_bytes = 0;
  for (uint32_t i = 0; i < sent; i++) {
    received += stage.origin[i] == Origin::kReceived;
    if (stage.content[i] == Content::kClear) continue;
    esp += stage.content[i] == Content::kEsp;
    esp_bytes += stage.length[i] - kEthernetBytes;
  }
  counters_->count(Verdict::kSent, received);
  counters_->esp_out_packets.add(esp);
  counters_->esp_out_bytes.add(esp_bytes);
  for (uint32_t i = sent; i < stage.count; i++)
    finish(stage.data[i], Verdict::kTxRingFull, stage.origin[i]);
  stage.count = 0;
}

void Egress::show(const Stage& stage, const Watch& watch) const {
  if (!watch.capture) return;
  const auto port = static_cast<uint16_t>(&stage - ports_.data());
  watch.capture->take(lane_, port, Capture::Direction::kSent, stage.data, stage.length,
                      stage.count);
}

}  // namespace esplane::pipeline
