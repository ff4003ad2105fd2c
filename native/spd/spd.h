// The Security Policy Database of the packet path (RFC 4301 §4.4.1): ordered entries, the first
// match decides; what matches none is discarded (§5.1).
//
// Workers read an immutable snapshot; set() swaps a whole new one in. A PROTECT entry names a
// policy, which outlives the snapshot: outbound SAs are attached to it. Left out: name selectors
// (§4.4.1.1), populate-from-packet flags (the control plane narrows). A flow cache belongs before
// lookup_outbound(): it may keep an OutboundLookup as long as generation() stays the same.
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

namespace esplane::sad {
struct OutboundSa;  // only its address is used here
}

namespace esplane::spd {

enum class Action : uint8_t { kProtect, kBypass, kDiscard };
enum class Direction : uint8_t { kOutbound, kInbound };

/// An entry as the control plane gives it: SpdEntry of src/dataplane/dataplane.ts.
struct Entry {
  Action action = Action::kDiscard;
  Direction direction = Direction::kOutbound;
  std::string policy;  ///< with kProtect: the policy that its SAs are attached to
  /// Alternatives; a packet matches if it matches one of each. Local is our side of the tunnel:
  /// the source of outbound, the destination of inbound packets.
  std::vector<packet::Selector> local;
  std::vector<packet::Selector> remote;
};

/// A PROTECT policy and its outbound SAs. Stable by name while any snapshot or SA needs it.
class Policy {
 public:
  explicit Policy(std::string name) : name_(std::move(name)) {}
  ~Policy();

  const std::string& name() const { return name_; }
  /// The first SA whose selectors this packet fits, or null.
  sad::OutboundSa* find(const packet::IpHeader& packet) const;

 private:
  friend class Spd;
  struct Attached {
    sad::OutboundSa* sa;
    std::vector<packet::Selector> local;
    std::vector<packet::Selector> remote;
  };
  using SaList = std::vector<std::shared_ptr<const Attached>>;  // what is preferred comes first

  const std::string name_;
  std::atomic<const SaList*> sas_{nullptr};
};

/// What an outbound packet's headers led to.
struct OutboundLookup {
  /// kPending: go on. Or kPolicyDiscard, kPolicyNoMatch, kNoSa (PROTECT without an SA: raise an
  /// acquire for `policy`).
  packet::Verdict verdict = packet::Verdict::kPolicyNoMatch;
  Action action = Action::kDiscard;
  const Policy* policy = nullptr;      ///< with kProtect
  sad::OutboundSa* sa = nullptr;       ///< with kProtect, unless the verdict is kNoSa
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
  explicit Spd(base::Epoch& epoch);
  ~Spd();
  Spd(const Spd&) = delete;
  Spd& operator=(const Spd&) = delete;

  /// Replaces all entries at once. Policies that are named again keep their SAs; an SA attached to
  /// a policy that is no longer named stays attached but is not found. Any thread.
  void set(const std::vector<Entry>& entries);

  /// Adds an SA to a policy, which need not be in an entry yet. Any thread.
  /// @param local, remote  the SA's own selectors, which may be narrower than the policy's
  /// @param standby        behind all others of the policy, not before them: a rekeyed SA that its
  ///                       peer cannot receive on yet (RFC 7296 §2.8)
  void attach(std::string_view policy, sad::OutboundSa* sa, std::vector<packet::Selector> local,
              std::vector<packet::Selector> remote, bool standby = false);
  /// Puts an SA before all others of its policy; unknown SAs are ignored. Any thread.
  void prefer(sad::OutboundSa* sa);
  /// Takes an SA away from its policy; unknown SAs are ignored. Before Sad::remove.
  void detach(sad::OutboundSa* sa);

  /// Workers only, between two Epoch::Reader::quiescent().
  OutboundLookup lookup_outbound(const packet::IpHeader& packet) const;
  /// Likewise. A packet that only the mirror of an outbound PROTECT entry covers is kProtected
  /// too: forgetting the inbound entry must not open the network.
  ClearLookup lookup_inbound_clear(const packet::IpHeader& packet) const;

  /// Grows with every set, attach and detach.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  struct Rule {
    Action action;
    const Policy* policy;
    std::vector<packet::Selector> local;
    std::vector<packet::Selector> remote;
  };
  struct Snapshot {
    std::vector<Rule> outbound;
    std::vector<Rule> inbound;
    std::vector<std::shared_ptr<Policy>> policies;  // kept alive as long as a worker may see them
  };

  std::shared_ptr<Policy> policy_named(std::string_view name);
  void forget_unused_policies(const Snapshot& current);
  void replace_sas(Policy& policy, std::unique_ptr<const Policy::SaList> list);

  base::Epoch& epoch_;
  std::atomic<const Snapshot*> snapshot_;
  std::atomic<uint64_t> generation_{1};

  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Policy>> policies_;
};

}  // namespace esplane::spd
