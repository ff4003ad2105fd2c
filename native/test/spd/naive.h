// What the SPD must agree with: one entry after the other, one SA after the other.
// And random selectors and packets that meet often, on the ends of ranges above all.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "spd/spd.h"

namespace esplane::test {

/// First match decides (RFC 4301 §4.4.1), read off without a structure.
struct NaiveSpd {
  struct Attached {
    std::string policy;
    sad::OutboundSa* sa;
    std::vector<packet::Selector> local, remote;
    spd::Part part{};  // of standby, what it is now
  };
  std::vector<spd::Entry> entries;
  std::vector<Attached> attached;  // what is preferred comes last

  struct Answer {
    packet::Verdict verdict;
    spd::Action action = spd::Action::kDiscard;
    std::string policy;
    sad::OutboundSa* sa = nullptr;
    bool operator==(const Answer&) const = default;
  };

  /// Of those that fit, by standby, then by whose they are, then the last.
  sad::OutboundSa* first(const std::string& policy, const packet::IpHeader& p,
                         spd::Resource sender) const {
    using Whose = bool (*)(spd::Resource of, spd::Resource sender);
    static constexpr Whose kOrder[] = {
        [](auto of, auto sender) { return of == sender; },
        [](auto of, auto) { return of == spd::kAnyResource; },
        [](auto, auto) { return true; },
    };
    for (const bool standby : {false, true}) {
      for (const Whose whose : kOrder) {
        for (auto a = attached.rbegin(); a != attached.rend(); ++a) {
          if (a->policy == policy && a->part.standby == standby &&
              whose(a->part.resource, sender) &&
              match_pair(p, a->local, a->remote) == packet::Match::kYes)
            return a->sa;
        }
      }
    }
    return nullptr;
  }

  Answer outbound(const packet::IpHeader& p, spd::Resource sender = spd::kAnyResource) const {
    using packet::Verdict;
    bool may_not_bypass = false;
    for (const auto& e : entries) {
      if (e.direction != spd::Direction::kOutbound) continue;
      const auto match = match_pair(p, e.local, e.remote);
      if (match == packet::Match::kUnknown) may_not_bypass |= e.action != spd::Action::kBypass;
      if (match != packet::Match::kYes) continue;
      switch (e.action) {
        case spd::Action::kBypass:
          return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPending, e.action};
        case spd::Action::kDiscard:
          return {Verdict::kPolicyDiscard, e.action};
        case spd::Action::kProtect: {
          auto* sa = first(e.policy, p, sender);
          return {sa ? Verdict::kPending : Verdict::kNoSa, e.action, e.policy, sa};
        }
      }
    }
    return {may_not_bypass ? Verdict::kFragmentOpaque : Verdict::kPolicyNoMatch};
  }

  spd::ClearLookup inbound_clear(const packet::IpHeader& p) const {
    for (const auto& e : entries) {
      if (e.direction != spd::Direction::kInbound) continue;
      const auto match = match_pair(p, e.remote, e.local);
      if (match == packet::Match::kNo) continue;
      if (match == packet::Match::kUnknown && e.action == spd::Action::kBypass) continue;
      return e.action == spd::Action::kBypass    ? spd::ClearLookup::kBypass
             : e.action == spd::Action::kDiscard ? spd::ClearLookup::kDiscard
                                                 : spd::ClearLookup::kProtected;
    }
    for (const auto& e : entries) {
      if (e.direction == spd::Direction::kOutbound && e.action == spd::Action::kProtect &&
          match_pair(p, e.remote, e.local) != packet::Match::kNo)
        return spd::ClearLookup::kProtected;
    }
    return spd::ClearLookup::kNoMatch;
  }
};

inline NaiveSpd::Answer answer_of(const spd::OutboundLookup& l) {
  return {l.verdict, l.action, l.policy ? l.policy->name() : "", l.sa};
}

class RandomTraffic {
 public:
  explicit RandomTraffic(uint32_t seed) : random_(seed) {}

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool one_in(uint32_t n) { return below(n) == 0; }

