// What the SPD said about the flows of late: one lane's, two entries to a set, one cache line a
// flow.
//
// An answer holds as long as two numbers stay what they were before the question: the SPD's
// generation, which a change of entries moves, and that of the policy in the answer, which an SA
// that comes or goes moves. Both move before anything that the answer points at is retired. So a
// rekeyed SA makes the flows of its own policy stale and no others.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "packet/ip.h"
#include "spd/spd.h"

namespace esplane::pipeline {

class FlowCache {
 public:
  static constexpr uint32_t kSets = 1024;

  /// @param seed     of this process, so that nobody can aim flows at one slot
  /// @param sets  a power of two
  /// @param sender  whose it is: what it asks the SPD as
  explicit FlowCache(uint64_t seed, uint32_t sets = kSets,
                     spd::Resource sender = spd::kAnyResource)
      : seed_(seed | 1),
        mask_(sets - 1),
        sender_(sender),
        slots_(std::make_unique<Slot[]>(size_t{sets} * 2)) {}

  /// The set in which a flow is looked for. It is on its way into the CPU's cache from here on.
  uint32_t set_of(const packet::IpHeader& header, spd::Scope scope) const {
    const auto set = static_cast<uint32_t>(hash(key_of(header, scope))) & mask_;
    __builtin_prefetch(&slots_[set * 2]);
    return set;
  }

  /// The SPD's answer, from here or from there.
  /// @param generation  of `spd`, read by this worker since it was last quiescent
  spd::OutboundLookup lookup(const spd::Spd& spd, uint64_t generation,
                             const packet::IpHeader& header, spd::Scope scope = spd::kHostScope) {
    return lookup(spd, generation, header, scope, set_of(header, scope));
  }
  /// @param of  set_of() the same
  spd::OutboundLookup lookup(const spd::Spd& spd, uint64_t generation,
                             const packet::IpHeader& header, spd::Scope scope, uint32_t of) {
    const Key key = key_of(header, scope);
    Slot* set = &slots_[of * 2];
    for (Slot* slot = set; slot != set + 2; slot++) {
      if (slot->key == key && slot->holds(generation)) return slot->answer();
    }
    misses_++;
    const auto found = spd.lookup_outbound(header, scope, sender_);
    if (!(set[0].key == key)) set[1] = set[0];  // the newer of the two stays
    set[0].record(key, generation, found);
    return found;
  }

  /// How often the SPD had to be asked.
  uint64_t misses() const { return misses_; }

 private:
  using Key = packet::IpHeader::Flow;

  /// All that selectors look at, and in which scope: that has the place of the source's family, which
  /// the destination's says as well, and of bits that are always zero.
  static Key key_of(const packet::IpHeader& header, spd::Scope scope) {
    Key key = header.flow();
    key.word[2] = (key.word[2] & ~uint64_t{0xff}) | (scope & 0xff);
    key.word[4] |= uint64_t{scope} >> 8 << Key::kFreeBits;
    return key;
  }
  static_assert(spd::kLastScope >> 8 < 1 << Key::kFreeBitCount);

  uint64_t hash(const Key& key) const {
    const uint64_t* word = key.word;
    const uint64_t high = multiply(word[0] ^ seed_, word[2] ^ 0x9e3779b97f4a7c15u);
    const uint64_t low = multiply(word[1] ^ 0xd6e8feb86659fd93u, word[3] ^ seed_);
    return multiply(high ^ word[4], low ^ seed_);
  }
  /// The halves of the product of 128 bits, together.
  static uint64_t multiply(uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  /// A generation has 40 bits: a policy whose SAs change ten thousand times a second comes back to
  /// the same number in three years. A pointer has the 48 bits of a user's address.
  struct alignas(64) Slot {
    static constexpr uint64_t kGenerationMask = (uint64_t{1} << 40) - 1;
    static constexpr uint32_t kLowBits = 24;

    Key key{};
    uint64_t generation : 40 = 0;  // the SPD's begins at 1: an empty slot never holds
    uint64_t policy_generation_low : kLowBits = 0;
    uint64_t policy : 48 = 0;
    uint64_t verdict : 8 = 0;
    uint64_t action : 7 = 0;
    uint64_t wants_own : 1 = 0;
    uint64_t sa : 48 = 0;
    uint64_t policy_generation_high : 16 = 0;

    const spd::Policy* policy_pointer() const {
      return reinterpret_cast<const spd::Policy*>(uintptr_t{policy});
    }
    uint64_t policy_generation() const {
      return uint64_t{policy_generation_high} << kLowBits | uint64_t{policy_generation_low};
    }

    bool holds(uint64_t spd_generation) const {
      if (generation != (spd_generation & kGenerationMask)) return false;
      // The SPD is as it was, so the policy is alive.
      return policy == 0 ||
             policy_generation() == (policy_pointer()->generation() & kGenerationMask);
    }
    spd::OutboundLookup answer() const {
      return {.verdict = static_cast<packet::Verdict>(verdict),
              .action = static_cast<spd::Action>(action),
              .policy = policy_pointer(),
              .sa = reinterpret_cast<sad::OutboundSa*>(uintptr_t{sa}),
              .policy_generation = policy_generation(),
              .wants_own = wants_own != 0};
    }
    void record(const Key& k, uint64_t spd_generation, const spd::OutboundLookup& found) {
      key = k;
      generation = spd_generation & kGenerationMask;
      policy_generation_low = found.policy_generation & ((uint64_t{1} << kLowBits) - 1);
      policy_generation_high = found.policy_generation >> kLowBits & 0xffff;
      policy = reinterpret_cast<uintptr_t>(found.policy) & ((uint64_t{1} << 48) - 1);
      verdict = static_cast<uint8_t>(found.verdict);
      action = static_cast<uint8_t>(found.action) & 0x7f;
      wants_own = found.wants_own ? 1 : 0;
      sa = reinterpret_cast<uintptr_t>(found.sa) & ((uint64_t{1} << 48) - 1);
    }
  };
  static_assert(sizeof(Slot) == 64, "a flow is one cache line");

  const uint64_t seed_;
  const uint32_t mask_;
  const spd::Resource sender_;
  std::unique_ptr<Slot[]> slots_;
  uint64_t misses_ = 0;
};

}  // namespace esplane::pipeline
