// A PROTECT policy and the outbound SAs that serve it (RFC 4301 §4.4.1.2: one entry, many SAs).
//
// A gateway for a million road warriors has one policy with a million narrow SAs; one for sites has
// thousands of policies with an SA or two each. Both are found in a handful of steps: a policy with
// few SAs asks each of them; with more, a hash over the address prefixes of their selectors leads
// to the few that can match, once for each shape (a pair of prefix lengths, and whether protocol
// and ports are exact) that occurs among them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/epoch.h"
#include "packet/ip.h"
#include "packet/selector.h"

namespace esplane::sad {
struct OutboundSa;  // only its address is used here
}

namespace esplane::spd {

class AttachmentTable;
class Policy;

/// Who sends: a lane (pipeline/lane.h), the resource of RFC 9611.
using Resource = uint16_t;
/// All who have no SA of their own, or it is not asked who.
inline constexpr Resource kAnyResource = 0xffff;

/// Which part an SA has among those of its policy with the same selectors.
struct Part {
  bool standby = false;               ///< behind all others: its peer cannot receive on it yet
  Resource resource = kAnyResource;   ///< which sends on it before all others
  /// Who sends on it for want of an SA of its own is to ask for one (RFC 9611).
  bool asks = false;
};

/// How far a pair of selectors is hashed.
struct SelectorShape {
  packet::Family family;
  uint8_t local_bits;   ///< of the address prefix
  uint8_t remote_bits;
  bool protocol;        ///< one protocol
  bool local_port;      ///< one port
  bool remote_port;

  bool operator==(const SelectorShape&) const = default;
};

/// An SA and its selectors in a policy. Immutable for readers but for the links.
class Attachment {
 public:
  /// @param rank  of the SAs that fit a packet equally well (fitness()) the one of the highest rank
  ///              is used: above all there are, or on standby, below zero and below them
  static std::unique_ptr<Attachment> make(sad::OutboundSa* sa, Policy& policy, int64_t rank,
                                          const Part& part,
                                          std::span<const packet::Selector> local,
                                          std::span<const packet::Selector> remote);
  /// Made by make() only, in a block of its own; `delete` gives that back.
  ~Attachment() = default;
  static void operator delete(Attachment* attachment, std::destroying_delete_t);

  sad::OutboundSa* sa() const { return sa_; }
  Policy& policy() const { return policy_; }
  Resource resource() const { return resource_; }
  bool asks() const { return asks_; }
  /// How well it serves a sender: its own SA before the one for all, that before another's, and each
  /// of these before any on standby.
  uint32_t fitness(Resource sender) const {
    const uint32_t bound = resource_ == sender ? 2 : resource_ == kAnyResource ? 1 : 0;
    return rank_ > 0 ? bound + 3 : bound;
  }
  std::span<const packet::Selector> local() const { return {selectors(), local_count_}; }
  std::span<const packet::Selector> remote() const {
    return {selectors() + local_count_, remote_count_};
  }
  bool fits(const packet::IpHeader& packet) const {
    return packet::match_pair(packet, local(), remote()) == packet::Match::kYes;
  }

 private:
  friend class Policy;
  friend class AttachmentTable;

  /// In a chain of the table: one for each pair of a local and a remote selector.
  struct Link {
    std::atomic<Link*> next{nullptr};
    std::atomic<Link*>* before = nullptr;  ///< what points here
    const Attachment* owner = nullptr;
    uint64_t hash = 0;
  };

  // One block of memory: this, the links, the selectors, local ones first. A look-up among very
  // many reads it from one end to the other.
  Attachment(sad::OutboundSa* sa, Policy& policy, int64_t rank, const Part& part,
             std::span<const packet::Selector> local, std::span<const packet::Selector> remote);
  static size_t block_bytes(size_t local_count, size_t remote_count);
  size_t link_count() const { return size_t{local_count_} * remote_count_; }
  Link* links() { return reinterpret_cast<Link*>(this + 1); }
  packet::Selector* selectors() { return reinterpret_cast<packet::Selector*>(links() + link_count()); }
  const packet::Selector* selectors() const { return const_cast<Attachment*>(this)->selectors(); }

