// The Security Policy Database of the packet path (RFC 4301 §4.4.1): ordered entries, the first
// match decides; what matches none is discarded (§5.1).
//
// Workers read an immutable snapshot; set() swaps a whole new one in. Its entries are found through
// a classifier (classifier.h), not one after the other. A PROTECT entry names a policy, which
// outlives the snapshot: outbound SAs are attached to it (policy.h). Left out: name selectors
// (§4.4.1.1), populate-from-packet flags (the control plane narrows). A flow cache belongs before
// lookup_outbound(): it may keep an OutboundLookup as long as generation() and, with a policy, that
// policy's own generation stay the same.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/epoch.h"
#include "packet/ip.h"
#include "packet/selector.h"
#include "spd/classifier.h"
#include "spd/policy.h"

namespace esplane::spd {

enum class Action : uint8_t { kProtect, kBypass, kDiscard };
enum class Direction : uint8_t { kOutbound, kInbound };

/// Which SPD a packet meets, by the interface that it takes (RFC 4301 §4.4.1: a system may have
/// several). 0: that of the ports, and of what the host itself sends; others: of the route-based
/// tunnel with that number.
using Scope = uint16_t;
inline constexpr Scope kHostScope = 0;
/// What the key of a FlowCache holds.
inline constexpr Scope kLastScope = 4095;

/// An entry as the control plane gives it: SpdEntry of src/dataplane/dataplane.ts.
struct Entry {
  Action action = Action::kDiscard;
  Direction direction = Direction::kOutbound;
  std::string policy;  ///< with kProtect: the policy that its SAs are attached to
  /// Alternatives; a packet matches if it matches one of each. Local is our side of the tunnel:
  /// the source of outbound, the destination of inbound packets.
  std::vector<packet::Selector> local;
  std::vector<packet::Selector> remote;
  Scope scope = kHostScope;
};

/// What an outbound packet's headers led to.
struct OutboundLookup {
  /// kPending: go on. Or kPolicyDiscard, kPolicyNoMatch, kNoSa (PROTECT without an SA: raise an
  /// acquire for `policy`), kFragmentOpaque (a fragment without the ports that decide; with any
  /// action).
  packet::Verdict verdict = packet::Verdict::kPolicyNoMatch;
  Action action = Action::kDiscard;
  const Policy* policy = nullptr;      ///< with kProtect
  sad::OutboundSa* sa = nullptr;       ///< with kProtect, unless the verdict is kNoSa
  uint64_t policy_generation = 0;      ///< with kProtect: as it was before its SAs were asked
  bool wants_own = false;              ///< the sender is to ask for an SA of its own (Part::asks), or for all
};

/// What the inbound SPD says about a packet that arrived in clear (RFC 4301 §5.2).
enum class ClearLookup : uint8_t {
  kBypass,     ///< let it pass
  kDiscard,    ///< an entry says DISCARD
  kProtected,  ///< it should have come through a tunnel: never pass it on in clear
  kNoMatch,    ///< no entry speaks of it: it is none of the tunnels' traffic
};

class Spd {
 public:
  /// @param sas  about so many SAs are to be expected at most
  explicit Spd(base::Epoch& epoch, uint32_t sas = 1024);
  ~Spd();
  Spd(const Spd&) = delete;
  Spd& operator=(const Spd&) = delete;

  /// Replaces all entries at once. Policies that are named again keep their SAs; an SA attached to
  /// a policy that is no longer named stays attached but is not found. Any thread.
  /// @throws std::invalid_argument for a PROTECT entry without a policy, or in a scope above the
  ///         last; then nothing has changed
  void set(const std::vector<Entry>& entries);

  // These touch one SA, however many there are. Any thread.

