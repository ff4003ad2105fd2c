// What the stages of one lane share, and what the lanes of one dataplane share.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/epoch.h"
#include "esp/inbound.h"
#include "esp/outbound.h"
#include "net/icmp_error.h"
#include "net/next_hop_cache.h"
#include "net/reassembler.h"
#include "packet/batch.h"
#include "packet/ip.h"
#include "pipeline/counters.h"
#include "pipeline/egress.h"
#include "pipeline/event.h"
#include "pipeline/flow_cache.h"
#include "pipeline/hold_queue.h"
#include "pipeline/rate_limit.h"
#include "port/port.h"
#include "sad/sad.h"
#include "spd/spd.h"

namespace esplane::pipeline {

/// Which networks the stages tell apart where the SPD says nothing. Immutable; swapped as a whole.
struct Networks {
  std::vector<net::IpAddress> local_addresses;
  std::vector<net::Prefix> local_protected;

  bool is_local(const net::IpAddress& a) const {
    for (const auto& local : local_addresses) {
      if (local == a) return true;
    }
    return false;
  }
  bool is_protected(const net::IpAddress& a) const {
    for (const auto& network : local_protected) {
      if (network.contains(a)) return true;
    }
    return false;
  }
};

struct Watch;

/// Of one dataplane, all lanes. Outlives them.
struct Shared {
  base::Epoch& epoch;
  sad::Sad& sad;
  spd::Spd& spd;
  EventRing& events;
  const std::atomic<const Networks*>& networks;
  std::vector<port::Role> roles;  ///< by port
  bool plain_forwarding = false;
  uint32_t chunk_bytes = 2048;
  std::atomic<const Watch*> watch{nullptr};  ///< null: nobody watches
};

/// Of a path of which no next hop has told anything else.
inline constexpr uint32_t kUsualMtu = 1500;

/// Packets of one kind on their way through the stages, with what one phase leaves for the next.
struct alignas(64) Burst {
  /// What the heavy part has to do.
  enum class Work : uint8_t {
    kNone,
    kSeal,
    kOpen,
    kGather,  ///< outbound with fragments: policy may need them whole. All of it in finish()
    kCut,     ///< outbound, and some do not fit (`cut`). The rest of it in finish()
  };

  packet::Batch batch;
  packet::IpHeader headers[packet::Batch::kCapacity];
  Ingress from;
  Origin origin = Origin::kReceived;
  Work work = Work::kNone;

  /// kSeal, kCut: of every pending packet; its MTU is what the packet's SA knows, too.
  net::NextHop path[packet::Batch::kCapacity];
  esp::Outbound sealing;
  esp::Inbound opening;

  bool any_fragment = false;  ///< among the packets whose headers were read
  uint64_t reassembled = 0;   ///< bits: outbound packets that came in fragments
  uint64_t cut = 0;           ///< bits: outbound packets that are fragmented before ESP

  /// What finish() does to it gives numbers and sends: nothing may be begun behind it before.
  bool in_order() const { return work == Work::kGather || work == Work::kCut; }

  /// Empties it for packets of the same kind.
  void restart(const Burst& like, uint32_t chunk_bytes) {
    batch.clear();
    batch.chunk_bytes = chunk_bytes;
    from = like.from;
    origin = like.origin;
    any_fragment = false;
    reassembled = cut = 0;
  }
  /// Takes over a packet; its headers are still to be read.
  void append(uint8_t* data, uint32_t length) {
    const uint32_t n = batch.size++;
    batch.data[n] = data;
    batch.length[n] = length;
    batch.verdict[n] = packet::Verdict::kPending;
    batch.outbound[n] = nullptr;
  }
  void append(uint8_t* data, uint32_t length, const packet::IpHeader& header) {
    headers[batch.size] = header;
    any_fragment |= header.is_fragment();
    append(data, length);
  }

  /// The frame of packet i now belongs to someone else.
  void gone(uint32_t i) {
    batch.data[i] = nullptr;
    batch.verdict[i] = packet::Verdict::kHeld;
    batch.outbound[i] = nullptr;
  }
  bool pending(uint32_t i) const { return batch.verdict[i] == packet::Verdict::kPending; }
  void refuse(uint32_t i, packet::Verdict verdict) {
    batch.verdict[i] = verdict;
    batch.outbound[i] = nullptr;
  }
};

/// Of one lane.
class Core {
 public:
  /// @param lane  its number, as which it asks the SPD
  Core(const Shared& shared, Counters& counters, port::FramePool& pool,
       std::unique_ptr<net::NextHopClient> client, spd::Resource lane = spd::kAnyResource);

