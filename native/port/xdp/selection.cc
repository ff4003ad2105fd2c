#include "port/xdp/selection.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace esplane::port::xdp {
namespace {

/// The key of an LPM trie: prefix length in host order, then the address (linux/bpf.h).
struct LpmKey {
  uint32_t length;
  uint8_t address[16];
};

constexpr uint32_t kLpmKeyV4 = 8, kLpmKeyV6 = 20;

Map make_trie(const char* name, uint32_t key_bytes) {
  return Map(BPF_MAP_TYPE_LPM_TRIE, name, key_bytes, sizeof(uint32_t), 2 * Selection::kMaxPrefixes,
             BPF_F_NO_PREALLOC);
}

/// A local address as the hash map's key: IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
std::array<uint8_t, 16> address_key(const Prefix& p) {
  if (p.family == Family::kIpv6) return p.address;
  std::array<uint8_t, 16> key{};
  key[10] = key[11] = 0xff;
  std::copy_n(p.address.begin(), 4, key.begin() + 12);
  return key;
}

LpmKey lpm_key(const Prefix& p) {
  LpmKey key{p.length, {}};
  std::copy(p.address.begin(), p.address.end(), key.address);
  return key;
}

const uint32_t kPresent = 1;

/// Brings a map from the set `held` to the set `wanted`: first what is new, then what is gone. Where
/// the map refuses, `held` is what it has by then.
template <class Update, class Erase>
void apply(std::set<Prefix>& held, const std::set<Prefix>& wanted, Update update, Erase erase) {
  for (const Prefix& p : wanted) {
    if (held.contains(p)) continue;
    update(p);
    held.insert(p);
  }
  for (auto p = held.begin(); p != held.end();) {
    if (wanted.contains(*p)) {
      ++p;
    } else {
      erase(*p);
      p = held.erase(p);
    }
  }
}

void apply_addresses(const Map& map, std::set<Prefix>& held, const std::set<Prefix>& wanted) {
  apply(
      held, wanted, [&](const Prefix& p) { map.update(address_key(p).data(), &kPresent); },
      [&](const Prefix& p) { map.erase(address_key(p).data()); });
}

void apply_networks(const Map& v4, const Map& v6, std::set<Prefix>& held,
                    const std::set<Prefix>& wanted) {
  const auto trie = [&](const Prefix& p) -> const Map& {
    return p.family == Family::kIpv4 ? v4 : v6;
  };
  apply(
      held, wanted,
      [&](const Prefix& p) {
        const LpmKey key = lpm_key(p);
        trie(p).update(&key, &kPresent);
      },
      [&](const Prefix& p) {
        const LpmKey key = lpm_key(p);
        trie(p).erase(&key);
      });
}

std::set<Prefix> checked(std::span<const Prefix> prefixes, uint32_t most, const char* what) {
  std::set<Prefix> set(prefixes.begin(), prefixes.end());
  if (set.size() > most) {
    throw std::invalid_argument("more than " + std::to_string(most) + " " + what);
  }
  return set;
}

}  // namespace

void Selection::set_local_addresses(std::span<const Prefix> addresses) {
  for (const Prefix& p : addresses) {
    if (!p.is_single_address()) {
      throw std::invalid_argument(p.to_string() + " is a network, not a local address");
    }
  }
  auto wanted = checked(addresses, kMaxLocalAddresses, "local addresses");
  const std::lock_guard lock(mutex_);
  if (maps_) apply_addresses(maps_->local_addresses, local_addresses_, wanted);
  local_addresses_ = std::move(wanted);
}

void Selection::set_networks(std::span<const Prefix> local_protected,
                             std::span<const Prefix> remote_protected) {
  auto local = checked(local_protected, kMaxPrefixes, "protected networks");
  auto remote = checked(remote_protected, kMaxPrefixes, "protected networks");
  const std::lock_guard lock(mutex_);
  if (maps_) {
    apply_networks(maps_->local_protected_v4, maps_->local_protected_v6, local_protected_, local);
    apply_networks(maps_->remote_protected_v4, maps_->remote_protected_v6, remote_protected_,
                   remote);
  }
  local_protected_ = std::move(local);
  remote_protected_ = std::move(remote);
}

const SelectionMaps& Selection::maps() {
  const std::lock_guard lock(mutex_);
  if (maps_) return *maps_;
  auto maps = std::make_unique<SelectionMaps>(SelectionMaps{
      .local_addresses = Map(BPF_MAP_TYPE_HASH, "local_addresses", 16, sizeof(uint32_t),
                             2 * kMaxLocalAddresses),
      .local_protected_v4 = make_trie("local_prot_v4", kLpmKeyV4),
      .local_protected_v6 = make_trie("local_prot_v6", kLpmKeyV6),
      .remote_protected_v4 = make_trie("remote_prot_v4", kLpmKeyV4),
      .remote_protected_v6 = make_trie("remote_prot_v6", kLpmKeyV6),
  });
  std::set<Prefix> addresses, local, remote;  // what the new maps hold
  apply_addresses(maps->local_addresses, addresses, local_addresses_);
  apply_networks(maps->local_protected_v4, maps->local_protected_v6, local, local_protected_);
  apply_networks(maps->remote_protected_v4, maps->remote_protected_v6, remote, remote_protected_);
  maps_ = std::move(maps);
  return *maps_;
}

}  // namespace esplane::port::xdp
