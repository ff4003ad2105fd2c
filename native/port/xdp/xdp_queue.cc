#include "port/xdp/xdp_queue.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace esplane::port::xdp {

XdpQueue::XdpQueue(std::shared_ptr<Socket> socket, const Classifier& classifier, uint32_t index,
                   uint32_t ring_entries, bool busy_poll, FramePool& pool)
    : socket_(std::move(socket)),
      classifier_(classifier),
      index_(index),
      ring_entries_(ring_entries),
      busy_poll_(busy_poll),
      pool_(pool),
      umem_(pool.umem()),
      lent_(umem_) {
  refill();
  try {
    classifier_.set_socket(index_, socket_->fd());
  } catch (...) {
    close();
    put_back();
    throw;
  }
}

XdpQueue::~XdpQueue() {
  stop_receiving();
  close();
  put_back();
}

void XdpQueue::put_back() {
  lent_.for_each([&](uint64_t address) { pool_.put(umem_.at(address)); });
}

void XdpQueue::stop_receiving() {
  if (!socket_) return;  // another may have its place by now
  try {
    classifier_.clear_socket(index_);
  } catch (const std::system_error&) {
    // Closing the socket takes it out of the map, too.
  }
}

/// The kernel waits until nobody receives into our frames any more.
void XdpQueue::close() { socket_.reset(); }

uint32_t XdpQueue::rx(packet::Batch& batch, uint32_t max) {
  const uint32_t count =
      std::min({max, packet::Batch::kCapacity - batch.size, socket_->receive.available()});
  if (count == 0) return 0;
  for (uint32_t n = 0; n < count; n++) {
    const xdp_desc& packet = socket_->receive.pop();
    lent_.take_back(packet.addr);
    const uint32_t i = batch.size++;
    batch.data[i] = umem_.at(packet.addr);
    batch.length[i] = packet.len;
    batch.verdict[i] = packet::Verdict::kPending;
  }
  socket_->receive.release();
  receiving_ -= count;
  counters_.rx.add(count);
  refill();
  return count;
}

/// Keeps as many frames with the kernel as the receive ring has entries.
void XdpQueue::refill() {
  const uint32_t missing = ring_entries_ - receiving_;
  const uint32_t count = std::min(missing, socket_->fill.room(missing));
  uint32_t given = 0;
  for (; given < count; given++) {
    uint8_t* frame = pool_.get();
    if (!frame) break;
    const uint64_t address = umem_.address(frame);
    lent_.lend(address);
    socket_->fill.push(address);
  }
  if (given == 0) return;
  socket_->fill.publish();
  receiving_ += given;
}

uint32_t XdpQueue::tx(uint8_t* const* data, const uint32_t* length, uint32_t count) {
  const uint32_t accepted = std::min(count, socket_->transmit.room(count));
  for (uint32_t i = 0; i < accepted; i++) {
    const uint64_t address = umem_.address(data[i]);
    lent_.lend(address);
    socket_->transmit.push({.addr = address, .len = length[i], .options = 0});
  }
  socket_->transmit.publish();
  counters_.tx.add(accepted);
  counters_.tx_full.add(count - accepted);
  return accepted;
}

void XdpQueue::flush() {
  collect_completed();
  kick();
  if (receiving_ < ring_entries_) refill();
  // Zero copy only: the driver has found the fill ring empty and sleeps.
  if (busy_poll_ || socket_->fill.needs_wakeup())
    recvfrom(socket_->fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

void XdpQueue::collect_completed() {
  const uint32_t count = socket_->completion.available();
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t address = socket_->completion.pop();
    lent_.take_back(address);
    pool_.put(umem_.at(address));
  }
  if (count > 0) socket_->completion.release();
}

/// Has the kernel send what is on the transmit ring. In copy mode each call sends a few dozen
/// packets and then says EAGAIN, so it is repeated for as long as packets leave.
void XdpQueue::kick() {
  constexpr int kMaxIdleCalls = 2;
  int idle_calls = 0;
  while (!socket_->transmit.drained() && socket_->transmit.needs_wakeup()) {
    const uint32_t before = socket_->transmit.consumed();
    const ssize_t sent = sendto(socket_->fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    // EBUSY and ENOBUFS: the device's queue is full. Others, such as ENETDOWN, do not pass soon.
    if (sent < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS) return;
    collect_completed();
    if (socket_->transmit.consumed() != before) {
      idle_calls = 0;
    } else if (++idle_calls > kMaxIdleCalls) {
      return;  // has_unsent(): flush() comes again
    }
  }
}

QueueStats XdpQueue::stats() const {
  QueueStats stats = counters_.stats();
  const xdp_statistics kernel = socket_->statistics();
  // The kernel counts looks at an empty fill ring, several a packet, beside the packet that it drops.
  stats.rx_no_frame = std::min(kernel.rx_fill_ring_empty_descs, kernel.rx_dropped);
  stats.rx_dropped = kernel.rx_dropped - stats.rx_no_frame + kernel.rx_ring_full;
  stats.tx_invalid = kernel.tx_invalid_descs;
  return stats;
}

QueueRings XdpQueue::rings() const {
  return {.receive = socket_->receive.fill(),
          .transmit = socket_->transmit.fill(),
          .fill = socket_->fill.fill(),
          .completion = socket_->completion.fill()};
}

}  // namespace esplane::port::xdp
