#include "port/packet/packet_sender.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <cerrno>

namespace esplane::port {

PacketSender::PacketSender(int ifindex, FramePool& pool, QueueCounters& counters)
    : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)), pool_(pool), counters_(counters) {
  if (!socket_) throw_errno(errno, "cannot open a packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;  // protocol 0: receives nothing
  address.sll_ifindex = ifindex;
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    throw_errno(errno, "cannot bind a packet socket");
  }
  // Straight to the driver, as AF_XDP does. Where it is refused the packets take the long way.
  const int one = 1;
  setsockopt(socket_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  for (uint32_t i = 0; i < kPending; i++) {
    messages_[i] = {};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

PacketSender::~PacketSender() {
  for (uint32_t i = 0; i < pending_; i++) pool_.put(static_cast<uint8_t*>(parts_[i].iov_base));
}

uint32_t PacketSender::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  const uint32_t accepted = std::min(count, kPending - pending_);
  for (uint32_t i = 0; i < accepted; i++) parts_[pending_++] = {data[i], length[i]};
  counters_.tx.add(accepted);
  counters_.tx_full.add(count - accepted);
  return accepted;
}

/// The kernel copies what it sends, so frames are free at once.
void PacketSender::flush() {
  uint32_t done = 0;
  while (done < pending_) {
    const int sent = sendmmsg(socket_.get(), &messages_[done], pending_ - done, MSG_DONTWAIT);
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

}  // namespace esplane::port
