// Reassembly of IPv4 and IPv6 fragments (RFC 791 §3.2, RFC 815, RFC 8200 §4.5) in bounded memory.
//
// It takes copies of fragments and gives back whole datagrams; it knows no frames. Overlapping
// fragments discard their datagram, those still to come included (RFC 5722 §4; the same for IPv4,
// where RFC 791 would let the newer bytes win and evasion live); an exact duplicate is dropped
// alone. ECN is merged as RFC 3168 §5.3 says.
//
// What an attacker can take is fixed at construction: datagrams, fragments, fragments of one
// datagram, and the share of one source. Where room is needed the oldest gives way, first that of
// the same source, so the 30 seconds of RFC 8200 §4.5 shrink under pressure to what the table
// holds: fragments of one datagram normally arrive together. Every operation is a few steps along
// short lists; nothing is allocated after construction.
//
// One worker's. Network cards spread fragments by their addresses alone, having no ports to look
// at, so the fragments of one datagram reach the same queue, and a table each suffices.
//
// Left out: ICMP time exceeded for a datagram that was not completed (RFC 1122 §3.3.2 SHOULD):
// here it would answer strangers about packets that nobody has authenticated.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "net/address.h"
#include "packet/ip.h"
#include "packet/verdict.h"

namespace esplane::net {

class Reassembler {
 public:
  struct Limits {
    uint32_t datagrams = 256;       ///< incomplete at once
    uint32_t fragments = 1024;      ///< held at once
    uint32_t fragments_each = 64;   ///< of one datagram: 64 KiB through an MTU of 1280 bytes
    uint32_t source_datagrams = 64; ///< of one source; IPv6: of one /64
    uint32_t source_fragments = 256;
    uint32_t timeout_ms = 30'000;
  };

  enum class State : uint8_t {
    kHeld,      ///< copied; waits for the others
    kComplete,  ///< the datagram is whole: take() it
    kRefused,   ///< by `verdict`
  };
  struct Result {
    State state;
    packet::Verdict verdict = packet::Verdict::kPending;
    /// Earlier fragments of the same datagram that end with this one: with kComplete as part of
    /// it, with kRefused by the same verdict.
    uint32_t others = 0;
    /// Fragments of other datagrams that gave way: kFragmentEvicted.
    uint32_t evicted = 0;
    uint32_t bytes = 0;  ///< kComplete: of the whole IP packet
  };

  /// @param seed        of this process, so that nobody can aim at one bucket
  /// @param slot_bytes  longest fragment that will be added, its headers included
  Reassembler(uint64_t seed, uint32_t slot_bytes, const Limits& limits);
  Reassembler(uint64_t seed, uint32_t slot_bytes) : Reassembler(seed, slot_bytes, Limits()) {}

  /// Takes a copy of one fragment.
  /// @param ip      a packet of header.total_bytes that parse_ip has checked
  /// @param header  what it found there; is_fragment() holds
  Result add(const uint8_t* ip, const packet::IpHeader& header, uint32_t now_ms);

  /// Writes the datagram that add() has just completed, and forgets it. Must precede the next add().
  /// @param to  room for Result::bytes; IPv6 comes out without its Fragment header
  void take(uint8_t* to);

  /// Forgets what has waited too long. @return fragments: kFragmentTimeout
  uint32_t expire(uint32_t now_ms);
  /// Forgets everything. @return fragments
  uint32_t clear();

  /// Fragments held.
  uint32_t held() const { return held_; }
  /// Datagrams known: incomplete ones, and those given up whose rest is still refused.
  uint32_t datagrams() const { return known_; }

 private:
  using Index = uint32_t;
  static constexpr Index kNone = ~Index{0};
  static constexpr uint32_t kBuckets = 512, kSources = 64;

  /// What fragments of one datagram have in common (RFC 791 §3.2, RFC 8200 §4.5).
  struct Key {
    IpAddress source, destination;
    uint32_t id;
    uint8_t protocol;  ///< IPv4; IPv6: 0

    bool operator==(const Key&) const = default;
  };
  /// One fragment as it arrived.
  struct Piece {
    Key key;
    const uint8_t* data;    ///< behind the headers that every fragment repeats
    uint32_t offset, end;   ///< of the data in the datagram
    uint32_t header_bytes;  ///< before the IPv6 Fragment header; IPv4: the header
    uint32_t next_at;       ///< IPv6: where the header before the Fragment header names it
    uint8_t next;           ///< IPv6: what the Fragment header names
    uint8_t ecn;
    bool more;
  };
  struct Fragment {
    Index next = kNone;  ///< by offset, or the next free one
    uint16_t offset, bytes;
    uint16_t header_bytes;  ///< offset 0: the headers stand before the data
  };
  struct Link {
    Index older = kNone, newer = kNone;
  };
  struct Datagram {
    Key key;
    Link by_age, by_source;
    Index bucket_next = kNone;  ///< or the next free one
    Index first = kNone;        ///< fragments by offset
    uint32_t since_ms;
    uint32_t received;  ///< bytes of data
    uint32_t highest;   ///< end of the farthest fragment
    uint32_t fragments;
    uint16_t source;  ///< its Source
    uint8_t ecn_seen;       ///< a bit per codepoint
    bool has_last;          ///< then `highest` is the datagram's end
    packet::Verdict ruined; ///< not kPending: given up, and why
  };
  struct Queue {
    Index oldest = kNone, newest = kNone;
  };
  struct Source {
    Queue queue;
    uint32_t datagrams = 0, fragments = 0;
  };

  static bool read(const uint8_t* ip, const packet::IpHeader& header, Piece& out);
  uint64_t hash(const Key& key) const;
  uint8_t* slot(Index fragment) const { return &data_[size_t(fragment) * slot_bytes_]; }

  Index find(const Key& key, uint64_t hashed) const;
  Index create(const Key& key, uint64_t hashed, uint32_t now_ms, uint32_t& evicted);
  Index make_room(Source& source, Index keep, uint32_t& evicted);
  Index oldest_but(const Queue& queue, Link Datagram::*link, Index keep) const;
  packet::Verdict place(Datagram& d, const Piece& piece, Index& before) const;
  void store(Datagram& d, const Piece& piece, const uint8_t* ip, Index at, Index before);
  Result conclude(Index index, uint32_t others, uint32_t evicted);
  Result refuse(Datagram& d, packet::Verdict why, uint32_t evicted);
  uint32_t free_fragments(Datagram& d);
  uint32_t forget(Index index);

  void append(Queue& queue, Link Datagram::*link, Index index);
  void unlink(Queue& queue, Link Datagram::*link, Index index);

  const uint64_t seed_;
  const uint32_t slot_bytes_;
  const Limits limits_;
  std::vector<Datagram> datagrams_;
  std::vector<Fragment> fragments_;
  std::unique_ptr<uint8_t[]> data_;
  Index buckets_[kBuckets];
  Source sources_[kSources];
  Queue ages_;
  Index free_datagram_, free_fragment_;
  Index complete_ = kNone;
  uint32_t held_ = 0, known_ = 0;
};

}  // namespace esplane::net
