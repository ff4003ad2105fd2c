#include "net/next_hop_cache.h"

namespace esplane::net {

NextHopCache::NextHopCache(NextHopClient& client, uint64_t seed, uint32_t sets)
    : client_(client), seed_(seed), mask_(sets - 1), entries_(size_t{sets} * kWays) {}

NextHopCache::Entry* NextHopCache::slot(const IpAddress& destination, uint32_t now_ms, bool create) {
  Entry* set = &entries_[(address_hash(destination, seed_) & mask_) * kWays];
  for (Entry* e = set; e != set + kWays; e++) {
    if (e->taken && e->destination == destination) return e;
  }
  if (!create) return nullptr;
  Entry* victim = nullptr;
  for (Entry* e = set; e != set + kWays; e++) {
    if (e->held != 0) continue;
    const bool better = victim == nullptr || (victim->taken && !e->taken) ||
                        (victim->taken && now_ms - e->used_ms > now_ms - victim->used_ms);
    if (better) victim = e;
  }
  if (victim == nullptr) return nullptr;
  *victim = Entry{};
  victim->destination = destination;
  victim->taken = true;
  return victim;
}

void NextHopCache::ask_if_needed(Entry& e, uint32_t now_ms) {
  if (e.asked && now_ms - e.asked_ms < kAskAgainMs) return;
  const bool fresh = e.answered && now_ms - e.answered_ms < kRefreshMs;
  if (fresh && e.generation == client_.generation()) return;
  const uint32_t generation = client_.generation();  // before asking: a later change asks again
  NextHop now;
  switch (client_.ask(e.destination, now)) {
    case NextHopClient::Asked::kFull:
      return;
    case NextHopClient::Asked::kNow:
      e.hop = now;
      e.answered = true;
      e.answered_ms = now_ms;
      break;
    case NextHopClient::Asked::kLater:
      e.asked = true;
      break;
  }
  e.asked_ms = now_ms;
  e.generation = generation;
}

NextHopCache::Entry* NextHopCache::find(const IpAddress& destination, uint32_t now_ms) {
  Entry* e = slot(destination, now_ms, true);
  if (e == nullptr) return nullptr;
  e->used_ms = now_ms;
  const bool fresh = e->answered && !failed(*e) && now_ms - e->answered_ms < kRefreshMs;
  if (fresh && e->generation == client_.generation()) [[likely]] return e;
  if (e->answered) {
    const uint32_t age = now_ms - e->answered_ms;
    if (age >= kTrustMs || (failed(*e) && age >= kForgetFailureMs)) e->answered = false;
  }
  ask_if_needed(*e, now_ms);
  return e;
}

NextHopCache::Entry* NextHopCache::record(const Answer& answer, uint32_t now_ms) {
  Entry* e = slot(answer.address, now_ms, false);
  if (e == nullptr) return nullptr;
  e->hop = answer.hop;
  e->answered = true;
  e->asked = false;
  e->answered_ms = now_ms;
  return e;
}

void NextHopCache::forget(uint16_t port) {
  for (auto& e : entries_) {
    const bool stays = e.hop.kind == NextHop::Kind::kForward && e.hop.port != port;
    if (e.answered && !stays) e.answered = e.asked = false;
  }
}

}  // namespace esplane::net
