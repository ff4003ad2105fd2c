// Fragmentation of IPv4 packets, and of IPv6 packets that we are the source of (RFC 791 §3.2,
// RFC 8200 §4.5). The packet stays as it is; pieces are written elsewhere, one after another.
//
// Which packets may be cut is the caller's business: in IPv4 those without DF, and tunnel packets
// of our own. Don't Fragment is not set in the pieces, so that a router may cut them further.
//
// IPv4 identification (RFC 6864): the pieces carry the packet's own. A packet without DF has one
// from its sender that is unique for as long as it can; what ESP sends numbers by its sequence.
#pragma once

#include <cstdint>

#include "packet/ip.h"

namespace esplane::net {

class Fragmenter {
 public:
  /// @param ip       a checked packet of `bytes`, which outlives this object. IPv4: any, be it a
  ///                 fragment itself. IPv6: without a Fragment header.
  /// @param mtu_bytes  of the longest piece
  /// @param ipv6_id  identification, fresh for source and destination
  Fragmenter(const uint8_t* ip, uint32_t bytes, uint32_t mtu_bytes, uint32_t ipv6_id = 0);

  /// Pieces that are still to come. 0 from the start where the MTU leaves no room for data, or
  /// where the packet is a fragment from beyond the end of what IP can carry.
  uint32_t left() const;
  /// Writes the next piece. Only while left() says so.
  /// @param to  room for mtu_bytes, apart from the packet
  /// @return    its length
  uint32_t next(uint8_t* to);

 private:
  uint32_t header_bytes() const { return at_ == 0 ? first_bytes_ : later_bytes_; }
  /// Bytes of data in a piece that begins at `at`.
  uint32_t data_bytes(uint32_t at) const;
  void make_ipv4_header();
  void write_ipv4_header(uint8_t* to, uint32_t header, uint32_t data, bool last) const;
  void write_ipv6_header(uint8_t* to, uint32_t header, uint32_t data, bool last) const;

  const uint8_t* const ip_;
  const uint32_t mtu_bytes_;
  const uint32_t ipv6_id_;
  const bool is_v4_;
  uint32_t data_at_;         ///< of the packet's data, behind the headers that pieces repeat
  uint32_t next_at_ = 0;     ///< IPv6: where the last of those names what follows
  uint32_t total_bytes_;     ///< of the data
  uint32_t at_ = 0;          ///< how much of it has been written
  uint32_t first_bytes_;     ///< of the headers of the first piece, and of each later one
  uint32_t later_bytes_;
  uint8_t later_[60];        ///< IPv4: those headers
};

}  // namespace esplane::net
