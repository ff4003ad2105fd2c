// Whole dataplanes with their threads, over memory ports: the two gateways of a tunnel.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/dataplane.h"
#include "test/pipeline/rig.h"

namespace esplane::test {

/// The gateway of side 1 or 2 with a LAN 10.<side>.0.0/16, on the memory link `name` + that
/// network; its WAN is the link `name`.
inline std::shared_ptr<pipeline::Dataplane> gateway(uint8_t side, const std::string& name,
                                                    uint32_t workers = 1, uint32_t queues = 1,
                                                    uint32_t frames = 1024) {
  const std::string own = "10." + std::to_string(side) + ".0.0/16";
  const std::string other = "10." + std::to_string(3 - side) + ".0.0/16";
  auto d = pipeline::Dataplane::create(
      {.plan = {.workers = workers}, .queues = queues, .max_child_sas = 64, .frames_per_queue = frames});
  d->add_port({.name = "lan", .role = port::Role::kLan, .kind = port::Kind::kMemory,
               .queues = queues, .link = name + own},
              {.networks = {*net::Prefix::parse(own)}});
  d->add_port({.name = "wan", .role = port::Role::kWan, .kind = port::Kind::kMemory,
               .queues = queues, .link = name},
              {.networks = {*net::Prefix::parse("192.0.2.0/24")}});
  d->set_networks({port::Prefix::parse("192.0.2." + std::to_string(side))},
                  {port::Prefix::parse(own)}, {port::Prefix::parse(other)});
  return d;
}

inline std::vector<spd::Entry> policy(uint8_t side) {
  auto e = Rig::entry(spd::Direction::kOutbound);
  if (side == 2) std::swap(e.local, e.remote);
  return {e};
}

inline sad::SaParameters parameters(uint8_t side, uint32_t inbound, uint32_t outbound) {
  static constexpr uint8_t kKey[20] = {4, 3};
  sad::SaParameters p;
  p.inbound_spi = inbound;
  p.outbound_spi = outbound;
  p.local = address(side == 1 ? "192.0.2.1" : "192.0.2.2");
  p.remote = address(side == 1 ? "192.0.2.2" : "192.0.2.1");
  p.inbound_key = p.outbound_key = kKey;
  const auto e = policy(side)[0];
  p.local_selectors = e.local;
  p.remote_selectors = e.remote;
  return p;
}

/// Packets that have got their verdict.
inline uint64_t ended(const pipeline::Dataplane& d) {
  uint64_t sum = 0;
  d.each_worker([&](const pipeline::Counters& c) {
    for (uint32_t v = 0; v < packet::kVerdictCount; v++) {
      if (v != static_cast<uint32_t>(packet::Verdict::kHeld)) sum += c.verdict[v].read();
    }
  });
  return sum;
}

}  // namespace esplane::test
