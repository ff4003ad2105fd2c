#include "sad/sa.h"

#include <stdexcept>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "packet/checksum.h"
#include "packet/ip.h"

namespace esplane::sad {
namespace {

constexpr uint8_t kOuterTtl = 64;
constexpr uint64_t kLastSequence = 0xffffffff;
constexpr uint64_t kLastExtendedSequence = ~uint64_t{0};
/// How long before the last number near_end() begins to hold: 27 s at ten million packets a
/// second. Far more, too, than all workers together reserve at one moment.
constexpr uint64_t kNearEnd = uint64_t{1} << 28;

const crypto::Suite* suite_of(const SaParameters& p) {
  return crypto::find_suite(p.encryption, p.key_bits, p.integrity);
}

/// Keying material is encryption key | salt | integrity key (RFC 7296 §2.17).
crypto::Keys split(const crypto::Suite& suite, std::span<const uint8_t> keymat) {
  return {keymat.first(suite.encryption_key_bytes), keymat.last(suite.integrity_key_bytes)};
}

void copy_salt(uint8_t (&salt)[kMostSaltBytes], const crypto::Suite& suite,
               std::span<const uint8_t> keymat) {
  std::memcpy(salt, keymat.data() + suite.encryption_key_bytes, suite.salt_bytes);
}

/// What all packets of an SA have in common in their outer headers (RFC 4301 §5.1.2.1 and .2). The
/// flow label stays zero: a gateway must not copy that of the inner packets (§5.1.2.1, note 9).
void fill_outer(OutboundSa& sa, const SaParameters& p) {
  const uint8_t protocol = p.udp_encapsulation ? packet::kUdp : packet::kEsp;
  if (p.remote.is_v4()) {
    sa.outer_ip_bytes = packet::kIpv4HeaderBytes;
    sa.outer[0] = 0x45;
    sa.outer[packet::kIpv4Ttl] = kOuterTtl;
    sa.outer[packet::kIpv4Protocol] = protocol;
    std::memcpy(sa.outer + packet::kIpv4Source, p.local.bytes, 4);
    std::memcpy(sa.outer + packet::kIpv4Destination, p.remote.bytes, 4);
    sa.outer_sum = packet::checksum_fold(packet::checksum_add(sa.outer, sa.outer_ip_bytes));
  } else {
    sa.outer_ip_bytes = packet::kIpv6HeaderBytes;
    sa.outer[0] = 0x60;
    sa.outer[packet::kIpv6NextHeader] = protocol;
    sa.outer[packet::kIpv6HopLimit] = kOuterTtl;
    std::memcpy(sa.outer + packet::kIpv6Source, p.local.bytes, 16);
    std::memcpy(sa.outer + packet::kIpv6Destination, p.remote.bytes, 16);
  }
  sa.outer_bytes = sa.outer_ip_bytes;
  if (p.udp_encapsulation) {
    uint8_t* udp = sa.outer + sa.outer_ip_bytes;
    base::store_be16(udp + packet::kUdpSourcePort, p.local_port);
    base::store_be16(udp + packet::kUdpDestinationPort, p.remote_port);
    sa.outer_bytes = static_cast<uint8_t>(sa.outer_bytes + packet::kUdpHeaderBytes);
  }
}

}  // namespace

void validate(const SaParameters& p) {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument("SA: " + why); };
  if (p.inbound_spi <= kLastReservedSpi || p.outbound_spi <= kLastReservedSpi) {
    refuse("SPI below 256 (RFC 4303 2.1)");
  }
  if (p.local.family == packet::Family::kNone || p.local.family != p.remote.family) {
    refuse("outer addresses are not of one family");
  }
  const crypto::Suite* suite = suite_of(p);
  if (!suite) {
    refuse("encryption " + std::to_string(p.encryption) + " with a key of " +
           std::to_string(p.key_bits) + " bits and integrity " + std::to_string(p.integrity) +
           " is not supported");
  }
  const size_t keymat_bytes = suite->keymat_bytes();
  if (p.inbound_key.size() != keymat_bytes || p.outbound_key.size() != keymat_bytes) {
    refuse("keying material for " + std::string(suite->name) + " is not " +
           std::to_string(keymat_bytes) + " bytes: encryption key, salt, integrity key");
  }
  if (!p.esn && (p.outbound_sequence > kLastSequence || p.inbound_sequence > kLastSequence)) {
    refuse("a sequence number above 2^32-1 without ESN");
  }
  if (p.local_selectors.empty() || p.remote_selectors.empty()) refuse("no selectors");
}

