#include "sad/sa.h"

#include <new>

#include "base/clock.h"
#include "base/random.h"
#include "crypto/iv.h"

namespace esplane::sad {
namespace {

/// How long before the last number near_end() begins to hold: 27 s at ten million packets a
/// second. Far more, too, than all workers together reserve at one moment.
constexpr uint64_t kNearEnd = uint64_t{1} << 28;

std::unique_ptr<OuterHeader> outer_header_of(const SaParameters& p) {
  return std::make_unique<OuterHeader>(p.local_endpoint(), p.remote_endpoint(),
                                       static_cast<uint8_t>(p.protocol), p.udp_encapsulation,
                                       p.outer);
}

/// Whether packets without ports do not fit all of them.
bool have_ports(const std::vector<packet::Selector>& selectors) {
  for (const auto& s : selectors) {
    if (!s.any_port() && !s.opaque_port()) return true;
  }
  return false;
}

bool have_ipv6(const std::vector<packet::Selector>& selectors) {
  for (const auto& s : selectors) {
    if (!s.start.is_v4()) return true;
  }
  return false;
}

}  // namespace

OutboundSa::OutboundSa(const SaParameters& p)
    : protection(*p.suite(), p.engine_in_use(), p.outbound_key, p.esn),
      spi(p.outbound_spi),
      protocol(p.protocol),
      mode(p.mode),
      udp_encapsulation(p.udp_encapsulation),
      ip_id_offset(static_cast<uint16_t>(base::random_u32())),
      published_outer(outer_header_of(p).release()),
      sequence(p.outbound_sequence),
      sequence_limit(p.esn ? kLastExtendedSequence : kLastSequence),
      iv_stream(protection.nonce_form == crypto::NonceForm::kIv ? crypto::new_iv_stream() : 0),
      inbound_spi(p.inbound_spi),
      fragment_after(p.fragment_after),
      ports_matter(have_ports(p.local_selectors) || have_ports(p.remote_selectors)),
      clamps_mss(p.clamp_mss),
      pad_to_bytes(p.tfc.pad_to_bytes),
      scope(p.scope),
      carries_ipv6(have_ipv6(p.local_selectors)),
      lifetime(p.lifetime, base::monotonic_s()),
      dummies_per_second(p.tfc.dummies_per_second) {
  near_end_from = sequence_limit - kNearEnd;
}

OutboundSa::~OutboundSa() { delete published_outer.load(); }

bool OutboundSa::has_sent_lately(const packet::IpAddress& source, uint32_t low_sequence) const {
  if (!(outer().source() == source)) return false;
  const uint64_t last = last_sequence();
  const uint32_t age = static_cast<uint32_t>(last) - low_sequence;
  return low_sequence == 0 ? last != 0 : age < (1u << 20) && age < last;
}

/// Here the exact count matters, and 2^64-1 must not wrap.
OutboundSa::Reservation OutboundSa::reserve_near_end(uint32_t count) {
  uint64_t last = sequence.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t left = sequence_limit - last;
    const uint32_t granted = left < count ? static_cast<uint32_t>(left) : count;
    if (sequence.compare_exchange_weak(last, last + granted, std::memory_order_relaxed)) {
      return {last + 1, granted};
    }
  }
}

InboundSa::InboundSa(const SaParameters& p)
    : protection(*p.suite(), p.engine_in_use(), p.inbound_key, p.esn),
      spi(p.inbound_spi),
      protocol(p.protocol),
      mode(p.mode),
      udp_encapsulation(p.udp_encapsulation),
      scope(p.scope),
      window(p.replay_window, p.esn, p.inbound_sequence),
      networks(p.remote_selectors, p.local_selectors),
      lifetime(p.lifetime, base::monotonic_s()),
      local_selectors(p.local_selectors),
      remote_selectors(p.remote_selectors) {
  // Last: what throws before it leaves nothing behind.
  published_peer.store(new Endpoint(p.remote_endpoint()));
}

InboundSa::~InboundSa() {
  delete published_peer.load();
  delete refusals_.load(std::memory_order_relaxed);
}

InboundSa::Refusals* InboundSa::make_refusals() {
  auto* made = new (std::nothrow) Refusals;
  Refusals* there = nullptr;
  if (refusals_.compare_exchange_strong(there, made, std::memory_order_acq_rel)) return made;
  delete made;
  return there;
}

}  // namespace esplane::sad
