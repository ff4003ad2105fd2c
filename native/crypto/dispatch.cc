// Which engines there are for a suite, and which one is used: the fastest on this machine of those
// that pass their known answers.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>

#include "crypto/calibrate.h"
#include "crypto/candidates.h"
#include "crypto/choice.h"
#include "crypto/composite.h"
#include "crypto/known_answer.h"

namespace esplane::crypto {
namespace {

/// What stands earlier in the list of candidates is used unless another is faster by this factor:
/// a disturbance of the machine must not decide.
constexpr double kClearlyFaster = 0.95;

bool is_reference(const char* name) { return std::strcmp(name, "reference") == 0; }

template <typename Implementation>
bool passes(const Implementation& implementation, const Suite& suite) {
  if (passes_known_answers(implementation, suite)) return true;
  std::fprintf(stderr, "esplane: %s by %s fails its known answers, not used\n", suite.name,
               implementation.name);
  return false;
}

/// The fastest candidate that passes; the reference only where it is the only one.
/// @param measured  those that were compared, fastest first
template <typename Implementation>
const Implementation& fastest(std::span<const Implementation* const> candidates, const Suite& suite,
                              std::vector<Contestant>& measured) {
  const Implementation* best = nullptr;
  double best_ns = 0;
  for (const Implementation* each : candidates) {
    if (best && is_reference(each->name)) continue;
    if (!passes(*each, suite)) continue;
    const double ns = measure(*each, suite);
    measured.push_back({each->name, ns});
    if (best && ns > kClearlyFaster * best_ns) continue;
    best = each;
    best_ns = ns;
  }
  if (best == nullptr) std::abort();
  std::stable_sort(measured.begin(), measured.end(), [&](const Contestant& a, const Contestant& b) {
    if ((a.name == best->name) != (b.name == best->name)) return a.name == best->name;
    return a.ns_per_byte < b.ns_per_byte;
  });
  return *best;
}

// --- Composites ---------------------------------------------------------------------------------

/// One engine for each pair of parts that was asked for, as long as the process lives.
const Engine& composite_of(const CipherPart* cipher, const MacPart& mac) {
  struct Named {
    std::string name;
    Engine engine;
  };
  static std::mutex mutex;
  static std::deque<Named> known;
  const std::lock_guard lock(mutex);
  for (const Named& each : known) {
    if (each.engine.cipher == cipher && each.engine.mac == &mac) return each.engine;
  }
  std::string name = cipher ? cipher->name : mac.name;
  if (name != mac.name) name = name + "+" + mac.name;
  Named& added = known.emplace_back(Named{std::move(name), {}});
  added.engine = composite(added.name.c_str(), cipher, mac);
  return added.engine;
}

/// Every cipher and every MAC in some pair: those of one provider, then what is left over.
std::vector<const Engine*> composites(const Suite& suite) {
  const auto ciphers = cipher_candidates(suite);
  const auto macs = mac_candidates(suite);
  const auto of = [](const auto& parts, const char* provider) {
    const auto* found = std::find_if(parts.begin(), parts.end(), [&](const auto* part) {
      return std::strcmp(part->name, provider) == 0;
    });
    return found == parts.end() ? parts.begin() : found;
  };
  std::vector<const Engine*> all;
  for (const MacPart* mac : macs) {
    const CipherPart* cipher = ciphers.count > 0 ? *of(ciphers, mac->name) : nullptr;
    all.push_back(&composite_of(cipher, *mac));
  }
  for (const CipherPart* cipher : ciphers) {
    const Engine* engine = &composite_of(cipher, **of(macs, cipher->name));
    if (std::find(all.begin(), all.end(), engine) == all.end()) all.insert(all.begin(), engine);
  }
  return all;
}

// --- Per suite ----------------------------------------------------------------------------------

/// What is known of one suite.
struct Slot {
  std::once_flag listed, chosen;
  std::vector<const Engine*> engines;
  Choice choice{};
  std::atomic<bool> has_choice{false};
};

Slot& slot_of(const Suite& suite) {
  static std::vector<Slot> slots(suites().size());
  return slots[static_cast<size_t>(&suite - suites().data())];
}

std::vector<const Engine*> list_engines(const Suite& suite) {
  if (suite.form == Form::kMac) return composites(suite);
  const auto aeads = aead_candidates(suite);
  return {aeads.begin(), aeads.end()};
}

Choice choose(const Suite& suite) {
  Choice choice{&suite, nullptr, {}, {}, {}};
  if (suite.form != Form::kMac) {
    choice.engine = &fastest<Engine>(aead_candidates(suite), suite, choice.aeads);
    return choice;
  }
  const auto ciphers = cipher_candidates(suite);
  const CipherPart* cipher =
      ciphers.count > 0 ? &fastest<CipherPart>(ciphers, suite, choice.ciphers) : nullptr;
  const MacPart& mac = fastest<MacPart>(mac_candidates(suite), suite, choice.macs);
  choice.engine = &composite_of(cipher, mac);
  return choice;
}

}  // namespace

double Choice::ns_per_byte() const {
  double sum = 0;
  for (const auto* list : {&aeads, &ciphers, &macs}) {
    if (!list->empty()) sum += list->front().ns_per_byte;
  }
  return sum;
}

std::span<const Engine* const> engines(const Suite& suite) {
  Slot& slot = slot_of(suite);
  std::call_once(slot.listed, [&] { slot.engines = list_engines(suite); });
  return slot.engines;
}

const Choice& engine_choice(const Suite& suite) {
  Slot& slot = slot_of(suite);
  std::call_once(slot.chosen, [&] {
    slot.choice = choose(suite);
    slot.has_choice.store(true, std::memory_order_release);
  });
  return slot.choice;
}

const Engine& engine(const Suite& suite) { return *engine_choice(suite).engine; }

std::vector<const Choice*> choices() {
  std::vector<const Choice*> made;
  for (const Suite& suite : suites()) {
    const Slot& slot = slot_of(suite);
    if (slot.has_choice.load(std::memory_order_acquire)) made.push_back(&slot.choice);
  }
  return made;
}

}  // namespace esplane::crypto
