#include "spd/classifier.h"

#include <algorithm>

#include "base/bytes.h"

namespace esplane::spd {

using packet::Family;
using packet::IpAddress;
using packet::IpHeader;
using packet::Selector;

namespace {

uint32_t v4_key(const IpAddress& a) { return base::load_be32(a.bytes); }

unsigned __int128 v6_key(const IpAddress& a) {
  return static_cast<unsigned __int128>(base::load_be64(a.bytes)) << 64 |
         base::load_be64(a.bytes + 8);
}

}  // namespace

/// Where a range begins or, one behind its last value, has ended.
template <typename Key>
struct Classifier::Edge {
  Key at;
  uint32_t rule;
  int32_t change;  ///< 1 or -1
};

/// Collects the ranges of one axis, then walks over it from zero.
template <typename Key>
class Classifier::Sweep {
 public:
  /// A range that ends before it begins holds nothing.
  void add(uint32_t rule, Key first, Key last) {
    if (last < first) return;
    edges_.push_back({first, rule, 1});
    if (last != kLastKey) edges_.push_back({static_cast<Key>(last + 1), rule, -1});
  }

  /// @param rules  how many there are
  Axis<Key> record(RuleSets& sets, uint32_t rules) {
    std::sort(edges_.begin(), edges_.end(),
              [](const Edge<Key>& a, const Edge<Key>& b) { return a.at < b.at; });
    // Alternatives of one rule may overlap.
    std::vector<int32_t> open(rules, 0);
    sets.clear();
    Axis<Key> axis{.from = {0}, .set = {RuleSets::kEmpty}};
    for (size_t i = 0; i < edges_.size();) {
      const Key at = edges_[i].at;
      for (; i < edges_.size() && edges_[i].at == at; i++) {
        int32_t& count = open[edges_[i].rule];
        const bool was_open = count > 0;
        count += edges_[i].change;
        if (!was_open && count > 0) sets.insert(edges_[i].rule);
        if (was_open && count <= 0) sets.erase(edges_[i].rule);
      }
      if (at != axis.from.back()) {
        axis.from.push_back(at);
        axis.set.push_back(RuleSets::kEmpty);
      }
      axis.set.back() = sets.record();
    }
    return axis;
  }

 private:
  static constexpr Key kLastKey = static_cast<Key>(~Key{0});
  std::vector<Edge<Key>> edges_;
};

template <typename Key>
RuleSets::Set Classifier::Axis<Key>::at(Key key) const {
  // The last interval that begins at or before `key`; without a branch that can be mispredicted.
  const Key* base = from.data();
  for (size_t count = from.size(); count > 1;) {
    const size_t half = count / 2;
    base = base[half] <= key ? base + half : base;
    count -= half;
  }
  return set[static_cast<size_t>(base - from.data())];
}

Classifier::Classifier(std::span<const Rule> rules) : sets_(static_cast<uint32_t>(rules.size())) {
  build_end(rules, &Rule::local, local_);
  build_end(rules, &Rule::remote, remote_);
  build_protocols(rules);
  sets_.finish();
}

void Classifier::build_end(std::span<const Rule> rules, Side side, End& end) {
  Sweep<uint32_t> v4;
  Sweep<Ipv6Key> v6;
  Sweep<uint16_t> ports;
  std::vector<uint32_t> portless;
  for (uint32_t i = 0; i < rules.size(); i++) {
    bool takes_portless = false;
    for (const Selector& s : rules[i].*side) {
      if (s.start.family == Family::kV4) v4.add(i, v4_key(s.start), v4_key(s.end));
      if (s.start.family == Family::kV6) v6.add(i, v6_key(s.start), v6_key(s.end));
      ports.add(i, s.start_port, s.end_port);
      takes_portless |= s.any_port() || s.opaque_port();
    }
    if (takes_portless) portless.push_back(i);
  }
  const auto count = static_cast<uint32_t>(rules.size());
  end.v4 = v4.record(sets_, count);
  end.v6 = v6.record(sets_, count);
  end.port = ports.record(sets_, count);
  sets_.clear();
  for (const uint32_t i : portless) sets_.insert(i);
  end.portless = sets_.record();
}

/// A packet's protocol must suit one selector of each side.
void Classifier::build_protocols(std::span<const Rule> rules) {
  constexpr uint8_t kAny = 0, kLast = 255;
  const auto takes = [](std::span<const Selector> side, uint8_t protocol) {
    return std::any_of(side.begin(), side.end(), [=](const Selector& s) {
      return s.protocol == kAny || s.protocol == protocol;
    });
  };
  Sweep<uint8_t> protocols;
  for (uint32_t i = 0; i < rules.size(); i++) {
    const Rule& rule = rules[i];
    // Protocol 0 on the wire (IPv4) suits only those who take any.
    if (takes(rule.local, kAny) && takes(rule.remote, kAny)) {
      protocols.add(i, 0, kLast);
      continue;
    }
    for (const auto side : {rule.local, rule.remote}) {
      for (const Selector& s : side) {
        if (takes(rule.local, s.protocol) && takes(rule.remote, s.protocol))
          protocols.add(i, s.protocol, s.protocol);
      }
    }
  }
  protocol_ = protocols.record(sets_, static_cast<uint32_t>(rules.size()));
}

size_t Classifier::locate(const IpHeader& packet, LocalSide side, RuleSets::Set* sets) const {
  const bool from_local = side == LocalSide::kSource;
  const IpAddress& local = from_local ? packet.source : packet.destination;
  const IpAddress& remote = from_local ? packet.destination : packet.source;
  size_t count = 0;
  const auto at_end = [&](const End& end, const IpAddress& address) {
    switch (address.family) {
      case Family::kV4:
        return end.v4.at(v4_key(address));
      case Family::kV6:
        return end.v6.at(v6_key(address));
      default:
        return RuleSets::kEmpty;
    }
  };
  sets[count++] = at_end(local_, local);
  sets[count++] = at_end(remote_, remote);
  sets[count++] = protocol_.at(packet.protocol);
  if (packet.has_ports) {
    sets[count++] = local_.port.at(from_local ? packet.source_port : packet.destination_port);
    sets[count++] = remote_.port.at(from_local ? packet.destination_port : packet.source_port);
  } else if (packet.fragment_offset == 0) {
    sets[count++] = local_.portless;
    sets[count++] = remote_.portless;
  }  // a later fragment may match any ports: Match::kUnknown
  return count;
}

}  // namespace esplane::spd
