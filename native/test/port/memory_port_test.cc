#include "port/memory/memory_port.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "port/memory/spsc_ring.h"
#include "test/port/queue_io.h"

using namespace esplane::test;
using namespace esplane::port;

namespace {

/// Two gateways with memory of their own, joined by a wire of one queue.
struct Pair {
  explicit Pair(uint32_t ring_entries = 256, uint32_t frames = 1024)
      : umem_a(frames, 2048),
        umem_b(frames, 4096),
        pool_a(umem_a, 0, frames),
        pool_b(umem_b, 0, frames) {
    std::tie(a, b) = make_memory_pair({.name = "a", .ring_entries = ring_entries}, {.name = "b"});
    queue_a = a->open_queue(0, pool_a);
    queue_b = b->open_queue(0, pool_b);
  }
  Umem umem_a, umem_b;
  FramePool pool_a, pool_b;
  std::unique_ptr<Port> a, b;
  std::unique_ptr<Queue> queue_a, queue_b;
};

Bytes numbered(uint32_t number, size_t bytes = 64) {
  Bytes packet(bytes, static_cast<uint8_t>(number));
  std::memcpy(packet.data(), &number, sizeof number);
  return packet;
}

bool readable(const Queue& queue) {
  pollfd p{queue.poll_fd(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

}  // namespace

TEST_CASE("memory ports carry packets both ways, each end in its own frames") {
  Pair pair;
  for (uint32_t i = 0; i < 100; i++) REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(i, 60 + i)));
  REQUIRE(send(*pair.queue_b, pair.pool_b, numbered(7)));
  const auto at_b = receive(*pair.queue_b, pair.pool_b, 100);
  REQUIRE(at_b.size() == 100);
  for (uint32_t i = 0; i < 100; i++) CHECK(at_b[i] == numbered(i, 60 + i));
  CHECK(receive(*pair.queue_a, pair.pool_a, 1) == std::vector<Bytes>{numbered(7)});
  CHECK(pair.queue_b->stats().rx == 100);
  CHECK(pair.queue_a->stats().tx == 100);
  pair.queue_a->flush();
  pair.queue_b->flush();
  CHECK(pair.pool_a.available() == 1024);
  CHECK(pair.pool_b.available() == 1024);
}

TEST_CASE("a full memory wire refuses packets and counts them") {
  Pair pair(64);
  uint32_t accepted = 0;
  for (uint32_t i = 0; i < 100; i++) accepted += send(*pair.queue_a, pair.pool_a, numbered(i));
  CHECK(accepted == 64);
  CHECK(pair.queue_a->stats().tx_full == 36);
  CHECK(receive(*pair.queue_b, pair.pool_b, 64).size() == 64);
  CHECK(send(*pair.queue_a, pair.pool_a, numbered(1)));
}

TEST_CASE("packets wait on a memory wire while the receiver has no frame") {
  Pair pair(256, 128);
  std::vector<uint8_t*> held;
  while (uint8_t* frame = pair.pool_b.get()) held.push_back(frame);
  REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(1)));
  esplane::packet::Batch batch;
  CHECK(pair.queue_b->rx(batch, 64) == 0);
  CHECK(pair.queue_b->stats().rx_no_frame == 1);
  pair.pool_b.put(held.back());
  CHECK(receive(*pair.queue_b, pair.pool_b, 1) == std::vector<Bytes>{numbered(1)});
}

TEST_CASE("a packet too long for the receiver's frames is dropped and counted") {
  Pair pair;
  REQUIRE(send(*pair.queue_b, pair.pool_b, numbered(1, 1793)));  // 2048 - 256 = 1792 fit
  REQUIRE(send(*pair.queue_b, pair.pool_b, numbered(2, 1792)));
  CHECK(receive(*pair.queue_a, pair.pool_a, 1) == std::vector<Bytes>{numbered(2, 1792)});
  CHECK(pair.queue_a->stats().rx_dropped == 1);
}

