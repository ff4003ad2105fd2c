// What the ports of one dataplane take from the kernel: packets to our own addresses that are
// ours to handle, and packets to protected networks. Held in BPF maps that all XDP and tcx
// programs of the dataplane share, so one update reaches every port.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <span>

#include "port/prefix.h"
#include "port/xdp/bpf.h"

namespace esplane::port::xdp {

/// The maps behind a Selection, for programs to refer to. Each has room for the old set and the new.
struct SelectionMaps {
  Map local_addresses;      ///< hash: 16 bytes (IPv4 as ::ffff:a.b.c.d) -> 1
  Map local_protected_v4;   ///< LPM tries: networks behind us, which WAN ports take
  Map local_protected_v6;
  Map remote_protected_v4;  ///< LPM tries: networks behind peers, which LAN ports take
  Map remote_protected_v6;
};

/// The sets, changed live and from any thread. A dataplane has one.
///
/// Makes no BPF map before the first XDP or packet port asks for them, so that a dataplane with
/// memory, pcap and TUN ports only needs no privilege.
class Selection {
 public:
  static constexpr uint32_t kMaxLocalAddresses = 4096;
  static constexpr uint32_t kMaxPrefixes = 65536;  ///< per set and family

  Selection() = default;
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;

  /// Replaces the set of addresses that are ours (on any interface).
  /// @param addresses  single addresses
  /// @throws std::system_error where a map refuses; the sets may then hold old and new entries, until
  ///         another call replaces them
  void set_local_addresses(std::span<const Prefix> addresses);

  /// Replaces the protected networks. New entries are added before old ones go, so that nothing
  /// that stays protected is ever unprotected in between.
  /// @param local_protected   behind us: what inbound SAs lead to; WAN ports take it
  /// @param remote_protected  behind peers: what outbound SAs lead to; LAN ports take it
  void set_networks(std::span<const Prefix> local_protected,
                    std::span<const Prefix> remote_protected);

  /// The maps, made at the first call and filled with the sets as they are.
  /// @throws std::system_error naming a missing capability
  const SelectionMaps& maps();

 private:
  std::mutex mutex_;
  std::set<Prefix> local_addresses_;
  std::set<Prefix> local_protected_;
  std::set<Prefix> remote_protected_;
  std::unique_ptr<SelectionMaps> maps_;
};

}  // namespace esplane::port::xdp
