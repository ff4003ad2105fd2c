// Verdicts: what became of a packet. One enum, one counter each: every drop has a name.
//
// A row is (enumerator, name in counters and JSON, is it a drop, description).
#pragma once

#include <cstdint>

#define ESPLANE_VERDICTS(X)                                                                      \
  X(kPending, "pending", false, "still on its way through the pipeline")                         \
  X(kSent, "sent", false, "left through a port")                                                 \
  X(kReinjected, "reinjected", false, "handed to the kernel through the re-injection TUN")       \
  X(kInterface, "interface", false, "entered the host by its tunnel's interface")                \
  X(kHeld, "held", false, "waits for its next hop")                                              \
  X(kFragmented, "fragmented", false, "left in several packets, each of which fits the path")    \
  X(kTooShort, "too_short", true, "shorter than the header that it must carry")                  \
  X(kBadEthertype, "bad_ethertype", true, "neither IPv4 nor IPv6")                               \
  X(kBadIpVersion, "bad_ip_version", true, "IP version or header length wrong")                  \
  X(kBadIpLength, "bad_ip_length", true, "IP length exceeds what arrived")                       \
  X(kBadIpChecksum, "bad_ip_checksum", true, "IPv4 header checksum wrong")                       \
  X(kTtlExceeded, "ttl_exceeded", true, "TTL or hop limit used up; ICMP time exceeded sent")     \
  X(kPolicyDiscard, "policy_discard", true, "an SPD entry says DISCARD")                         \
  X(kPolicyNoMatch, "policy_no_match", true, "no SPD entry matches (RFC 4301 5.1: discard)")     \
  X(kFragmentOpaque, "fragment_opaque", true,                                                    \
    "a fragment whose unseen ports decide its policy (RFC 4301 7)")                              \
  X(kNoSa, "no_sa", true, "PROTECT, but no outbound SA yet; an acquire was raised")              \
  X(kClearTextInbound, "clear_text_inbound", true,                                               \
    "clear text for a protected network at a WAN port (RFC 4301 5.2)")                           \
  X(kUnknownSpi, "unknown_spi", true, "no inbound SA has this SPI")                              \
  X(kEspFragment, "esp_fragment", true, "a fragment of ESP, where none are put together")        \
  X(kFragmentReassembled, "fragment_reassembled", false,                                         \
    "a fragment whose datagram goes on in the place of the last one")                            \
  X(kFragmentTimeout, "fragment_timeout", true, "its datagram was not complete in time")         \
  X(kFragmentOverlap, "fragment_overlap", true,                                                  \
    "overlaps or contradicts another of its datagram, which all end with it (RFC 5722)")         \
  X(kFragmentDuplicate, "fragment_duplicate", true, "the same fragment again (RFC 8200 4.5)")    \
  X(kFragmentInvalid, "fragment_invalid", true,                                                  \
    "impossible offset or length, or CE beside Not-ECT in one datagram (RFC 3168 5.3)")          \
  X(kFragmentLimit, "fragment_limit", true, "too many fragments of one datagram or source")      \
  X(kFragmentEvicted, "fragment_evicted", true, "gave way to fragments of newer datagrams")      \
  X(kEspTooShort, "esp_too_short", true, "no room for ESP header, IV, trailer and ICV")          \
  X(kAhBadHeader, "ah_bad_header", true,                                                         \
    "AH whose length does not fit its SA, or headers before it that cannot be authenticated")    \
  X(kWrongProtocol, "wrong_protocol", true, "ESP for an SA of AH, or AH for one of ESP")         \
  X(kEspBadAlignment, "esp_bad_alignment", true, "ciphertext length impossible for the cipher")  \
  X(kNatKeepalive, "nat_keepalive", false, "a NAT keepalive (RFC 3948 2.3), consumed")           \
  X(kReplayOld, "replay_old", true, "sequence number left of the replay window")                 \
  X(kReplayDuplicate, "replay_duplicate", true, "sequence number received before")               \
  X(kIcvBad, "icv_bad", true, "integrity check value wrong")                                     \
  X(kBadPadding, "bad_padding", true, "authentic, but pad length or padding wrong")              \
  X(kDummyPacket, "dummy_packet", false, "next header 59 (RFC 4303 2.6), consumed")              \
  X(kBadNextHeader, "bad_next_header", true, "next header does not fit the SA's mode")           \
  X(kSelectorMismatch, "selector_mismatch", true,                                                \
    "authentic inner packet outside the SA's selectors (RFC 4301 5.2)")                          \
  X(kCongestionMarked, "congestion_marked", true,                                                \
    "CE outside, Not-ECT inside: the drop that the mark stands for (RFC 6040 4.2)")              \
  X(kTransportFragment, "transport_fragment", true,                                              \
    "a fragment, which transport mode cannot carry (RFC 4303 3.1.1)")                            \
  X(kTransportAddress, "transport_address", true,                                                \
    "transport mode, but not between the SA's own two addresses")                                \
  X(kAhUnpredictable, "ah_unpredictable", true,                                                  \
    "options or extension headers whose form at the receiver AH cannot know (RFC 4302 A)")       \
  X(kSequenceExhausted, "sequence_exhausted", true, "the SA used its last sequence number")      \
  X(kLifetimeExpired, "lifetime_expired", true, "the SA is past its hard limit")                 \
  X(kPathMtuLearned, "path_mtu_learned", false,                                                  \
    "ICMP about the path of an SA (RFC 4301 8.2), heeded")                                       \
  X(kIcmpImplausible, "icmp_implausible", true,                                                  \
    "ICMP about an SA that quotes nothing it has sent of late")                                  \
  X(kIcmpLimited, "icmp_limited", true, "more ICMP about the paths of SAs than is looked at")    \
  X(kTooBig, "too_big", true, "does not fit the path MTU; ICMP sent where the packet allows")    \
  X(kNoHeadroom, "no_headroom", true, "no room in the frame for the headers or trailer")         \
  X(kNoRoute, "no_route", true, "no route to the next hop")                                      \
  X(kNeighbourUnresolved, "neighbour_unresolved", true, "the next hop did not answer in time")   \
  X(kHoldQueueFull, "hold_queue_full", true, "too many packets wait for a next hop")             \
  X(kNotForwardable, "not_forwardable", true, "multicast, link-local or loopback destination")   \
  X(kLinkChatter, "link_chatter", false,                                                         \
    "IGMP, MLD or discovery by this host's kernel on an interface of the gateway, consumed")     \
  X(kTxRingFull, "tx_ring_full", true, "the port's transmit ring had no room")                   \
  X(kNoFrame, "no_frame", true, "no free frame to receive or build a packet in")                 \
  X(kReinjectFailed, "reinject_failed", true, "the re-injection TUN refused the packet")         \
  X(kInterfaceRefused, "interface_refused", true,                                                \
    "the tunnel's interface is not there, or refused the packet")                                \
  X(kHostBypass, "host_bypass", true,                                                            \
    "BYPASS, sent by this host into the gateway's TUN: a routing rule of the gateway is missing") \
  X(kReinjectForbidden, "reinject_forbidden", true, "PROTECT: never handed on in clear")         \
  X(kPortRemoved, "port_removed", true, "waited in a port that was taken away")                  \
  X(kStopping, "stopping", true, "the dataplane was stopped with the packet in it")

namespace esplane::packet {

enum class Verdict : uint8_t {
#define X(id, name, drop, text) id,
  ESPLANE_VERDICTS(X)
#undef X
};

struct VerdictInfo {
  const char* name;
  bool is_drop;
  const char* description;
};

inline constexpr VerdictInfo kVerdicts[] = {
#define X(id, name, drop, text) {name, drop, text},
    ESPLANE_VERDICTS(X)
#undef X
};

inline constexpr uint32_t kVerdictCount = sizeof kVerdicts / sizeof kVerdicts[0];

}  // namespace esplane::packet