  /// Takes the Ethernet header off every packet and reads its IP headers; what is malformed is
  /// refused by name, link padding is cut off.
  static void read_headers(Burst& burst);
  /// Likewise of packets without Ethernet header.
  static void read_host_headers(Burst& burst);
  /// There is a port of this number from now on, or no more: what is known of it is forgotten.
  void reset_port(uint16_t port);
  /// Counts there from now on.
  void count_in(Counters& into) {
    counters = &into;
    egress.count_in(into);
  }
  /// Reads the IP headers of packets that have been checked before.
  static void read_again(Burst& burst);

  /// The entry of a destination: usable where `answered`. Null: no room for one more.
  net::NextHopCache::Entry* next_hop(const net::IpAddress& destination) {
    if (last_hop_ != nullptr && last_hop_->answered && last_hop_->destination == destination &&
        last_hop_ms_ == now_ms)
      return last_hop_;
    last_hop_ms_ = now_ms;
    return last_hop_ = hops.find(destination, now_ms);
  }
  /// Lets packet i wait for `entry`, or refuses it.
  void hold(Burst& burst, uint32_t i, net::NextHopCache::Entry* entry, Resume resume);

  /// Refuses packet i and owes its sender an ICMP error.
  /// @param resume  the way that the error takes: to a next hop, or through policy to an SA. One
  ///                about a packet of the host goes back to it
  void refuse_with_error(Burst& burst, uint32_t i, packet::Verdict verdict, net::IcmpError error,
                         uint16_t our_port, Resume resume);

  /// Counts every packet left in the burst by its verdict and gives its frame back.
  void finish(Burst& burst);

  /// Counts the fragments that have waited too long for the others. Once per loop.
  void expire_fragments();
  /// Forgets all fragments. @return how many
  uint32_t clear_fragments() { return outer_fragments.clear() + inner_fragments.clear(); }
  /// Whether time has to pass for something.
  bool waiting() const {
    return held.size() > 0 || outer_fragments.datagrams() > 0 || inner_fragments.datagrams() > 0;
  }

  const Shared& shared;
  const spd::Resource lane;
  Counters* counters;
  const std::unique_ptr<net::NextHopClient> client;
  net::NextHopCache hops;
  FlowCache flows;
  HoldQueue held;
  LargeBuffer large;
  net::Reassembler outer_fragments;  ///< of ESP, AH and UDP to us
  net::Reassembler inner_fragments;  ///< from the protected side, whose ports policy asks for
  uint32_t fragment_id;              ///< next identification of an IPv6 packet that we fragment
  Egress egress;
  uint32_t now_ms = 0;
  uint32_t now_s = 0;
  const Networks* networks = nullptr;  ///< of this loop

  /// Errors made by refuse_with_error that wait to be sent, their IP headers first.
  struct Own {
    uint8_t* data;
    uint32_t length;
    Resume resume;
    Ingress from;
  };
  std::vector<Own> own;
  /// Our address on each port: IPv4, IPv6. Without one no ICMP error is sent.
  std::vector<net::IpAddress> port_addresses[2];

  TokenBucket icmp_limit{1000, 50};
  TokenBucket unknown_spi_limit{10, 10};
  TokenBucket path_mtu_limit{1000, 100};  ///< each takes the SAD's lock
  KeyedLimit acquire_limit{1000};
  KeyedLimit own_sa_limit{10'000};  ///< the SA for all serves meanwhile, and a peer may refuse
  KeyedLimit nat_limit{1000};
  KeyedLimit near_end_limit{10'000};

 private:
  const net::IpAddress* our_address(uint16_t port, packet::Family family) const;
  bool into_frame_with_headroom(const Burst& burst, uint32_t i, uint8_t*& data, uint32_t& length);

  net::NextHopCache::Entry* last_hop_ = nullptr;
  uint32_t last_hop_ms_ = 0;
};

}  // namespace esplane::pipeline
