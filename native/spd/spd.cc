#include "spd/spd.h"

#include <stdexcept>
#include <utility>

namespace esplane::spd {

using packet::IpHeader;
using packet::Match;
using packet::Verdict;

// --- entries -------------------------------------------------------------------------------

Spd::Rules::Rules(const std::vector<Entry>& entries, Direction direction, Scope scope)
    : classifier_({}) {
  for (const Entry& entry : entries) {
    if (entry.direction != direction || entry.scope != scope) continue;
    rules_.push_back({.action = entry.action,
                      .first = static_cast<uint32_t>(selectors_.size()),
                      .local_count = static_cast<uint32_t>(entry.local.size()),
                      .remote_count = static_cast<uint32_t>(entry.remote.size())});
    selectors_.insert(selectors_.end(), entry.local.begin(), entry.local.end());
    selectors_.insert(selectors_.end(), entry.remote.begin(), entry.remote.end());
  }
  classifier_ = Classifier(for_classifier());
}

std::vector<Classifier::Rule> Spd::Rules::for_classifier() const {
  std::vector<Classifier::Rule> all;
  all.reserve(rules_.size());
  for (const Rule& rule : rules_) all.push_back({local(rule), remote(rule)});
  return all;
}

template <typename Visit>
void Spd::Rules::each_match(const IpHeader& packet, LocalSide side, Visit visit) const {
  classifier_.candidates(packet, side, [&](uint32_t index) {
    const Rule& rule = rules_[index];
    const Match match = side == LocalSide::kSource
                            ? packet::match_pair(packet, local(rule), remote(rule))
                            : packet::match_pair(packet, remote(rule), local(rule));
    return match != Match::kNo && visit(rule, match);
  });
}

Spd::Snapshot::Snapshot(const std::vector<Entry>& entries)
    : outbound(1), inbound(entries, Direction::kInbound, kHostScope) {
  outbound[kHostScope] = std::make_unique<Rules>(entries, Direction::kOutbound, kHostScope);
  for (const Entry& entry : entries) {
    if (entry.scope >= outbound.size()) outbound.resize(entry.scope + 1u);
    auto& rules = outbound[entry.scope];
    if (rules == nullptr)
      rules = std::make_unique<Rules>(entries, Direction::kOutbound, entry.scope);
  }
}

Spd::Spd(base::Epoch& epoch, uint32_t sas)
    : epoch_(epoch), snapshot_(new Snapshot({})), table_(sas) {}

Spd::~Spd() { delete snapshot_.load(std::memory_order_relaxed); }

void Spd::set(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.action == Action::kProtect && entry.policy.empty())
      throw std::invalid_argument("SPD: PROTECT without a policy");
    if (entry.scope > kLastScope) throw std::invalid_argument("SPD: no such scope");
  }
  // SAs come and go while this is built.
  auto snapshot = std::make_unique<Snapshot>(entries);

  const std::lock_guard lock(mutex_);
  name_policies(entries, *snapshot);
  const Snapshot* before = snapshot_.exchange(snapshot.release(), std::memory_order_acq_rel);
  // First the generation: a worker that has not seen it still holds the old snapshot and with it
  // the policies that its flow cache points at.
  generation_.fetch_add(1, std::memory_order_release);
  epoch_.retire(std::unique_ptr<const Snapshot>(before), base::Epoch::Size::kLarge);
  forget_unused_policies();
}

void Spd::name_policies(const std::vector<Entry>& entries, Snapshot& snapshot) {
  sets_++;
  std::vector<size_t> next_outbound(snapshot.outbound.size(), 0);
  size_t next_inbound = 0;
  for (const Entry& entry : entries) {
    const bool outbound = entry.direction == Direction::kOutbound;
    if (!outbound && entry.scope != kHostScope) continue;
    auto& rule = outbound ? (*snapshot.outbound[entry.scope])[next_outbound[entry.scope]++]
                          : snapshot.inbound[next_inbound++];
    if (entry.action != Action::kProtect) continue;
    const auto& policy = policy_named(entry.policy);
    rule.policy = policy.get();
    if (policy->named_by_ != sets_) snapshot.policies.push_back(policy);
    policy->named_by_ = sets_;
    policy->scope_ = entry.scope;
  }
}

/// Drops from the index the policies that neither an entry names nor an SA is attached to. Workers
/// that still see one hold it through their snapshot.
void Spd::forget_unused_policies() {
  std::erase_if(policies_, [this](const auto& item) {
    return item.second->named_by_ != sets_ && !item.second->has_sas();
  });
}

const std::shared_ptr<Policy>& Spd::policy_named(std::string_view name) {
  std::shared_ptr<Policy>& policy = policies_[std::string(name)];
  if (!policy) policy = std::make_shared<Policy>(std::string(name));
  return policy;
}

Scope Spd::scope_of(std::string_view policy) const {
  const std::lock_guard lock(mutex_);
  const auto found = policies_.find(std::string(policy));
  return found == policies_.end() ? kHostScope : found->second->scope_;
}

// --- SAs -----------------------------------------------------------------------------------

void Spd::attach(std::string_view policy, sad::OutboundSa* sa,
                 const std::vector<packet::Selector>& local,
                 const std::vector<packet::Selector>& remote, const Part& part) {
  const std::lock_guard lock(mutex_);
  const int64_t rank = part.standby ? --last_rank_ : ++first_rank_;
  add(Attachment::make(sa, *policy_named(policy), rank, part, local, remote));
}

