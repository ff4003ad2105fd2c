#include "spd/spd.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace esplane::spd {

using packet::IpHeader;
using packet::Match;
using packet::Verdict;

Policy::~Policy() { delete sas_.load(std::memory_order_relaxed); }

sad::OutboundSa* Policy::find(const IpHeader& packet) const {
  const SaList* list = sas_.load(std::memory_order_acquire);
  if (!list) return nullptr;
  for (const auto& attached : *list) {
    if (packet::match_pair(packet, attached->local, attached->remote) == Match::kYes) {
      return attached->sa;
    }
  }
  return nullptr;
}

Spd::Spd(base::Epoch& epoch) : epoch_(epoch), snapshot_(new Snapshot) {}

Spd::~Spd() { delete snapshot_.load(std::memory_order_relaxed); }

void Spd::set(const std::vector<Entry>& entries) {
  const std::lock_guard lock(mutex_);
  auto snapshot = std::make_unique<Snapshot>();
  for (const Entry& entry : entries) {
    Rule rule{entry.action, nullptr, entry.local, entry.remote};
    if (entry.action == Action::kProtect) {
      if (entry.policy.empty()) throw std::invalid_argument("SPD: PROTECT without a policy");
      snapshot->policies.push_back(policy_named(entry.policy));
      rule.policy = snapshot->policies.back().get();
    }
    const bool outbound = entry.direction == Direction::kOutbound;
    (outbound ? snapshot->outbound : snapshot->inbound).push_back(std::move(rule));
  }
  const Snapshot* current = snapshot.get();
  const Snapshot* before = snapshot_.exchange(snapshot.release(), std::memory_order_acq_rel);
  epoch_.retire(std::unique_ptr<const Snapshot>(before));
  forget_unused_policies(*current);
  generation_.fetch_add(1, std::memory_order_release);
}

/// Drops from the index the policies that neither an entry names nor an SA is attached to. Workers
/// that still see one hold it through their snapshot.
void Spd::forget_unused_policies(const Snapshot& current) {
  std::erase_if(policies_, [&current](const auto& item) {
    const auto& policy = item.second;
    const bool named = std::find(current.policies.begin(), current.policies.end(), policy) !=
                       current.policies.end();
    return !named && !policy->sas_.load(std::memory_order_relaxed);
  });
}

std::shared_ptr<Policy> Spd::policy_named(std::string_view name) {
  std::shared_ptr<Policy>& policy = policies_[std::string(name)];
  if (!policy) policy = std::make_shared<Policy>(std::string(name));
  return policy;
}

void Spd::attach(std::string_view policy, sad::OutboundSa* sa,
                 std::vector<packet::Selector> local, std::vector<packet::Selector> remote,
                 bool standby) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<Policy> target = policy_named(policy);
  auto list = std::make_unique<Policy::SaList>();
  list->push_back(std::make_shared<const Policy::Attached>(
      Policy::Attached{sa, std::move(local), std::move(remote)}));
  const Policy::SaList* before = target->sas_.load(std::memory_order_relaxed);
  if (before) list->insert(standby ? list->begin() : list->end(), before->begin(), before->end());
  replace_sas(*target, std::move(list));
}

void Spd::prefer(sad::OutboundSa* sa) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, policy] : policies_) {
    const Policy::SaList* before = policy->sas_.load(std::memory_order_relaxed);
    if (!before) continue;
    auto list = std::make_unique<Policy::SaList>(*before);
    const auto found =
        std::find_if(list->begin(), list->end(), [sa](const auto& a) { return a->sa == sa; });
    if (found == list->end()) continue;
    std::rotate(list->begin(), found, found + 1);
    replace_sas(*policy, std::move(list));
    break;
  }
}

void Spd::detach(sad::OutboundSa* sa) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, policy] : policies_) {
    const Policy::SaList* before = policy->sas_.load(std::memory_order_relaxed);
    if (!before) continue;
    auto list = std::make_unique<Policy::SaList>(*before);
    const auto removed = std::erase_if(*list, [sa](const auto& a) { return a->sa == sa; });
    if (removed == 0) continue;
    replace_sas(*policy, list->empty() ? nullptr : std::move(list));
    break;
  }
}

void Spd::replace_sas(Policy& policy, std::unique_ptr<const Policy::SaList> list) {
  const auto* before = policy.sas_.exchange(list.release(), std::memory_order_acq_rel);
  epoch_.retire(std::unique_ptr<const Policy::SaList>(before));
  generation_.fetch_add(1, std::memory_order_release);
}

OutboundLookup Spd::lookup_outbound(const IpHeader& packet) const {
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  // A later fragment shows no ports. Until fragments are tracked (RFC 4301 §7.3), it never leaves
  // in clear where an earlier entry with ports might have said otherwise.
  bool may_not_bypass = false;
  for (const Rule& rule : snapshot->outbound) {
    const Match match = packet::match_pair(packet, rule.local, rule.remote);
    if (match == Match::kNo) continue;
    if (match == Match::kUnknown) {
      may_not_bypass |= rule.action != Action::kBypass;
      continue;
    }
    switch (rule.action) {
      case Action::kBypass:
        return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPending, rule.action};
      case Action::kDiscard:
        return {Verdict::kPolicyDiscard, rule.action};
      case Action::kProtect:
        sad::OutboundSa* sa = rule.policy->find(packet);
        return {sa ? Verdict::kPending : Verdict::kNoSa, rule.action, rule.policy, sa};
    }
  }
  return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPolicyNoMatch, Action::kDiscard};
}

ClearLookup Spd::lookup_inbound_clear(const IpHeader& packet) const {
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  for (const Rule& rule : snapshot->inbound) {
    const Match match = packet::match_pair(packet, rule.remote, rule.local);
    // Unseen ports count for the entries that keep a packet out, not for those that let it in.
    if (match == Match::kNo) continue;
    if (match == Match::kUnknown && rule.action == Action::kBypass) continue;
    switch (rule.action) {
      case Action::kBypass:
        return ClearLookup::kBypass;
      case Action::kDiscard:
        return ClearLookup::kDiscard;
      case Action::kProtect:
        return ClearLookup::kProtected;
    }
  }
  for (const Rule& rule : snapshot->outbound) {
    if (rule.action != Action::kProtect) continue;
    if (packet::match_pair(packet, rule.remote, rule.local) != Match::kNo) {
      return ClearLookup::kProtected;
    }
  }
  return ClearLookup::kNoMatch;
}

}  // namespace esplane::spd
