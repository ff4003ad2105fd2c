// AF_XDP ports over a veth pair in a namespace of the test's own.
#include "port/xdp/xdp_port.h"

#include <linux/if_link.h>
#include <signal.h>
#include <sys/wait.h>

#include <set>

#include "port/xdp/socket.h"
#include "test/port/lab.h"
#include "test/port/queue_io.h"
#include "test/port/raw_socket.h"

using namespace esplane::test;
using namespace esplane::port;

namespace {

constexpr uint32_t kFrames = 4096;

/// A gateway's WAN port on `gw`, with the address 192.0.2.1 and the network 10.1.0.0/16 behind it.
struct Gateway {
  Gateway() {
    const Prefix us = Prefix::parse("192.0.2.1"), behind = Prefix::parse("10.1.0.0/16");
    selection.set_local_addresses({&us, 1});
    selection.set_networks({&behind, 1}, {});
  }
  std::unique_ptr<Port> open() {
    return open_xdp_port({.name = "wan", .role = Role::kWan, .device = "gw"}, resources, note);
  }

  Umem umem{kFrames, 2048};
  xdp::Selection selection;
  Resources resources{umem, selection, Resources::ring_entries_for(kFrames)};
  FramePool pool{umem, 0, kFrames};
  std::string note;
};

/// `wire` and `gw` are the ends of a cable; `gw` has kOurMac.
void make_cable(int queues = 1) {
  NetworkNamespace::make_veth("wire", "gw", queues);
  NetworkNamespace::run("ip link set gw address 02:00:00:00:00:01");
}

/// A numbered ESP packet to us.
Bytes esp_frame(uint32_t number, size_t bytes = 64) {
  return ethernet(0x0800,
                  ipv4(50, "192.0.2.1",
                       Bytes{0, 0, 1, 0} + be16(number >> 16) + be16(number) + Bytes(bytes, 7)));
}

std::string xdp_program_of(const char* device) {
  FILE* pipe = popen((std::string("ip -o link show dev ") + device).c_str(), "re");
  char line[1024] = {};
  [[maybe_unused]] const size_t n = fread(line, 1, sizeof line - 1, pipe);
  pclose(pipe);
  const std::string text(line);
  const size_t at = text.find(" xdp");
  return at == std::string::npos ? "" : text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

}  // namespace

TEST_SUITE("lab") {
  TEST_CASE("an AF_XDP port receives what is ours and leaves the rest to the kernel") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire"), kernel("gw");
    const auto port = gateway.open();
    CHECK(port->mode() == "xdp-native-copy");
    CHECK(gateway.note == "");
    CHECK(std::memcmp(port->mac(), kOurMac.data(), 6) == 0);
    CHECK(port->mtu_bytes() == 1500);
    const auto queue = port->open_queue(0, gateway.pool);

    const Bytes arp = ethernet(0x0806, Bytes(46, 3));
    wire.send(arp);
    for (uint32_t i = 0; i < 100; i++) wire.send(esp_frame(i, 20 + 14 * i));
    const auto ours = receive(*queue, gateway.pool, 100);
    REQUIRE(ours.size() == 100);
    for (uint32_t i = 0; i < 100; i++) CHECK(ours[i] == esp_frame(i, 20 + 14 * i));
    CHECK(kernel.receive(1) == std::vector<Bytes>{arp});
    CHECK(kernel.receive(1, std::chrono::milliseconds(50)).empty());
    CHECK(queue->stats().rx == 100);
  }