void Spd::prefer(sad::OutboundSa* sa) {
  const std::lock_guard lock(mutex_);
  const auto found = attachments_.find(sa);
  if (found == attachments_.end()) return;
  std::unique_ptr<Attachment> before = std::move(found->second);
  const Part part{.resource = before->resource(), .asks = before->asks()};
  add(Attachment::make(sa, before->policy(), ++first_rank_, part, before->local(),
                       before->remote()));
  take_out(std::move(before));
}

void Spd::detach(sad::OutboundSa* sa) {
  const std::lock_guard lock(mutex_);
  const auto found = attachments_.find(sa);
  if (found == attachments_.end()) return;
  std::unique_ptr<Attachment> gone = std::move(found->second);
  attachments_.erase(found);
  take_out(std::move(gone));
}

void Spd::add(std::unique_ptr<Attachment> attachment) {
  Policy& policy = attachment->policy();
  table_.add(*attachment, epoch_);
  policy.add(*attachment);
  policy.changed();
  attachments_[attachment->sa()] = std::move(attachment);
}

void Spd::take_out(std::unique_ptr<Attachment> attachment) {
  Policy& policy = attachment->policy();
  policy.remove(*attachment);
  table_.remove(*attachment, epoch_);
  policy.changed();
  epoch_.retire(std::move(attachment));
}

// --- packets -------------------------------------------------------------------------------

OutboundLookup Spd::lookup_outbound(const IpHeader& packet, Scope scope, Resource sender) const {
  const Rules* rules = snapshot_.load(std::memory_order_acquire)->outbound_of(scope);
  if (rules == nullptr) return {Verdict::kPolicyNoMatch, Action::kDiscard};
  // A later fragment shows no ports. Should one come here where ports decide, it never leaves in
  // clear past an earlier entry with ports that might have said otherwise.
  bool may_not_bypass = false;
  const Rules::Rule* first = nullptr;
  rules->each_match(packet, LocalSide::kSource, [&](const Rules::Rule& rule, Match match) {
    if (match == Match::kYes) {
      first = &rule;
      return true;
    }
    may_not_bypass |= rule.action != Action::kBypass;
    return false;
  });
  if (first == nullptr)
    return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPolicyNoMatch, Action::kDiscard};
  switch (first->action) {
    case Action::kBypass:
      return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPending, first->action};
    case Action::kDiscard:
      return {Verdict::kPolicyDiscard, first->action};
    case Action::kProtect:
      break;
  }
  const uint64_t generation = first->policy->generation();  // before its SAs are asked
  const Attachment* found = first->policy->find(packet, sender, table_);
  return {.verdict = found ? Verdict::kPending : Verdict::kNoSa,
          .action = first->action,
          .policy = first->policy,
          .sa = found ? found->sa() : nullptr,
          .policy_generation = generation,
          // That of another is used only where there is none for all: somebody has to know.
          .wants_own = found && found->resource() != sender &&
                       (found->asks() || found->resource() != kAnyResource)};
}

bool Spd::ports_decide(const IpHeader& fragment, Scope scope) const {
  const Rules* rules = snapshot_.load(std::memory_order_acquire)->outbound_of(scope);
  if (rules == nullptr) return false;
  IpHeader later = fragment;
  later.has_ports = false;
  later.source_port = later.destination_port = 0;
  later.fragment_offset = 8;
  const Rules::Rule* unseen = nullptr;  // the first that its ports might match
  const Rules::Rule* surely = nullptr;
  bool differ = false;
  rules->each_match(later, LocalSide::kSource, [&](const Rules::Rule& rule, Match match) {
    if (unseen != nullptr)
      differ |= rule.action != unseen->action || rule.policy != unseen->policy;
    if (match == Match::kYes) surely = &rule;
    else if (unseen == nullptr) unseen = &rule;
    return match == Match::kYes;
  });
  if (unseen != nullptr && (differ || surely == nullptr)) return true;
  return surely != nullptr && surely->action == Action::kProtect &&
         surely->policy->find(later, kAnyResource, table_) == nullptr;
}

ClearLookup Spd::lookup_inbound_clear(const IpHeader& packet) const {
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  const Rules::Rule* first = nullptr;
  snapshot->inbound.each_match(packet, LocalSide::kDestination,
                               [&](const Rules::Rule& rule, Match match) {
                                 // Unseen ports count for the entries that keep a packet out, not
                                 // for those that let it in.
                                 if (match == Match::kUnknown && rule.action == Action::kBypass)
                                   return false;
                                 first = &rule;
                                 return true;
                               });
  if (first != nullptr) {
    switch (first->action) {
      case Action::kBypass:
        return ClearLookup::kBypass;
      case Action::kDiscard:
        return ClearLookup::kDiscard;
      case Action::kProtect:
        return ClearLookup::kProtected;
    }
  }
  bool is_protected = false;
  snapshot->outbound[kHostScope]->each_match(
      packet, LocalSide::kDestination,
      [&](const Rules::Rule& rule, Match) { return is_protected = rule.action == Action::kProtect; });
  return is_protected ? ClearLookup::kProtected : ClearLookup::kNoMatch;
}

}  // namespace esplane::spd