TEST_CASE("a sleeping receiver is woken by the flush, and sleeps again once it has read all") {
  Pair pair;
  esplane::packet::Batch batch;
  CHECK(pair.queue_b->rx(batch, 64) == 0);
  CHECK_FALSE(readable(*pair.queue_b));
  for (int i = 0; i < 3; i++) {
    REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(1)));
    CHECK(readable(*pair.queue_b));
    CHECK(receive(*pair.queue_b, pair.pool_b, 1).size() == 1);
    CHECK(pair.queue_b->rx(batch, 64) == 0);
    CHECK_FALSE(readable(*pair.queue_b));
  }
}

TEST_CASE("a sender that goes away takes its frames along, read or not") {
  Pair pair;
  for (uint32_t i = 0; i < 10; i++) REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(i)));
  pair.queue_a.reset();
  CHECK(pair.pool_a.available() == 1024);
  esplane::packet::Batch batch;
  CHECK(pair.queue_b->rx(batch, 64) == 0);
  CHECK_FALSE(send(*pair.queue_b, pair.pool_b, numbered(1)));  // nobody there
  pair.queue_a = pair.a->open_queue(0, pair.pool_a);
  REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(11)));
  CHECK(receive(*pair.queue_b, pair.pool_b, 1) == std::vector<Bytes>{numbered(11)});
}

TEST_CASE("frames come back from a receiver that goes away") {
  Pair pair;
  for (uint32_t i = 0; i < 10; i++) REQUIRE(send(*pair.queue_a, pair.pool_a, numbered(i)));
  pair.queue_b.reset();
  pair.queue_a->flush();
  CHECK(pair.pool_a.available() == 1024);
}

TEST_CASE("a named memory link has two ends with as many queues, free again when they close") {
  const MemoryPortOptions two{.name = "x", .queues = 2};
  auto a = open_memory_port("memory-test", two);
  CHECK_THROWS_WITH_AS(open_memory_port("memory-test", {.name = "y", .queues = 3}),
                       "memory link \"memory-test\" has 2 queues at its other end",
                       std::invalid_argument);
  auto b = open_memory_port("memory-test", two);
  CHECK(std::memcmp(a->mac(), b->mac(), 6) != 0);
  CHECK_THROWS_AS(open_memory_port("memory-test", two), std::invalid_argument);
  a.reset();
  CHECK_NOTHROW(open_memory_port("memory-test", two));

  Umem umem(64, 2048);
  FramePool pool(umem, 0, 64);
  const auto queue = b->open_queue(1, pool);
  CHECK_THROWS_AS(b->open_queue(1, pool), std::logic_error);
  CHECK_THROWS_AS(b->open_queue(2, pool), std::out_of_range);
}

TEST_CASE("two threads pass 300,000 packets through a memory wire in order, none lost or twice") {
  constexpr uint32_t kPackets = 300000;
  Pair pair(128, 512);
  std::atomic<bool> wrong{false};
  std::thread receiver([&] {
    for (uint32_t expected = 0; expected < kPackets && !wrong;) {
      esplane::packet::Batch batch;
      pair.queue_b->rx(batch, 64);
      for (uint32_t i = 0; i < batch.size; i++) {
        uint32_t number;
        std::memcpy(&number, batch.data[i], sizeof number);
        if (number != expected++ || batch.length[i] != 60 + number % 1000) wrong = true;
        pair.pool_b.put(batch.data[i]);
      }
      pair.queue_b->flush();
      if (batch.size == 0) {
        pollfd p{pair.queue_b->poll_fd(), POLLIN, 0};
        if (poll(&p, 1, 2000) == 0) wrong = true;  // a lost wake-up
      }
    }
  });
  for (uint32_t number = 0; number < kPackets && !wrong;) {
    uint8_t* frame = pair.pool_a.get();
    if (frame) {
      uint8_t* data = frame + FramePool::kHeadroom;
      std::memcpy(data, &number, sizeof number);
      const uint32_t length = 60 + number % 1000;
      if (pair.queue_a->tx(&data, &length, 1) == 1) {
        number++;
      } else {
        pair.pool_a.put(frame);
      }
    }
    pair.queue_a->flush();
  }
  receiver.join();
  CHECK_FALSE(wrong);
}

TEST_CASE("a ring of no power of two is refused") {
  CHECK_THROWS_AS(SpscRing<int>(100), std::invalid_argument);
  CHECK_THROWS_AS(SpscRing<int>(0), std::invalid_argument);
}