/// Whether packets without ports do not fit all of them.
static bool have_ports(const std::vector<packet::Selector>& selectors) {
  for (const auto& s : selectors) {
    if (!s.any_port() && !s.opaque_port()) return true;
  }
  return false;
}

OutboundSa::OutboundSa(const SaParameters& p)
    : udp_encapsulation(p.udp_encapsulation),
      esn(p.esn),
      spi(p.outbound_spi),
      sequence(p.outbound_sequence),
      sequence_limit(p.esn ? kLastExtendedSequence : kLastSequence),
      inbound_spi(p.inbound_spi),
      suite(suite_of(p)),
      engine(&crypto::engine(*suite)),
      key(*engine, *suite, split(*suite, p.outbound_key)),
      fragment_after(p.fragment_after),
      ports_matter(have_ports(p.local_selectors) || have_ports(p.remote_selectors)),
      lifetime(p.lifetime, base::monotonic_s()) {
  near_end_from = sequence_limit - kNearEnd;
  ip_id_offset = static_cast<uint16_t>(base::random_u32());
  fill_outer(*this, p);
  copy_salt(salt, *suite, p.outbound_key);
}

OutboundSa::~OutboundSa() { base::wipe(salt, sizeof salt); }

packet::IpAddress OutboundSa::peer() const {
  return outer_ip_bytes == packet::kIpv4HeaderBytes
             ? packet::IpAddress::v4(outer + packet::kIpv4Destination)
             : packet::IpAddress::v6(outer + packet::kIpv6Destination);
}

bool OutboundSa::has_sent_lately(const packet::IpAddress& source, uint32_t low_sequence) const {
  const bool is_v4 = outer_ip_bytes == packet::kIpv4HeaderBytes;
  const uint8_t* own = outer + (is_v4 ? packet::kIpv4Source : packet::kIpv6Source);
  if (source.is_v4() != is_v4 || std::memcmp(own, source.bytes, source.size()) != 0) return false;
  const uint64_t last = last_sequence();
  const uint32_t age = static_cast<uint32_t>(last) - low_sequence;
  return low_sequence == 0 ? last != 0 : age < (1u << 20) && age < last;
}

OutboundSa::Reservation OutboundSa::reserve(uint32_t count) {
  uint64_t last = sequence.load(std::memory_order_relaxed);
  if (last < near_end_from) {
    return {sequence.fetch_add(count, std::memory_order_relaxed) + 1, count};
  }
  // Near the end the exact count matters, and 2^64-1 must not wrap.
  for (;;) {
    const uint64_t left = sequence_limit - last;
    const uint32_t granted = left < count ? static_cast<uint32_t>(left) : count;
    if (sequence.compare_exchange_weak(last, last + granted, std::memory_order_relaxed)) {
      return {last + 1, granted};
    }
  }
}

InboundSa::InboundSa(const SaParameters& p)
    : spi(p.inbound_spi),
      esn(p.esn),
      udp_encapsulation(p.udp_encapsulation),
      remote_port(p.remote_port),
      remote(p.remote),
      window(p.replay_window, p.esn, p.inbound_sequence),
      suite(suite_of(p)),
      engine(&crypto::engine(*suite)),
      key(*engine, *suite, split(*suite, p.inbound_key)),
      lifetime(p.lifetime, base::monotonic_s()),
      local_selectors(p.local_selectors),
      remote_selectors(p.remote_selectors) {
  copy_salt(salt, *suite, p.inbound_key);
}

InboundSa::~InboundSa() { base::wipe(salt, sizeof salt); }

}  // namespace esplane::sad
