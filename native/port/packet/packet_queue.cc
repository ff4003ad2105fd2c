#include "port/packet/packet_queue.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace esplane::port {

PacketQueue::PacketQueue(BlockRing& ring, int ifindex, FramePool& pool)
    : ring_(ring), sender_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)), pool_(pool) {
  if (!sender_) throw_errno(errno, "cannot open a packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;  // protocol 0: receives nothing
  address.sll_ifindex = ifindex;
  if (bind(sender_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    throw_errno(errno, "cannot bind a packet socket");
  }
  // Straight to the driver, as AF_XDP does. Where it is refused the packets take the long way.
  const int one = 1;
  setsockopt(sender_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  for (uint32_t i = 0; i < kPending; i++) {
    messages_[i] = {};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

PacketQueue::~PacketQueue() {
  for (uint32_t i = 0; i < pending_; i++) pool_.put(static_cast<uint8_t*>(parts_[i].iov_base));
}

/// Goes on to the next frame that can be received. @return false where none waits
bool PacketQueue::next_frame() {
  const uint32_t room = pool_.umem().chunk_bytes() - FramePool::kHeadroom;
  RingPacket packet;
  while (ring_.next(packet)) {
    uint32_t tag = 0;
    if (packet.header->tp_status & TP_STATUS_VLAN_VALID) {
      const uint32_t tpid = packet.header->tp_status & TP_STATUS_VLAN_TPID_VALID
                                ? packet.header->hv1.tp_vlan_tpid
                                : 0x8100;
      tag = tpid << 16 | packet.header->hv1.tp_vlan_tci;
    }
    const bool whole = packet.frame.size() == packet.wire_bytes;
    if (whole && segments_.start(packet.frame, packet.offload, tag) &&
        segments_.next_bytes() <= room) {
      return true;
    }
    counters_.rx_dropped.add(1);
  }
  segments_ = Segments{};
  return false;
}

uint32_t PacketQueue::rx(packet::Batch& batch, uint32_t max) {
  return receive_segments(segments_, pool_, counters_, batch, max, [this] { return next_frame(); });
}

uint32_t PacketQueue::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  const uint32_t accepted = std::min(count, kPending - pending_);
  for (uint32_t i = 0; i < accepted; i++) parts_[pending_++] = {data[i], length[i]};
  counters_.tx.add(accepted);
  counters_.tx_full.add(count - accepted);
  return accepted;
}

/// The kernel copies what it sends, so frames are free at once.
void PacketQueue::flush() {
  uint32_t done = 0;
  while (done < pending_) {
    const int sent = sendmmsg(sender_.get(), &messages_[done], pending_ - done, MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<uint32_t>(sent);
    } else if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
      break;  // the device is busy: flush() comes again
    } else {
      counters_.tx_invalid.add(1);  // such as EMSGSIZE, ENETDOWN: this one will never leave
      done++;
    }
  }
  for (uint32_t i = 0; i < done; i++) pool_.put(static_cast<uint8_t*>(parts_[i].iov_base));
  std::copy(parts_.begin() + done, parts_.begin() + pending_, parts_.begin());
  pending_ -= done;
}

QueueStats PacketQueue::stats() const {
  QueueStats stats = counters_.stats();
  stats.rx_dropped += ring_.drops();
  return stats;
}

}  // namespace esplane::port
