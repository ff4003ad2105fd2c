// Which of many ordered rules a packet may match, without asking each (RFC 4301 §4.4.1: selectors
// are ranges, order decides).
//
// One axis for each thing that selectors look at: local and remote address, protocol, local and
// remote port. The ends of all rules' ranges cut an axis into intervals, and for each of them the
// rules that reach over it are recorded (rule_sets.h). A packet falls into one interval of every
// axis; the rules that all five have in common are its candidates, in order. Candidates are a
// superset: a rule whose alternatives match on different axes is one as well, so the caller asks
// packet::match_pair about each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "packet/ip.h"
#include "packet/selector.h"
#include "spd/rule_sets.h"

namespace esplane::spd {

/// Which address of a packet is on the local side.
enum class LocalSide : uint8_t { kSource, kDestination };

class Classifier {
 public:
  /// The alternatives of one rule. Read during construction only.
  struct Rule {
    std::span<const packet::Selector> local;
    std::span<const packet::Selector> remote;
  };

  /// Takes some microseconds a rule, and up to about 1 KiB where most rules overlap.
  explicit Classifier(std::span<const Rule> rules);

  /// Calls `visit(rule)` for every rule that may match (Match::kYes or kUnknown), in order, until
  /// it returns true. Any number of threads.
  template <typename Visit>
  void candidates(const packet::IpHeader& packet, LocalSide side, Visit visit) const {
    RuleSets::Set sets[RuleSets::kMostSets];
    const size_t count = locate(packet, side, sets);
    sets_.visit_common({sets, count}, visit);
  }

 private:
  /// The set of each interval; the first begins at zero.
  template <typename Key>
  struct Axis {
    std::vector<Key> from;
    std::vector<RuleSets::Set> set;

    RuleSets::Set at(Key key) const;
  };
  using Ipv6Key = unsigned __int128;

  /// What concerns one end of a packet.
  struct End {
    Axis<uint32_t> v4;
    Axis<Ipv6Key> v6;
    Axis<uint16_t> port;
    /// Rules that match packets of a protocol without ports: ANY or OPAQUE.
    RuleSets::Set portless = RuleSets::kEmpty;
  };

  template <typename Key>
  struct Edge;
  template <typename Key>
  class Sweep;
  using Side = std::span<const packet::Selector> Rule::*;

  void build_end(std::span<const Rule> rules, Side side, End& end);
  void build_protocols(std::span<const Rule> rules);
  size_t locate(const packet::IpHeader& packet, LocalSide side, RuleSets::Set* sets) const;

  RuleSets sets_;
  End local_;
  End remote_;
  Axis<uint8_t> protocol_;
};

}  // namespace esplane::spd