  /// Of a small part of its family, so that ranges overlap.
  packet::IpAddress address(bool v4) {
    uint8_t raw[16] = {};
    if (v4) {
      raw[0] = one_in(20) ? 255 : 10;
      raw[2] = static_cast<uint8_t>(below(8));
      raw[3] = static_cast<uint8_t>(random_());
      if (one_in(40)) std::fill_n(raw, 4, one_in(2) ? uint8_t{0} : uint8_t{255});
      return packet::IpAddress::v4(raw);
    }
    raw[0] = 0xfd;
    raw[7] = static_cast<uint8_t>(below(4));
    raw[8] = one_in(4) ? 255 : 0;
    raw[15] = static_cast<uint8_t>(random_());
    if (one_in(40)) std::fill_n(raw, 16, one_in(2) ? uint8_t{0} : uint8_t{255});
    return packet::IpAddress::v6(raw);
  }

  uint16_t port() {
    static constexpr uint16_t kOften[] = {0, 1, 53, 80, 443, 0x0800, 65534, 65535};
    return one_in(3) ? static_cast<uint16_t>(random_()) : kOften[below(8)];
  }
  uint8_t protocol() {
    static constexpr uint8_t kOften[] = {packet::kTcp, packet::kUdp, packet::kIcmp,
                                         packet::kIcmpV6, 253, 0};
    return kOften[below(6)];
  }

  packet::Selector selector(bool v4, bool narrow = false) {
    packet::Selector s;
    s.start = address(v4);
    s.end = narrow && !one_in(4) ? s.start : address(v4);
    if (s.end < s.start) std::swap(s.start, s.end);
    if (one_in(30)) std::swap(s.start, s.end);  // holds nothing
    if (one_in(2)) s.protocol = protocol();
    switch (below(6)) {
      case 0:
        s.start_port = s.end_port = port();
        break;
      case 1:
        s.start_port = port();
        s.end_port = port();  // half of them hold nothing
        break;
      case 2:
        s.start_port = 65535;  // OPAQUE
        s.end_port = 0;
        break;
      default:
        break;
    }
    remember(s);
    return s;
  }
  std::vector<packet::Selector> side(bool narrow = false) {
    std::vector<packet::Selector> all;
    const bool v4 = !one_in(3);
    for (uint32_t n = 1 + (one_in(4) ? below(3) : 0); n > 0; n--)
      all.push_back(selector(one_in(8) ? !v4 : v4, narrow));
    return all;
  }

  /// Often on the ends of what was made before, and one beside them.
  packet::IpHeader packet() {
    packet::IpHeader h;
    const bool v4 = !one_in(3);
    h.source = packet_address(v4);
    h.destination = packet_address(v4);
    h.family = v4 ? packet::Family::kV4 : packet::Family::kV6;
    h.protocol = protocol();
    h.has_ports = h.protocol != 253 && h.protocol != 0;
    if (one_in(4)) {
      h.fragment_offset = 1480;
      h.has_ports = false;
    }
    if (h.has_ports) {
      h.source_port = port();
      h.destination_port = h.protocol == packet::kIcmp ? h.source_port : port();
    }
    return h;
  }

 private:
  void remember(const packet::Selector& s) {
    auto& ends = ends_[s.start.is_v4() ? 0 : 1];
    if (ends.size() < 4096) {
      ends.push_back(s.start);
      ends.push_back(s.end);
    } else {
      ends[below(4096)] = s.end;
    }
  }
  packet::IpAddress packet_address(bool v4) {
    const auto& ends = ends_[v4 ? 0 : 1];
    if (ends.empty() || one_in(3)) return address(v4);
    packet::IpAddress a = ends[below(static_cast<uint32_t>(ends.size()))];
    if (one_in(2)) a.bytes[a.size() - 1] = static_cast<uint8_t>(a.bytes[a.size() - 1] + below(3) - 1);
    return a;
  }

  std::mt19937 random_;
  std::vector<packet::IpAddress> ends_[2];
};

}  // namespace esplane::test
