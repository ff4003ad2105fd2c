#include "sad/parameters.h"

#include <stdexcept>
#include <string>

namespace esplane::sad {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("SA: " + why); }

/// Which algorithms, and their keys.
void validate_suite(const SaParameters& p) {
  const crypto::Suite* suite = p.suite();
  if (!suite) {
    refuse("encryption " + std::to_string(p.encryption) + " with a key of " +
           std::to_string(p.key_bits) + " bits and integrity " + std::to_string(p.integrity) +
           " is not supported");
  }
  const bool is_ah_suite = suite->encryption == crypto::kNone;
  if (is_ah_suite != (p.protocol == Protocol::kAh)) {
    refuse(std::string(suite->name) + " is not for " +
           (is_ah_suite ? "ESP, which names NULL encryption (RFC 2410)" : "AH"));
  }
  const size_t keymat_bytes = suite->keymat_bytes();
  if (p.inbound_key.size() != keymat_bytes || p.outbound_key.size() != keymat_bytes) {
    refuse("keying material for " + std::string(suite->name) + " is not " +
           std::to_string(keymat_bytes) + " bytes: encryption key, salt, integrity key");
  }
}

void validate_outer(const SaParameters& p) {
  if (p.local.family == packet::Family::kNone || p.local.family != p.remote.family) {
    refuse("outer addresses are not of one family");
  }
  if (p.udp_encapsulation && p.protocol == Protocol::kAh) {
    refuse("AH cannot go through a NAT, so there is no UDP encapsulation of it (RFC 3948 1)");
  }
  if (p.outer.dscp && *p.outer.dscp > 63) refuse("DSCP above 63");
  if (p.outer.flow_label > 0xfffff) refuse("flow label above 20 bits");
  if (p.outer.ttl == 0) refuse("outer TTL 0");
  const bool tunnel_esp = p.mode == Mode::kTunnel && p.protocol == Protocol::kEsp;
  if ((p.tfc.pad_to_bytes != 0 || p.tfc.dummies_per_second != 0) && !tunnel_esp) {
    refuse("TFC padding and dummies are for ESP in tunnel mode");
  }
}

}  // namespace

void validate(const SaParameters& p) {
  if (p.inbound_spi <= kLastReservedSpi || p.outbound_spi <= kLastReservedSpi) {
    refuse("SPI below 256 (RFC 4303 2.1)");
  }
  validate_outer(p);
  validate_suite(p);
  if (!p.esn && (p.outbound_sequence > kLastSequence || p.inbound_sequence > kLastSequence)) {
    refuse("a sequence number above 2^32-1 without ESN");
  }
  if (p.local_selectors.empty() || p.remote_selectors.empty()) refuse("no selectors");
}

}  // namespace esplane::sad
