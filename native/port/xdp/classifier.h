// The programs that decide in the kernel which frames a port takes.
//
// A WAN port takes, of the frames to its MAC address:
//   - ESP and AH to an address of ours, fragments of them too (the pipeline puts them together);
//   - UDP port 4500 without the non-ESP marker (RFC 3948 §2.2) to an address of ours;
//   - all fragments of UDP to an address of ours: later ones show no ports, and whoever puts a
//     datagram together needs every fragment of it. Those that were not ESP come back whole;
//   - ICMP "fragmentation needed" and "packet too big" to an address of ours that quote ESP, AH or
//     UDP port 4500 (RFC 4301 §8.2);
//   - everything to a network behind us, so that clear text with forged addresses is judged by
//     the SPD (RFC 4301 §5.2) and never routed inside by the kernel.
// A LAN port takes unicast IP packets to networks behind peers, unless to an address of ours.
//
// Everything else stays with the kernel: ARP, Neighbour Discovery, IKE, NAT keepalives, SSH,
// groups and broadcasts.
//
// A frame that must not leave in clear (it goes to a network behind us or behind peers) is
// dropped where its queue has no socket; other frames then go to the kernel.
//
// Frames with a VLAN tag stay with the kernel, which hands them to the VLAN's own device; that may be
// a port, too. A tag of VLAN 0 has a priority only. Where the network card strips tags (ethtool:
// rxvlan), a program in the driver sees frames without them, and cannot tell.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "port/port.h"
#include "port/xdp/bpf.h"
#include "port/xdp/selection.h"

namespace esplane::port::xdp {

/// Where a classifier runs. What it takes, it
enum class Hook : uint8_t {
  kXdp,           ///< redirects to the AF_XDP socket of the frame's queue
  kTcxIngress,    ///< drops for the kernel; a packet socket has seen it before
  kSocketFilter,  ///< lets pass into the packet socket
};

using MacAddress = std::array<uint8_t, 6>;

/// A loaded classifier of one port.
class Classifier {
 public:
  /// @param maps    must outlive the programs' attachment, not this object
  /// @param queues  queues of the device (kXdp only)
  /// @throws std::system_error
  Classifier(Hook hook, Role role, const SelectionMaps& maps, const MacAddress& mac,
             uint32_t queues = 1);

  const Program& program() const { return program_; }
  /// The interface's address has changed. @throws std::system_error
  void set_mac(const MacAddress& mac) const;
  /// From now on what is taken on `queue` goes to the AF_XDP socket `fd` (kXdp only).
  /// @throws std::system_error
  void set_socket(uint32_t queue, int fd) const;
  /// @throws std::system_error
  void clear_socket(uint32_t queue) const;

  /// What the program returns for a frame that it takes (where its queue has a socket) and for
  /// one that it leaves to the kernel.
  static uint32_t taken(Hook hook);
  static uint32_t left(Hook hook);

 private:
  Map mac_;      ///< array of one: our MAC address
  Map sockets_;  ///< XSKMAP: queue -> socket
  Program program_;
};

/// Most IPv6 extension headers before ESP, AH or UDP that a classifier walks over.
inline constexpr int kMaxExtensionHeaders = 6;

/// The program's instructions. `sockets` is used by kXdp only.
std::vector<bpf_insn> classifier_program(Hook hook, Role role, const SelectionMaps& maps,
                                         const Map& mac, const Map& sockets);

}  // namespace esplane::port::xdp
