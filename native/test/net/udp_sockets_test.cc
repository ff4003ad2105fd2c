// UDP sockets that one thread opens and closes while others send by them.
#include "net/udp_sockets.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <thread>

namespace {

using namespace esplane;
using net::Endpoint;
using net::UdpSockets;

constexpr int kBufferBytes = 1 << 20;

/// This process's alone: a port that is closed for a moment nobody else gets.
Endpoint here() {
  const auto pid = static_cast<unsigned>(getpid());
  const auto octet = [&](unsigned at) { return "." + std::to_string((pid >> 8 * at) & 0xff); };
  return {*packet::IpAddress::parse(("127" + octet(2) + octet(1) + octet(0)).c_str()), 0};
}

}  // namespace

TEST_SUITE("concurrency") {
  TEST_CASE("threads send by sockets that come and go, and each datagram is counted once") {
    constexpr int kThreads = 3, kSends = 400;
    const auto sockets = UdpSockets::create();
    const Endpoint any_port = here();
    auto* socket = &sockets->open(any_port, kBufferBytes);
    const Endpoint local{any_port.address, socket->port()};
    net::UdpSocket peer(any_port, kBufferBytes);
    const Endpoint to{any_port.address, peer.port()};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.emplace_back([&, t] {
        const auto found = UdpSockets::find(sockets->id());
        const uint8_t data[] = {1, 2, 3};
        for (int i = 0; i < kSends; i++)
          found->send(local, {.to = to, .data = data, .marked = t == 0, .whole = t == 1});
      });
    }
    for (int i = 0; i < 20; i++) {
      sockets->close(*socket);
      std::this_thread::yield();
      socket = &sockets->open(local, kBufferBytes);
    }
    for (auto& thread : threads) thread.join();
    const uint8_t last[] = {4, 5, 6};
    CHECK(sockets->send(local, {.to = to, .data = last}));
    const auto counters = sockets->counters();
    CHECK(counters.sent + counters.no_socket == kThreads * kSends + 1);
    CHECK(counters.errors == 0);

    net::DatagramBatch batch;
    uint64_t received = 0;
    while (const uint32_t count = peer.receive(batch)) {
      for (uint32_t i = 0; i < count; i++) {
        CHECK((batch.data(i).size() == 3 || batch.data(i).size() == 7));
        CHECK(batch.source(i) == local);
      }
      received += count;
    }
    // Some may not have fitted the buffer of the peer, if it may not have as much as it wants.
    CHECK(received <= counters.sent);
    CHECK(received > 0);
  }
}

TEST_CASE("UDP sockets are found as long as somebody has them, and send from where they are bound") {
  auto sockets = UdpSockets::create();
  const uint32_t id = sockets->id();
  const uint8_t data[] = {1, 2, 3};
  const Endpoint any_port = here();
  CHECK_FALSE(sockets->send(any_port, {.to = any_port, .data = data}));
  auto& socket = sockets->open(any_port, kBufferBytes);
  const Endpoint local{any_port.address, socket.port()};
  CHECK(UdpSockets::find(id)->send(local, {.to = local, .data = data, .marked = true}));
  CHECK_FALSE(sockets->send(local, {.to = {*packet::IpAddress::parse("::1"), 9}, .data = data}));
  net::DatagramBatch batch;
  REQUIRE(socket.receive(batch) == 1);
  const auto got = batch.data(0);
  CHECK(std::vector(got.begin(), got.end()) == std::vector<uint8_t>{0, 0, 0, 0, 1, 2, 3});
  sockets->close(socket);
  CHECK_FALSE(sockets->send(local, {.to = local, .data = data}));
  const auto counters = sockets->counters();
  CHECK(counters.sent == 1);
  CHECK(counters.errors == 1);
  CHECK(counters.no_socket == 2);
  sockets.reset();
  CHECK(UdpSockets::find(id) == nullptr);
}