  sad::OutboundSa* const sa_;
  Policy& policy_;
  const int64_t rank_;
  std::atomic<Attachment*> next_{nullptr};  ///< in its policy, by falling rank
  Attachment* before_ = nullptr;
  const uint16_t local_count_, remote_count_;
  const Resource resource_;
  const bool asks_;
};

/// Stable by name while any snapshot of the SPD or SA needs it. Changed under the SPD's mutex;
/// workers read without a lock.
class Policy {
 public:
  explicit Policy(std::string name) : name_(std::move(name)) {}
  ~Policy();
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  const std::string& name() const { return name_; }
  /// Of the SAs whose selectors this packet fits the one that serves its sender best, or null.
  /// Workers only, between two Epoch::Reader::quiescent().
  const Attachment* find(const packet::IpHeader& packet, Resource sender,
                         const AttachmentTable& table) const;
  /// Grows with every SA that comes, and when one goes before it is retired.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  friend class Spd;
  friend class AttachmentTable;

  /// So many SAs are asked one by one.
  static constexpr uint32_t kFew = 4;

  struct ShapeUse {
    SelectorShape shape;
    uint32_t links;
  };
  using Shapes = std::vector<SelectorShape>;

  void add(Attachment& attachment);
  void remove(Attachment& attachment);
  void use_shape(const SelectorShape& shape, int32_t change, base::Epoch& epoch);
  /// What no other SA outdoes in fitness to this sender, and of a lower rank.
  uint32_t best_fitness(Resource sender) const {
    return sender == kAnyResource || bound_.load(std::memory_order_relaxed) != 0 ? 5 : 4;
  }
  void changed() { generation_.fetch_add(1, std::memory_order_release); }
  bool has_sas() const { return first_.load(std::memory_order_relaxed) != nullptr; }

  const std::string name_;
  std::atomic<uint64_t> generation_{1};
  std::atomic<Attachment*> first_{nullptr};
  Attachment* last_ = nullptr;
  std::atomic<uint32_t> count_{0};
  std::atomic<uint32_t> bound_{0};  ///< of them, to a resource
  std::atomic<const Shapes*> shapes_{nullptr};
  std::vector<ShapeUse> shape_uses_;
  uint64_t named_by_ = 0;  ///< the last Spd::set that named it
  uint16_t scope_ = 0;     ///< of the entry that did; under the SPD's mutex
};

/// The SAs of all policies by a hash of their selectors.
class AttachmentTable {
 public:
  /// @param sas  about so many are to be expected at most
  explicit AttachmentTable(uint32_t sas);

  /// Under the SPD's mutex.
  void add(Attachment& attachment, base::Epoch& epoch);
  void remove(Attachment& attachment, base::Epoch& epoch);

  /// Likewise, of the SAs of `policy` among those of one shape.
  const Attachment* find(const Policy& policy, const SelectorShape& shape,
                         const packet::IpHeader& packet, Resource sender) const;

 private:
  using Link = Attachment::Link;

  std::atomic<Link*>& chain(uint64_t hash) const { return chains_[hash & mask_]; }
  uint64_t hash(const Policy& policy, const SelectorShape& shape,
                const packet::IpAddress& local, const packet::IpAddress& remote, uint8_t protocol,
                uint16_t local_port, uint16_t remote_port) const;
  template <typename Each>
  void each_pair(Attachment& attachment, Each each) const;

  const uint64_t seed_;  ///< peers choose selectors: none can aim many at one chain
  const uint64_t mask_;
  std::unique_ptr<std::atomic<Link*>[]> chains_;
};

}  // namespace esplane::spd
