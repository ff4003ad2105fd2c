#include "net/udp_sockets.h"

#include <algorithm>
#include <map>

namespace esplane::net {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<uint32_t, std::weak_ptr<UdpSockets>> alive;
  uint32_t next_id = 1;
};

/// Never destroyed: threads may still run at the end of the process.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

}  // namespace

std::shared_ptr<UdpSockets> UdpSockets::create() {
  auto& r = registry();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.alive, [](const auto& entry) { return entry.second.expired(); });
  const uint32_t id = r.next_id++;
  std::shared_ptr<UdpSockets> made(new UdpSockets(id));
  r.alive[id] = made;
  return made;
}

std::shared_ptr<UdpSockets> UdpSockets::find(uint32_t id) {
  auto& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.alive.find(id);
  return found == r.alive.end() ? nullptr : found->second.lock();
}

UdpSocket& UdpSockets::open(const Endpoint& local, int buffer_bytes) {
  auto socket = std::make_unique<UdpSocket>(local, buffer_bytes);
  const Endpoint bound{local.address, socket->port()};
  const std::lock_guard lock(mutex_);
  return *bound_.emplace_back(Bound{bound, std::move(socket)}).socket;
}

void UdpSockets::close(const UdpSocket& socket) {
  const std::lock_guard lock(mutex_);
  std::erase_if(bound_, [&](const Bound& one) { return one.socket.get() == &socket; });
}

bool UdpSockets::send(const Endpoint& local, const Outgoing& datagram) {
  const std::lock_guard lock(mutex_);
  UdpSocket* const socket = find_socket(local);
  const bool sent = socket != nullptr && socket->send(datagram);
  (socket == nullptr ? counters_.no_socket : sent ? counters_.sent : counters_.errors)++;
  return sent;
}

UdpSocket* UdpSockets::find_socket(const Endpoint& local) const {
  const auto found = std::find_if(bound_.begin(), bound_.end(),
                                  [&](const Bound& one) { return one.local == local; });
  return found == bound_.end() ? nullptr : found->socket.get();
}

UdpSockets::Counters UdpSockets::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace esplane::net
