#include "pipeline/egress.h"

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
  auto* reinjector = scope < reinjectors_.size() ? reinjectors_[scope] : nullptr;
  const Watch* watch = watch_->load(std::memory_order_acquire);
  if (watch && watch->capture) [[unlikely]]
    watch->capture->take_from_tun(lane_, scope, Capture::Direction::kSent, &data, &length, 1);
  const bool taken = reinjector != nullptr && reinjector->write(data, length);
  const bool own = scope == spd::kHostScope;
  finish(data,
         taken ? (own ? Verdict::kReinjected : Verdict::kInterface)
               : (own ? Verdict::kReinjectFailed : Verdict::kInterfaceRefused),
         origin);
}

void Egress::send() {
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
