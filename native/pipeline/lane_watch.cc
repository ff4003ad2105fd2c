// A lane while packets are watched: captured as a queue gave them, and one of them traced.
#include <cstring>

#include "base/clock.h"
#include "pipeline/lane.h"
#include "pipeline/watch.h"

namespace esplane::pipeline {

using packet::Batch;
using packet::Verdict;

namespace {

/// Time since the last call, in ticks.
class Lap {
 public:
  uint64_t operator()() {
    const uint64_t now = base::ticks();
    return now - std::exchange(last_, now);
  }

 private:
  uint64_t last_ = base::ticks();
};

/// @param ip_at  bytes before its IP header
void read_frame(const uint8_t* frame, uint32_t length, uint32_t ip_at, packet::IpHeader& into) {
  if (length <= ip_at ||
      packet::parse_ip(frame + ip_at, length - ip_at, into) != Verdict::kPending)
    into.family = packet::Family::kNone;
}

/// The one verdict that a packet was counted as.
class VerdictOf {
 public:
  explicit VerdictOf(const Counters& counters) : counters_(counters) {
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) before_[v] = counters.verdict[v].read();
  }
  Verdict operator()() const {
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) {
      if (counters_.verdict[v].read() != before_[v]) return static_cast<Verdict>(v);
    }
    return Verdict::kPending;
  }

 private:
  const Counters& counters_;
  uint64_t before_[packet::kVerdictCount];
};

}  // namespace

/// @return true if the burst has been dealt with
bool Lane::watch_received(const Watch& watch, port::Role role, Burst& burst) {
  const auto& batch = burst.batch;
  constexpr auto kReceived = Capture::Direction::kReceived;
  if (watch.capture && burst.from.from_host) {
    watch.capture->take_from_tun(index_, burst.from.scope, kReceived, batch.data, batch.length,
                                 batch.size);
  } else if (watch.capture) {
    watch.capture->take(index_, burst.from.port, kReceived, batch.data, batch.length, batch.size);
  }
  if (!watch.trace) return false;
  const uint32_t at = watch.trace->claim(burst.from, batch.data, batch.length, batch.size);
  if (at == batch.size) return false;
  trace_one(*watch.trace, role, burst, at);
  return true;
}

/// The packets before it go on as they would, then it alone, then those behind it: in their order.
void Lane::trace_one(Trace& trace, port::Role role, Burst& burst, uint32_t at) {
  const Ingress from = burst.from;
  Batch behind;
  behind.size = burst.batch.size - at - 1;
  std::memcpy(behind.data, burst.batch.data + at + 1, behind.size * sizeof *behind.data);
  std::memcpy(behind.length, burst.batch.length + at + 1, behind.size * sizeof *behind.length);
  uint8_t* const data = burst.batch.data[at];
  const uint32_t length = burst.batch.length[at];

  burst.batch.size = at;
  if (at > 0) {
    stages_.begin(burst, role);
    pass(burst, false);
  }
  drain();
  Burst& one = next_burst(from);
  one.append(data, length);
  trace.publish(run_traced(one, role));
  pass_turned();
  drain();
  if (behind.size == 0) return;
  Burst& rest = next_burst(from);
  for (uint32_t i = 0; i < behind.size; i++) rest.append(behind.data[i], behind.length[i]);
  stages_.begin(rest, role);
  pass(rest, false);
}

/// Nothing is in flight: there is a slot.
Burst& Lane::next_burst(const Ingress& from) {
  Burst& burst = *handover_.next();
  burst.batch.clear();
  burst.batch.chunk_bytes = core_.shared.chunk_bytes;
  burst.from = from;
  return burst;
}

TraceReport Lane::run_traced(Burst& one, port::Role role) {
  TraceReport report{.lane = index_,
                     .from = one.from,
                     .outbound = role != port::Role::kWan,
                     .received_bytes = one.batch.length[0]};
  read_frame(one.batch.data[0], one.batch.length[0],
             one.from.from_host ? 0 : Egress::kEthernetBytes, report.received);
  const VerdictOf verdict(*core_.counters);
  Lap lap;
  stages_.begin(one, role);
  report.begin_ticks = lap();
  if (one.work == Burst::Work::kSeal && one.batch.outbound[0] != nullptr) {
    report.has_sa = true;
    report.spi = one.batch.outbound[0]->spi;
  }
  lap();
  Stages::work(core_.shared, one);
  report.work_ticks = lap();
  if (one.work == Burst::Work::kOpen && one.pending(0) && one.batch.inbound[0] != nullptr) {
    report.has_sa = true;
    report.spi = one.batch.inbound[0]->spi;
  }
  lap();
  stages_.finish(one);
  report.finish_ticks = lap();
  report.turned = stages_.turned_any();
  core_.egress.each_staged([&](uint16_t port, const uint8_t* frame, uint32_t length) {
    if (report.sent_frames++ > 0) return;
    read_frame(frame, length, Egress::kEthernetBytes, report.sent);
    report.sent_bytes = length;
    report.sent_port = port;
  });
  core_.egress.each_staged_to_host([&](spd::Scope scope, const uint8_t* packet, uint32_t length) {
    if (report.sent_frames++ > 0) return;
    read_frame(packet, length, 0, report.sent);
    report.sent_bytes = length;
    report.into_host = true;
    report.sent_scope = scope;
  });
  lap();
  core_.egress.send();
  for (auto& queue : queues_) queue.queue->flush();
  report.send_ticks = lap();
  report.verdict = verdict();
  return report;
}

}  // namespace esplane::pipeline
