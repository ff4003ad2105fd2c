// The stages of a worker: what becomes of a burst between rx and tx.
//
// Outbound (RFC 4301 §5.1): packets from a LAN port -> SPD -> SA -> ESP -> next hop of the peer.
// Inbound (§5.2): packets from a WAN port -> SAD -> ESP -> next hop of the inner destination.
// What is not ours goes back to the kernel, never if its policy is PROTECT.
#pragma once

#include "pipeline/core.h"

namespace esplane::pipeline {

class Stages {
 public:
  explicit Stages(Core& core) : core_(core) {}

  /// A burst as a port received it, Ethernet headers first. Every frame is taken over.
  void from_port(Burst& burst, port::Role role);
  /// Goes on with what waited for an entry that now has an answer.
  void resume(net::NextHopCache::Entry& entry);
  /// Sends the ICMP errors that the stages made meanwhile.
  void send_own();

 private:
  void outbound_from_port(Burst& burst);
  void inbound_from_port(Burst& burst);

  /// To the kernel, its L4 checksum complete: the TUN does not say that it is not.
  void hand_to_kernel(Burst& burst, uint32_t i);

  // outbound.cc: IP packets with headers read.
  void outbound(Burst& burst);
  void apply_policy(Burst& burst);
  void find_paths(Burst& burst, net::NextHop* path);
  void check_size_and_ttl(Burst& burst, const net::NextHop* path);
  void send_sealed(Burst& burst, const net::NextHop* path, sad::OutboundSa* const* sas);
  void raise_acquire(const spd::Policy& policy);

  // inbound.cc
  void find_sas(Burst& burst, uint16_t* esp_offset);
  void accept_clear(Burst& burst, uint32_t i);
  void open(Burst& burst, const uint16_t* esp_offset);
  void watch_nat_mapping(const Burst& burst, uint32_t i, const sad::InboundSa& sa);
  void raise_unknown_spi(uint32_t spi, const net::IpAddress& source);

  // deliver.cc
  void deliver(Burst& burst);
  bool deliver_one(Burst& burst, uint32_t i);
  void forward_clear(Burst& burst, uint32_t i, const net::NextHop& hop);

  Core& core_;
  Burst second_;   ///< packets that turn from one direction to the other
  Burst resumed_;
};

/// False for destinations that no gateway forwards: multicast, loopback, link-local, unspecified
/// (RFC 1812 §5.3.5 and §5.3.7, RFC 4291 §2.5.2, §2.5.3 and §2.5.6).
bool is_forwardable(const net::IpAddress& destination);

}  // namespace esplane::pipeline
