#include "port/tun/tun.h"

#include <arpa/inet.h>
#include <poll.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>

#include "packet/checksum.h"
#include "packet/ip.h"
#include "test/port/frames.h"
#include "test/port/lab.h"

using namespace esplane::test;
using esplane::packet::Batch;
using esplane::port::Fd;
using esplane::port::FramePool;
using esplane::port::Tun;
using esplane::port::TunOptions;
using esplane::port::TunQueue;
using esplane::port::Umem;

namespace {

struct Memory {
  Umem umem{64, 2048};
  FramePool pool{umem, 0, 64};

  void give_back(Batch& batch) {
    for (uint32_t i = 0; i < batch.size; i++) pool.put(batch.data[i]);
    batch.clear();
  }
};

/// A socket of the host that sends to 10.9.1.1.
class Flow {
 public:
  Flow(int kind, uint16_t port) : fd_(::socket(AF_INET, kind, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_port = htons(port);
    inet_pton(AF_INET, "10.9.1.1", &address_.sin_addr);
  }
  int fd() const { return fd_.get(); }
  void send(size_t bytes) {
    const std::string text(bytes, 'x');
    REQUIRE(sendto(fd(), text.data(), bytes, 0, reinterpret_cast<sockaddr*>(&address_),
                   sizeof address_) == static_cast<ssize_t>(bytes));
  }

 private:
  Fd fd_;
  sockaddr_in address_{};
};

}  // namespace

TEST_SUITE("lab") {
  TEST_CASE("the re-injection TUN hands packets from anywhere to the kernel's sockets") {
    if (!privileged()) return;
    NetworkNamespace ns;
    NetworkNamespace::run("ip address add 10.1.0.1/32 dev lo");
    Memory memory;
    for (int filter : {0, 1, 2}) {
      CAPTURE(filter);
      NetworkNamespace::run("sysctl -qw net.ipv4.conf.all.rp_filter=" + std::to_string(filter));
      // Loose mode wants some route back to the source.
      if (filter > 0) NetworkNamespace::run("ip route replace 192.0.2.0/24 dev lo");
      Tun tun({.name = "es-reinject", .from_anywhere = true});
      const auto queue = tun.open_queue(memory.pool);
      CHECK(tun.name() == "es-reinject");
      CHECK((tun.note() == "") == (filter == 0));
      const Fd socket{::socket(AF_INET, SOCK_DGRAM, 0)};
      sockaddr_in address{
          .sin_family = AF_INET, .sin_port = htons(4000), .sin_addr = {}, .sin_zero = {}};
      REQUIRE(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

      Bytes packet = ipv4(17, "10.1.0.1", udp(4000, {'h', 'i'}));
      uint32_t sum = 0;
      for (size_t i = 0; i < 20; i += 2)
        sum += static_cast<uint32_t>(packet[i] << 8 | packet[i + 1]);
      sum = ~((sum & 0xffff) + (sum >> 16));
      packet[10] = static_cast<uint8_t>(sum >> 8);
      packet[11] = static_cast<uint8_t>(sum);
      uint8_t* const data = packet.data();
      uint32_t bytes = static_cast<uint32_t>(packet.size());
      CHECK(queue->write(&data, &bytes, 1) == 1);
      char got[8];
      pollfd p{socket.get(), POLLIN, 0};
      REQUIRE(poll(&p, 1, 1000) == 1);
      CHECK(recv(socket.get(), got, sizeof got, 0) == 2);
      bytes = 0;
      CHECK(queue->write(&data, &bytes, 1) == 0);
    }
    CHECK(if_nametoindex("es-reinject") == 0);
  }

  TEST_CASE("packets that the kernel routes into the TUN come out of one of its queues") {
    if (!privileged()) return;
    NetworkNamespace ns;
    Memory memory;
    Tun tun({.name = "es%d", .mtu_bytes = 1400});
    CHECK(tun.name() == "es0");
    CHECK(tun.mtu_bytes() == 1400);
    std::unique_ptr<TunQueue> queues[] = {tun.open_queue(memory.pool), tun.open_queue(memory.pool)};
    NetworkNamespace::run("ip route add 10.9.0.0/16 dev es0");
    Flow udp(SOCK_DGRAM, 9);
    udp.send(5);
    Batch batch;
    batch.chunk_bytes = 2048;
    pollfd waits[] = {{queues[0]->poll_fd(), POLLIN, 0}, {queues[1]->poll_fd(), POLLIN, 0}};
    REQUIRE(poll(waits, 2, 1000) == 1);
    for (auto& queue : queues) queue->rx(batch, Batch::kCapacity);
    REQUIRE(batch.size == 1);
    CHECK(batch.length[0] == 33);
    CHECK(batch.data[0][0] == 0x45);
    CHECK(batch.headroom(0) == FramePool::kHeadroom);
    CHECK(queues[0]->stats().rx + queues[1]->stats().rx == 1);
    memory.give_back(batch);
  }

  TEST_CASE("a super-frame is cut to the MTU, with checksums that hold") {
    if (!privileged()) return;
    NetworkNamespace ns;
    Memory memory;
    Tun tun({.name = "es0", .mtu_bytes = 1280});
    const auto queue = tun.open_queue(memory.pool);
    NetworkNamespace::run("ip address add 10.9.0.1/16 dev es0");
    // UDP_SEGMENT (udp(7)): one send of 4000 bytes in datagrams of 1000.
    Flow udp(SOCK_DGRAM, 9);
    const int segment = 1000;
    REQUIRE(setsockopt(udp.fd(), IPPROTO_UDP, 103, &segment, sizeof segment) == 0);
    udp.send(4000);
    Batch batch;
    batch.chunk_bytes = 2048;
    pollfd waits{queue->poll_fd(), POLLIN, 0};
    REQUIRE(poll(&waits, 1, 1000) == 1);
    // Two at a time: what is left of the super-frame waits in the queue.
    CHECK(queue->rx(batch, 2) == 2);
    CHECK(queue->holds_packets());
    queue->rx(batch, Batch::kCapacity);
    CHECK_FALSE(queue->holds_packets());
    REQUIRE(batch.size == 4);
    for (uint32_t i = 0; i < batch.size; i++) {
      CAPTURE(i);
      CHECK(batch.length[i] == 1028);
      esplane::packet::IpHeader header;
      REQUIRE(esplane::packet::parse_ip(batch.data[i], batch.length[i], header) ==
              esplane::packet::Verdict::kPending);
      uint64_t sum = esplane::packet::pseudo_header_add(header.source, header.destination, 17, 1008);
      sum = esplane::packet::checksum_add(batch.data[i] + 20, 1008, sum);
      CHECK(esplane::packet::checksum_fold(sum) == 0xffff);
    }
    memory.give_back(batch);
  }

  TEST_CASE("a kernel's TCP takes the super-frames that segments were joined to") {
    if (!privileged()) return;
    for (const bool v6 : {false, true}) {
      CAPTURE(v6);
      NetworkNamespace here;
      Memory memory;
      Tun near({.name = "near"});
      const auto near_queue = near.open_queue(memory.pool);
      const std::string network = v6 ? "fd09::" : "10.9.0.", bits = v6 ? "/64" : "/24";
      NetworkNamespace::run("ip address add " + network + "1" + bits + " nodad dev near");
      const int family = v6 ? AF_INET6 : AF_INET;
      const Fd sender{::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)};
      NetworkNamespace there;
      Tun far({.name = "far"});
      const auto far_queue = far.open_queue(memory.pool);
      NetworkNamespace::run("ip address add " + network + "2" + bits + " nodad dev far");
      const Fd listener{::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)};
      REQUIRE(listen(listener.get(), 1) == 0);
      sockaddr_storage bound{};
      socklen_t size = sizeof bound;
      REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0);
      auto& v6_address = reinterpret_cast<sockaddr_in6&>(bound);
      auto& v4_address = reinterpret_cast<sockaddr_in&>(bound);
      inet_pton(family, (network + "2").c_str(),
                v6 ? static_cast<void*>(&v6_address.sin6_addr) : &v4_address.sin_addr);
      REQUIRE(connect(sender.get(), reinterpret_cast<sockaddr*>(&bound), size) == -1);
      REQUIRE(errno == EINPROGRESS);

      constexpr size_t kBytes = 2'000'000;
      std::string text(kBytes, 0), got;
      for (size_t i = 0; i < kBytes; i++) text[i] = static_cast<char>(i * 7 + i / 256);
      size_t sent = 0;
      uint64_t carried = 0;
      Fd receiver;
      Batch batch;
      batch.chunk_bytes = 2048;
      const auto carry = [&](TunQueue& from, TunQueue& to) {
        const uint32_t count = from.rx(batch, Batch::kCapacity);
        if (count > 0) to.write(batch.data, batch.length, count);
        memory.give_back(batch);
        return count;
      };
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (got.size() < kBytes && std::chrono::steady_clock::now() < end) {
        carried += carry(*near_queue, *far_queue);
        carry(*far_queue, *near_queue);
        if (!receiver) receiver = Fd{accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)};
        const ssize_t more = ::send(sender.get(), &text[sent], kBytes - sent, MSG_NOSIGNAL);
        if (more > 0) sent += static_cast<size_t>(more);
        char part[65536];
        const ssize_t taken = receiver ? recv(receiver.get(), part, sizeof part, 0) : 0;
        if (taken > 0) got.append(part, static_cast<size_t>(taken));
      }
      CHECK((got == text));
      // Far fewer packets have entered the host than were handed over.
      std::ifstream statistics("/proc/thread-self/net/dev");
      uint64_t bytes = 0, packets = 0;
      for (std::string line; std::getline(statistics, line);) {
        if (const auto at = line.find("far:"); at != std::string::npos)
          std::istringstream(line.substr(at + 4)) >> bytes >> packets;
      }
      CHECK(carried > kBytes / 1500);
      CHECK(packets < carried / 4);
      CHECK(far_queue->stats().tx == carried);
      CHECK(far_queue->stats().tx_full == 0);
      // TcpInCsumErrors: no checksum was made wrong.
      NetworkNamespace::run("test $(nstat -asz TcpInCsumErrors | awk 'END {print $2}') = 0");
    }
  }

  TEST_CASE("an interface that outlives the process is opened again, routes and all, until removed") {
    if (!privileged()) return;
    NetworkNamespace ns;
    const TunOptions options{.name = "ipsec0", .mtu_bytes = 1400, .outlives_process = true};
    { const Tun first(options); }
    NetworkNamespace::run("ip address add 10.9.0.1/16 dev ipsec0");
    REQUIRE(if_nametoindex("ipsec0") != 0);
    {
      Tun again({.name = "ipsec0", .mtu_bytes = 0, .outlives_process = true});
      CHECK(again.mtu_bytes() == 1400);
      NetworkNamespace::run("ip route get 10.9.0.2 | grep -q 'dev ipsec0'");
      again.set_mtu(1300);
      NetworkNamespace::run("ip link show ipsec0 | grep -q 'mtu 1300'");
      again.remove();
    }
    CHECK(if_nametoindex("ipsec0") == 0);
  }

  TEST_CASE("a TUN's name must fit, and be no other interface's") {
    if (!privileged()) return;
    NetworkNamespace ns;
    CHECK_THROWS_AS(Tun({.name = "sixteen-letters-"}), std::invalid_argument);
    CHECK_THROWS_AS(Tun({.name = ""}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(Tun({.name = "lo"}), doctest::Contains("no TUN of ours"),
                         std::system_error);
  }
}