  TEST_CASE("an AF_XDP port takes frames to its interface's new address once it is told of it") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire");
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    NetworkNamespace::run("ip link set gw address 02:00:00:00:00:77 mtu 1400");
    port->refresh();
    CHECK(port->mac()[5] == 0x77);
    CHECK(port->mtu_bytes() == 1400);
    Bytes to_new = esp_frame(2);
    to_new[5] = 0x77;
    wire.send(esp_frame(1));  // to the old one
    wire.send(to_new);
    CHECK(receive(*queue, gateway.pool, 2, std::chrono::milliseconds(200)) ==
          std::vector<Bytes>{to_new});
  }

  TEST_CASE("an AF_XDP port says for how long something waits on its ring") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    CHECK_FALSE(queue->has_unsent());
    uint8_t* frame = gateway.pool.get();
    const Bytes packet = esp_frame(1);
    std::memcpy(frame, packet.data(), packet.size());
    const auto bytes = static_cast<uint32_t>(packet.size());
    REQUIRE(queue->tx(&frame, &bytes, 1) == 1);
    CHECK(queue->has_unsent());
    queue->flush();
    CHECK_FALSE(queue->has_unsent());
  }

  TEST_CASE("an AF_XDP port sends whole bursts and gets every frame back") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire");
    const auto port = gateway.open();
    {
      const auto queue = port->open_queue(0, gateway.pool);
      const size_t free = gateway.pool.available();
      for (uint32_t sent = 0; sent < 3000;) {
        uint8_t* data[64];
        uint32_t length[64];
        for (uint32_t i = 0; i < 64; i++) {
          const Bytes frame = esp_frame(sent + i);
          data[i] = gateway.pool.get();
          REQUIRE(data[i]);
          data[i] += FramePool::kHeadroom - 50;  // as after a header was put before it
          std::memcpy(data[i], frame.data(), frame.size());
          length[i] = static_cast<uint32_t>(frame.size());
        }
        const uint32_t accepted = queue->tx(data, length, 64);
        for (uint32_t i = accepted; i < 64; i++) gateway.pool.put(data[i]);
        queue->flush();
        sent += accepted;
      }
      const auto seen = wire.receive(3000);
      REQUIRE(seen.size() >= 3000);
      for (uint32_t i = 0; i < 3000; i++) REQUIRE(seen[i] == esp_frame(i));
      for (int i = 0; i < 100 && gateway.pool.available() < free; i++) {
        queue->flush();
        usleep(1000);
      }
      CHECK(gateway.pool.available() == free);
      CHECK(queue->stats().tx_invalid == 0);
    }
    CHECK(gateway.pool.available() == kFrames);
  }

  TEST_CASE("a queue is opened again in the same process, twenty times, with all its frames") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire");
    for (int i = 0; i < 10; i++) {
      const auto port = gateway.open();
      for (int j = 0; j < 2; j++) {
        auto queue = port->open_queue(0, gateway.pool);
        CHECK(gateway.pool.available() < kFrames);
        wire.send(esp_frame(1));
        CHECK(receive(*queue, gateway.pool, 1).size() == 1);
        for (uint32_t n = 0; n < 10; n++) wire.send(esp_frame(n));  // left unread
        queue.reset();
        CHECK(gateway.pool.available() == kFrames);
      }
    }
  }

  TEST_CASE("clear text to a network behind us never reaches the kernel, served or not") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire"), kernel("gw");
    const auto port = gateway.open();
    const Bytes clear = ethernet(0x0800, ipv4(6, "10.1.7.7", Bytes(40, 1)));
    wire.send(clear);  // no queue is open yet
    auto queue = port->open_queue(0, gateway.pool);
    wire.send(clear);
    CHECK(receive(*queue, gateway.pool, 1) == std::vector<Bytes>{clear});
    queue.reset();
    wire.send(clear);
    wire.send(esp_frame(5));  // harmless: goes to the kernel, which has no ESP
    CHECK(kernel.receive(9, std::chrono::milliseconds(100)) == std::vector<Bytes>{esp_frame(5)});
  }

  TEST_CASE("a port of several queues receives on each of them over one Umem") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable(2);
    Gateway gateway;
    gateway.resources.ring_entries = 256;
    const auto port = gateway.open();
    REQUIRE(port->queues() == 2);
    FramePool pools[2] = {{gateway.umem, 0, 2048}, {gateway.umem, 2048, 2048}};
    const auto first = port->open_queue(0, pools[0]), second = port->open_queue(1, pools[1]);
    // An AF_XDP sender chooses the queue: what it sends on queue i arrives on queue i.
    Umem other(1024, 2048);
    Resources resources{other, gateway.selection, 64};
    std::string note;
    const auto peer =
        open_xdp_port({.name = "p", .role = Role::kLan, .device = "wire"}, resources, note);
    FramePool pool(other, 0, 1024);
    for (uint32_t i : {0u, 1u}) {
      const auto sender = peer->open_queue(i, pool);
      REQUIRE(send(*sender, pool, esp_frame(i)));
    }
    CHECK(receive(*first, pools[0], 1) == std::vector<Bytes>{esp_frame(0)});
    CHECK(receive(*second, pools[1], 1) == std::vector<Bytes>{esp_frame(1)});
  }

  TEST_CASE("a port falls back to SKB mode where the driver's mode cannot be had, and says why") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    // Beyond one page a veth refuses XDP without multi-buffer support.
    NetworkNamespace::run("ip link set wire mtu 9000");
    NetworkNamespace::run("ip link set gw mtu 9000");
    Gateway gateway;
    RawSocket wire("wire");
    const auto port = gateway.open();
    CHECK(port->mode() == "xdp-skb-copy");
    CHECK(gateway.note.find("no XDP in native mode") != std::string::npos);
    CHECK(gateway.note.find("frames over 1792 bytes are dropped") != std::string::npos);
    const auto queue = port->open_queue(0, gateway.pool);
    wire.send(esp_frame(7));
    CHECK(receive(*queue, gateway.pool, 1) == std::vector<Bytes>{esp_frame(7)});
    REQUIRE(send(*queue, gateway.pool, esp_frame(8)));
    CHECK(wire.receive(1) == std::vector<Bytes>{esp_frame(8)});
    wire.send(esp_frame(9, 4000));
    CHECK(receive(*queue, gateway.pool, 1).empty());
    CHECK(queue->stats().rx_dropped == 1);
  }

  TEST_CASE("a port on a device above another, as that of a VLAN is, works in SKB mode") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    NetworkNamespace::run("ip link set gw address 02:00:00:00:00:09");
    NetworkNamespace::run("ip link add link gw name above address 02:00:00:00:00:01 type macvlan");
    NetworkNamespace::run("sysctl -qw net.ipv6.conf.above.disable_ipv6=1");
    NetworkNamespace::run("ip link set above arp off up");
    Gateway gateway;
    RawSocket wire("wire");
    const auto port = open_xdp_port({.name = "wan", .role = Role::kWan, .device = "above"},
                                    gateway.resources, gateway.note);
    CHECK(port->mode() == "xdp-skb-copy");
    const auto queue = port->open_queue(0, gateway.pool);
    for (uint32_t i = 0; i < 100; i++) wire.send(esp_frame(i));
    const auto ours = receive(*queue, gateway.pool, 100);
    REQUIRE(ours.size() == 100);
    for (uint32_t i = 0; i < 100; i++) CHECK(ours[i] == esp_frame(i));
    REQUIRE(send(*queue, gateway.pool, ethernet(0x0800, ipv4(50, "192.0.2.9", Bytes(40, 1)), kPeerMac)));
    CHECK(wire.receive(1).size() == 1);
  }

  TEST_CASE("beside the queues of a port a lane without one sends by a packet socket") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket wire("wire");
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    const size_t free = gateway.pool.available();
    const auto sender = port->open_sender(gateway.pool);
    REQUIRE(send(*sender, gateway.pool, esp_frame(7)));
    CHECK(wire.receive(1) == std::vector<Bytes>{esp_frame(7)});
    wire.send(esp_frame(8));
    CHECK(receive(*queue, gateway.pool, 1) == std::vector<Bytes>{esp_frame(8)});
    esplane::packet::Batch none;
    CHECK(sender->rx(none, 64) == 0);
    CHECK(gateway.pool.available() == free);
  }

  TEST_CASE("two ports share a Umem: what one received, the other sends, without a copy") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    NetworkNamespace::make_veth("lan", "host");
    Gateway gateway;
    RawSocket wire("wire"), host("host");
    const auto wan = gateway.open();
    const auto lan = open_xdp_port({.name = "lan", .role = Role::kLan, .device = "lan"},
                                   gateway.resources, gateway.note);
    {
      const auto in = wan->open_queue(0, gateway.pool), out = lan->open_queue(0, gateway.pool);
      for (uint32_t i = 0; i < 500; i++) {
        wire.send(esp_frame(i));
        esplane::packet::Batch batch;
        in->rx(batch, 64);
        CHECK(out->tx(batch.data, batch.length, batch.size) == batch.size);
        out->flush();
        in->flush();
      }
      CHECK(host.receive(500).size() == 500);
    }
    CHECK(gateway.pool.available() == kFrames);
  }

  TEST_CASE("no program stays attached after SIGKILL, and the next start works at once") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
      Gateway gateway;
      const auto port = gateway.open();
      const auto queue = port->open_queue(0, gateway.pool);
      [[maybe_unused]] const ssize_t n = write(ready[1], "x", 1);
      pause();
      _exit(0);
    }
    char byte;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    CHECK(xdp_program_of("gw") == "xdp");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Gateway gateway;
    CHECK(gateway.open()->mode() == "xdp-native-copy");
    CHECK(xdp_program_of("gw") == "");
  }

  TEST_CASE("a wrong number of queues, a missing device and a foreign program are named") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    std::string note;
    CHECK_THROWS_WITH(
        open_xdp_port({.name = "w", .device = "gw", .queues = 4}, gateway.resources, note),
        doctest::Contains("gw has 1 queues, not 4"));
    CHECK_THROWS_WITH(open_xdp_port({.name = "w", .device = "none"}, gateway.resources, note),
                      doctest::Contains("interface none"));
    CHECK_THROWS_WITH(open_xdp_port({.name = "w", .device = "lo"}, gateway.resources, note),
                      doctest::Contains("lo is not an Ethernet interface"));
    const auto port = gateway.open();
    CHECK_THROWS_WITH(gateway.open(), doctest::Contains("another BPF program is attached"));
  }

  TEST_CASE("without privileges the missing capabilities are named") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    const pid_t child = fork();
    if (child == 0) {
      if (setresuid(65534, 65534, 65534) != 0) _exit(2);
      try {
        Gateway gateway;
        gateway.open();
      } catch (const std::exception& error) {
        _exit(std::string(error.what()).find("missing CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF") !=
                      std::string::npos
                  ? 0
                  : 3);
      }
      _exit(4);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
}