  /// Adds an SA to a policy, which need not be in an entry yet.
  /// @param local, remote  the SA's own selectors, which may be narrower than the policy's
  /// @param part           whose it is, and whether it goes before all others or behind them
  void attach(std::string_view policy, sad::OutboundSa* sa,
              const std::vector<packet::Selector>& local,
              const std::vector<packet::Selector>& remote, const Part& part = {});
  /// Puts an SA before all others of its policy; unknown SAs are ignored.
  void prefer(sad::OutboundSa* sa);
  /// Takes an SA away from its policy; unknown SAs are ignored. Before Sad::remove.
  void detach(sad::OutboundSa* sa);

  /// The scope that a policy was set with last; 0 where there is none. Any thread.
  Scope scope_of(std::string_view policy) const;

  /// Workers only, between two Epoch::Reader::quiescent().
  OutboundLookup lookup_outbound(const packet::IpHeader& packet, Scope scope = kHostScope,
                                 Resource sender = kAnyResource) const;
  /// Likewise. Whether the fragments of this one's datagram may meet different entries, or SAs,
  /// since only the first shows ports (RFC 4301 §7.3): the datagram has to be judged whole.
  /// @param fragment  any of them
  bool ports_decide(const packet::IpHeader& fragment, Scope scope = kHostScope) const;
  /// Likewise. A packet that only the mirror of an outbound PROTECT entry covers is kProtected
  /// too: forgetting the inbound entry must not open the network.
  ClearLookup lookup_inbound_clear(const packet::IpHeader& packet) const;

  /// Grows with every set(), before what that replaced is retired. SAs that come and go are in
  /// their policy's generation.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  /// The entries of one direction and scope, in order.
  class Rules {
   public:
    struct Rule {
      Action action;
      const Policy* policy = nullptr;
      uint32_t first = 0;  ///< in `selectors_`: local ones, then remote ones
      uint32_t local_count = 0, remote_count = 0;
    };

    Rules(const std::vector<Entry>& entries, Direction direction, Scope scope);
    /// Names the policy of a rule; before publication.
    Rule& operator[](size_t i) { return rules_[i]; }

    /// Calls `visit(rule, match)` for every rule that matches, or would but for unseen ports, in
    /// order, until it returns true.
    template <typename Visit>
    void each_match(const packet::IpHeader& packet, LocalSide side, Visit visit) const;

   private:
    std::span<const packet::Selector> local(const Rule& rule) const {
      return {selectors_.data() + rule.first, rule.local_count};
    }
    std::span<const packet::Selector> remote(const Rule& rule) const {
      return {selectors_.data() + rule.first + rule.local_count, rule.remote_count};
    }
    std::vector<Classifier::Rule> for_classifier() const;

    std::vector<Rule> rules_;
    std::vector<packet::Selector> selectors_;
    Classifier classifier_;
  };
  struct Snapshot {
    explicit Snapshot(const std::vector<Entry>& entries);

    /// Null: no entry is in this scope.
    const Rules* outbound_of(Scope scope) const {
      return scope < outbound.size() ? outbound[scope].get() : nullptr;
    }

    std::vector<std::unique_ptr<Rules>> outbound;  ///< by scope; that of the host is there
    Rules inbound;                                 ///< of the host: tunnels receive no clear text
    std::vector<std::shared_ptr<Policy>> policies;  // kept alive as long as a worker may see them
  };

  void add(std::unique_ptr<Attachment> attachment);
  void take_out(std::unique_ptr<Attachment> attachment);
  const std::shared_ptr<Policy>& policy_named(std::string_view name);
  void name_policies(const std::vector<Entry>& entries, Snapshot& snapshot);
  void forget_unused_policies();

  base::Epoch& epoch_;
  std::atomic<const Snapshot*> snapshot_;
  std::atomic<uint64_t> generation_{1};
  AttachmentTable table_;

  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Policy>> policies_;
  std::unordered_map<const sad::OutboundSa*, std::unique_ptr<Attachment>> attachments_;
  uint64_t sets_ = 0;       ///< calls of set()
  int64_t first_rank_ = 0, last_rank_ = 0;  ///< given to SAs so far
};

}  // namespace esplane::spd
