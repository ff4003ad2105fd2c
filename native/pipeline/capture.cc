#include "pipeline/capture.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace esplane::pipeline {
namespace {

uint64_t real_ns() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

template <typename T>
void append(std::vector<uint8_t>& into, T value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  into.insert(into.end(), bytes, bytes + sizeof value);
}

/// Blocks are in the byte order of the machine, which the section header tells.
void append_block(std::vector<uint8_t>& into, const Capture::Record& record,
                  const std::vector<uint8_t>& packet) {
  constexpr uint32_t kEnhancedPacket = 6;
  constexpr uint16_t kFlagsOption = 2, kFlagsBytes = 4;
  constexpr uint32_t kFixedBytes = 32, kOptionBytes = 12;
  const uint32_t padded = (record.captured_bytes + 3) & ~3u;
  const uint32_t total = kFixedBytes + padded + kOptionBytes;
  append(into, kEnhancedPacket);
  append(into, total);
  append(into, record.place);
  append(into, static_cast<uint32_t>(record.ns >> 32));
  append(into, static_cast<uint32_t>(record.ns));
  append(into, record.captured_bytes);
  append(into, record.bytes);
  into.insert(into.end(), packet.begin(), packet.begin() + record.captured_bytes);
  into.resize(into.size() + padded - record.captured_bytes);
  append(into, kFlagsOption);
  append(into, kFlagsBytes);
  append(into, static_cast<uint32_t>(record.direction));
  append(into, uint32_t{0});  // opt_endofopt
  append(into, total);
}

}  // namespace

Capture::Capture(CaptureOptions options, const std::vector<port::Role>& roles,
                 spd::Scope last_scope, uint32_t lanes)
    : options_(std::move(options)), rings_(lanes) {
  for (const auto role : roles)
    wanted_.push_back(role == port::Role::kWan ? options_.outside : options_.inside);
  for (uint32_t scope = 0; scope <= last_scope; scope++) {
    const bool meant = options_.packets.covers_tun(static_cast<spd::Scope>(scope));
    wanted_tuns_.push_back(options_.inside && meant);
  }
  for (auto& ring : rings_) ring.bytes = std::make_unique<uint8_t[]>(options_.ring_bytes);
}

void Capture::forget(uint16_t port) {
  if (port < wanted_.size()) wanted_[port] = false;
}

void Capture::forget_tun(spd::Scope scope) {
  if (scope < wanted_tuns_.size()) wanted_tuns_[scope] = false;
}

void Capture::take(uint32_t lane, uint16_t port, Direction direction, const uint8_t* const* data,
                   const uint32_t* length, uint32_t count) {
  if (port >= wanted_.size() || !wanted_[port]) return;
  const Source source{port, options_.packets.filter, PacketFilter::kEthernetBytes};
  take_passing(lane, source, direction, data, length, count);
}

void Capture::take_from_tun(uint32_t lane, spd::Scope scope, Direction direction,
                            const uint8_t* const* data, const uint32_t* length, uint32_t count) {
  if (scope >= wanted_tuns_.size() || !wanted_tuns_[scope]) return;
  const Source source{port_places() + scope, options_.packets.tun_filter, 0};
  take_passing(lane, source, direction, data, length, count);
}

void Capture::take_passing(uint32_t lane, const Source& source, Direction direction,
                           const uint8_t* const* data, const uint32_t* length, uint32_t count) {
  Ring& ring = rings_[lane];
  const uint64_t now = real_ns();
  for (uint32_t i = 0; i < count; i++) {
    if (!source.filter.passes(data[i], length[i], source.ip_at)) continue;
    ring.passed.add(1);
    const Record record{.place = source.place,
                        .direction = direction,
                        .captured_bytes = std::min(length[i], options_.snap_bytes),
                        .bytes = length[i],
                        .ns = now};
    if (!put(ring, record, data[i])) ring.dropped.add(1);
  }
}

bool Capture::put(Ring& ring, const Record& record, const uint8_t* data) {
  const uint64_t tail = ring.tail.load(std::memory_order_relaxed);
  const uint64_t used = tail - ring.head.load(std::memory_order_acquire);
  const size_t bytes = sizeof record + record.captured_bytes;
  if (used + bytes > options_.ring_bytes) return false;
  copy_in(ring, tail, &record, sizeof record);
  copy_in(ring, tail + sizeof record, data, record.captured_bytes);
  ring.tail.store(tail + bytes, std::memory_order_release);
  return true;
}

bool Capture::next(Ring& ring, Record& record, std::vector<uint8_t>& data) {
  const uint64_t head = ring.head.load(std::memory_order_relaxed);
  if (head == ring.tail.load(std::memory_order_acquire)) return false;
  copy_out(ring, head, &record, sizeof record);
  if (data.size() < record.captured_bytes) data.resize(record.captured_bytes);
  copy_out(ring, head + sizeof record, data.data(), record.captured_bytes);
  ring.head.store(head + sizeof record + record.captured_bytes, std::memory_order_release);
  return true;
}

void Capture::copy_in(Ring& ring, uint64_t at, const void* from, size_t bytes) {
  const size_t start = at & (options_.ring_bytes - 1);
  const size_t first = std::min<size_t>(bytes, options_.ring_bytes - start);
  std::memcpy(ring.bytes.get() + start, from, first);
  std::memcpy(ring.bytes.get(), static_cast<const uint8_t*>(from) + first, bytes - first);
}

void Capture::copy_out(const Ring& ring, uint64_t at, void* to, size_t bytes) const {
  const size_t start = at & (options_.ring_bytes - 1);
  const size_t first = std::min<size_t>(bytes, options_.ring_bytes - start);
  std::memcpy(to, ring.bytes.get() + start, first);
  std::memcpy(static_cast<uint8_t*>(to) + first, ring.bytes.get(), bytes - first);
}

void Capture::read(std::vector<uint8_t>& into, size_t most_bytes) {
  Record record;
  for (auto& ring : rings_) {
    while (into.size() < most_bytes && next(ring, record, packet_))
      append_block(into, record, packet_);
  }
}

uint64_t Capture::passed() const {
  uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring.passed.read();
  return sum;
}

uint64_t Capture::dropped() const {
  uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring.dropped.read();
  return sum;
}

}  // namespace esplane::pipeline
