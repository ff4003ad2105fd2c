// What the SPD said about the flows of late: one worker's, two entries to a set, one cache line a
// flow.
//
// An answer holds as long as the SPD's generation stays what it was before the question: every
// change of entries and every SA that comes or goes makes all of them stale, before anything that
// they point at is retired.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "packet/ip.h"
#include "spd/spd.h"

namespace esplane::pipeline {

class FlowCache {
 public:
  /// @param seed     of this process, so that nobody can aim flows at one slot
  /// @param sets  a power of two
  explicit FlowCache(uint64_t seed, uint32_t sets = 1024)
      : seed_(seed | 1), mask_(sets - 1), slots_(std::make_unique<Slot[]>(size_t{sets} * 2)) {}

  /// The SPD's answer, from here or from there.
  /// @param generation  of `spd`, read by this worker since it was last quiescent
  spd::OutboundLookup lookup(const spd::Spd& spd, uint64_t generation,
                             const packet::IpHeader& header) {
    const Key key(header);
    Slot* set = &slots_[(key.hash(seed_) & mask_) * 2];
    for (Slot* slot = set; slot != set + 2; slot++) {
      if (slot->generation == generation && slot->key == key)
        return {slot->verdict, slot->action, slot->policy, slot->sa};
    }
    const auto found = spd.lookup_outbound(header);
    set[1] = set[0];  // the newer of the two stays
    set[0] = {.key = key,
              .generation = generation & kGenerationMask,
              .verdict = found.verdict,
              .action = found.action,
              .policy = found.policy,
              .sa = found.sa};
    return found;
  }

 private:
  static constexpr uint64_t kGenerationMask = (uint64_t{1} << 48) - 1;

  /// All that selectors look at.
  struct Key {
    uint64_t word[5];

    Key() : word{} {}
    explicit Key(const packet::IpHeader& h) {
      std::memcpy(word, h.source.bytes, 16);
      std::memcpy(word + 2, h.destination.bytes, 16);
      word[4] = uint64_t{h.source_port} | uint64_t{h.destination_port} << 16 |
                uint64_t{h.protocol} << 32 | uint64_t{static_cast<uint8_t>(h.family)} << 40 |
                uint64_t{h.has_ports} << 48 | uint64_t{h.fragment_offset != 0} << 49;
      if (!h.has_ports) word[4] &= ~uint64_t{0xffffffff};
    }
    bool operator==(const Key& o) const {
      return ((word[0] ^ o.word[0]) | (word[1] ^ o.word[1]) | (word[2] ^ o.word[2]) |
              (word[3] ^ o.word[3]) | (word[4] ^ o.word[4])) == 0;
    }
    uint64_t hash(uint64_t seed) const {
      uint64_t h = (word[0] ^ seed) * 0x9e3779b97f4a7c15u;
      h = (h ^ (h >> 32) ^ word[1]) * 0xd6e8feb86659fd93u;
      h = (h ^ (h >> 32) ^ word[2]) * 0x9e3779b97f4a7c15u;
      h = (h ^ (h >> 32) ^ word[3]) * 0xd6e8feb86659fd93u;
      h = (h ^ (h >> 32) ^ word[4]) * seed;
      return h ^ (h >> 32);
    }
  };

  struct alignas(64) Slot {
    Key key;
    uint64_t generation : 48 = 0;  // the SPD's begins at 1: an empty slot never matches
    packet::Verdict verdict = packet::Verdict::kPolicyNoMatch;
    spd::Action action = spd::Action::kDiscard;
    const spd::Policy* policy = nullptr;
    sad::OutboundSa* sa = nullptr;
  };
  static_assert(sizeof(Slot) == 64, "a flow is one cache line");

  const uint64_t seed_;
  const uint32_t mask_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace esplane::pipeline
