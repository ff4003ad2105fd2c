// The AF_PACKET fallback: what it takes the kernel does not see, and TCP with offloads survives.
#include "port/packet/packet_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include <atomic>
#include <future>
#include <thread>

#include "port/open.h"
#include "test/port/lab.h"
#include "test/port/queue_io.h"
#include "test/port/raw_socket.h"
#include "test/port/slow_device.h"

using namespace esplane::test;
using namespace esplane::port;

namespace {

/// A LAN port on `gw`: 10.2.0.0/16 is behind a peer.
struct Gateway {
  explicit Gateway(const char* behind_peer = "10.2.0.0/16") {
    const Prefix peer = Prefix::parse(behind_peer);
    selection.set_networks({}, {&peer, 1});
  }
  std::unique_ptr<Port> open(const char* device = "gw", uint32_t queues = 0) {
    return open_packet_port({.name = "lan", .role = Role::kLan, .device = device, .queues = queues},
                            resources, note);
  }

  Umem umem{2048, 2048};
  xdp::Selection selection;
  Resources resources{umem, selection, 256};
  FramePool pool{umem, 0, 2048};
  std::string note;
};

Bytes lan_frame(uint32_t number, size_t bytes = 64, const char* to = "10.2.0.1") {
  return ethernet(0x0800, ipv4(17, to, udp(number, Bytes(bytes, 5))));
}

/// Counts datagrams that the kernel itself handles: it has 10.2.0.1 as an address of its own.
struct KernelReceiver {
  explicit KernelReceiver(uint16_t port) : fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  int count() {
    usleep(20000);
    int n = 0;
    char byte;
    while (recv(fd.get(), &byte, 1, 0) >= 0) n++;
    return n;
  }
  Fd fd;
};

void make_cable() {
  NetworkNamespace::make_veth("host", "gw");
  NetworkNamespace::run("ip link set gw address 02:00:00:00:00:01");
}

/// An interface's offload as ethtool prints it: "on" or "off".
std::string gro_of(const char* device) {
  FILE* pipe = popen(
      (std::string("ethtool -k ") + device + " | awk '/generic-receive/{print $2}'").c_str(), "re");
  char text[16] = {};
  [[maybe_unused]] const size_t n = fread(text, 1, sizeof text - 1, pipe);
  pclose(pipe);
  return std::string(text, strcspn(text, "\n"));
}

/// Forwards between two ports as a gateway does, with new MAC addresses.
void forward(Queue& from, Queue& to, FramePool& pool, const uint8_t* own_mac,
             const std::array<uint8_t, 6>& next_hop) {
  esplane::packet::Batch batch;
  const uint32_t n = from.rx(batch, 64);
  for (uint32_t i = 0; i < n; i++) {
    std::memcpy(batch.data[i], next_hop.data(), 6);
    std::memcpy(batch.data[i] + 6, own_mac, 6);
  }
  const uint32_t sent = to.tx(batch.data, batch.length, n);
  for (uint32_t i = sent; i < n; i++) pool.put(batch.data[i]);
  to.flush();
}

/// Makes a namespace in a thread of its own and runs `body` there.
class Host {
 public:
  Host() : thread_([this] { serve(); }) { started_.get_future().wait(); }
  ~Host() {
    leave_.set_value();
    thread_.join();
  }
  int tid() const { return tid_; }
  template <class Body>
  auto run(Body body) {
    const Fd before{open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
    const Fd inside{open(("/proc/self/task/" + std::to_string(tid_) + "/ns/net").c_str(),
                         O_RDONLY | O_CLOEXEC)};
    REQUIRE(setns(inside.get(), CLONE_NEWNET) == 0);
    struct Back {
      int fd;
      ~Back() { setns(fd, CLONE_NEWNET); }
    } back{before.get()};
    return body();
  }

 private:
  void serve() {
    NetworkNamespace ns;
    tid_ = static_cast<int>(syscall(SYS_gettid));
    started_.set_value();
    leave_.get_future().wait();
  }
  std::promise<void> started_, leave_;
  int tid_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_SUITE("lab") {
  TEST_CASE("a packet port takes what is ours from the kernel, and nothing else") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    NetworkNamespace::run("ip address add 10.2.0.1/32 dev lo && ip address add 10.7.0.1/32 dev lo");
    NetworkNamespace::run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.gw.rp_filter=0");
    RawSocket host("host");
    KernelReceiver kernel(4000);
    // A control: without the port the kernel receives both.
    const auto checksummed = [](const char* to) {
      Bytes frame = lan_frame(4000, 10, to);
      uint32_t sum = 0;
      for (size_t i = 14; i < 34; i += 2)
        sum += static_cast<uint32_t>(frame[i] << 8 | frame[i + 1]);
      sum = ~((sum & 0xffff) + (sum >> 16));
      frame[24] = static_cast<uint8_t>(sum >> 8);
      frame[25] = static_cast<uint8_t>(sum);
      return frame;
    };
    host.send(checksummed("10.2.0.1"));
    host.send(checksummed("10.7.0.1"));
    REQUIRE(kernel.count() == 2);
    {
      Gateway gateway;
      const auto port = gateway.open();
      CHECK(port->mode() == "packet");
      const auto queue = port->open_queue(0, gateway.pool);
      host.send(checksummed("10.2.0.1"));
      host.send(checksummed("10.7.0.1"));
      CHECK(receive(*queue, gateway.pool, 1) == std::vector<Bytes>{checksummed("10.2.0.1")});
      CHECK(receive(*queue, gateway.pool, 1).empty());
      CHECK(kernel.count() == 1);
      REQUIRE(send(*queue, gateway.pool, lan_frame(77)));
      CHECK(host.receive(1) == std::vector<Bytes>{lan_frame(77)});
      CHECK(gateway.pool.available() == 2048);
    }
    host.send(checksummed("10.2.0.1"));
    CHECK(kernel.count() == 1);
  }

  TEST_CASE(
      "a packet port passes a burst through its ring without loss, and counts what it cannot") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    RawSocket host("host");
    Gateway gateway;
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    // In bursts: on a busy machine time closes the ring's blocks before packets fill them.
    for (uint32_t first = 0; first < 1500; first += 100) {
      for (uint32_t i = 0; i < 100; i++) host.send(lan_frame(first + i));
      const auto seen = receive(*queue, gateway.pool, 100);
      REQUIRE(seen.size() == 100);
      for (uint32_t i = 0; i < 100; i++) REQUIRE(seen[i] == lan_frame(first + i));
    }
    for (uint32_t i = 0; i < 30000; i++) host.send(lan_frame(i, 1000));  // more than the ring holds
    const size_t rest = receive(*queue, gateway.pool, 30000).size();
    CHECK(rest < 30000);
    CHECK(queue->stats().rx_dropped == 30000 - rest);
  }

  TEST_CASE("a packet port takes frames to its interface's new address once it is told of it") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    RawSocket host("host");
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    NetworkNamespace::run("ip link set gw address 02:00:00:00:00:77");
    port->refresh();
    Bytes to_new = lan_frame(2);
    to_new[5] = 0x77;
    host.send(lan_frame(1));  // to the old one
    host.send(to_new);
    CHECK(receive(*queue, gateway.pool, 2, std::chrono::milliseconds(200)) ==
          std::vector<Bytes>{to_new});
  }

  TEST_CASE("a packet port keeps what a busy device does not take, and says so") {
    if (!privileged()) return;
    NetworkNamespace ns;
    SlowDevice device("slow");
    Gateway gateway;
    const auto port = gateway.open("slow", 1);
    const auto queue = port->open_queue(0, gateway.pool), sender = port->open_sender(gateway.pool);
    check_that_waiting_is_told(*queue, gateway.pool, device);
    check_that_waiting_is_told(*sender, gateway.pool, device);
  }

  TEST_CASE("several packet queues share the flows, each packet in one of them") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    RawSocket host("host");
    Gateway gateway;
    const auto port = gateway.open("gw", 2);
    REQUIRE(port->queues() == 2);
    const auto first = port->open_queue(0, gateway.pool),
               second = port->open_queue(1, gateway.pool);
    size_t a = 0, b = 0;
    // In bursts: on a busy machine time closes the rings' blocks before packets fill them.
    for (uint32_t burst = 0; burst < 200; burst += 20) {
      for (uint32_t i = 0; i < 20; i++) host.send(lan_frame(1000 + burst + i));
      const size_t seen = a + b;
      for (int again = 0; again < 50 && a + b < seen + 20; again++) {
        a += receive(*first, gateway.pool, 20, std::chrono::milliseconds(10)).size();
        b += receive(*second, gateway.pool, 20, std::chrono::milliseconds(10)).size();
      }
    }
    CHECK(a + b == 200);
    CHECK(a > 20);
    CHECK(b > 20);
  }

  TEST_CASE("a packet port leaves frames of VLANs to their devices; a priority is no VLAN") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    RawSocket host("host");
    Gateway gateway;
    const auto port = gateway.open();
    const auto queue = port->open_queue(0, gateway.pool);
    host.send(vlan(0x8100, lan_frame(1)));
    host.send(vlan(0x8100, lan_frame(2), 0));
    host.send(lan_frame(3));
    CHECK(receive(*queue, gateway.pool, 3, std::chrono::milliseconds(200)) ==
          std::vector<Bytes>{lan_frame(2), lan_frame(3)});
  }

  TEST_CASE("GRO is off while a packet port is open, and on again behind it") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    NetworkNamespace::run("ethtool -K gw gro on");
    REQUIRE(gro_of("gw") == "on");
    {
      Gateway gateway;
      const auto port = gateway.open();
      CHECK(gro_of("gw") == "off");
    }
    CHECK(gro_of("gw") == "on");
  }

  TEST_CASE("TCP with TSO and partial checksums passes two packet ports, byte for byte") {
    if (!privileged()) return;
    NetworkNamespace ns;
    Host left, right;
    NetworkNamespace::make_veth("left", "gwl");
    NetworkNamespace::make_veth("right", "gwr");
    const auto settle = [](Host& host, const char* device, const char* address, const char* peer,
                           const uint8_t* gateway_mac) {
      char mac[18];
      std::snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", gateway_mac[0],
                    gateway_mac[1], gateway_mac[2], gateway_mac[3], gateway_mac[4], gateway_mac[5]);
      NetworkNamespace::run(std::string("ip link set ") + device + " netns " +
                            std::to_string(host.tid()));
      return host.run([&] {
        NetworkNamespace::run(std::string("ip link set ") + device + " up && ip address add " +
                              address + "/24 dev " + device + " && ip route add " + peer + " dev " +
                              device + " && ip neigh add " + peer + " lladdr " + mac + " dev " +
                              device);
        return query_interface(device).mac;
      });
    };
    Gateway to_right("10.2.0.0/24"), to_left("10.1.0.0/24");
    const auto gwl = to_right.open("gwl");
    const auto gwr = open_packet_port({.name = "r", .role = Role::kLan, .device = "gwr"},
                                      to_left.resources, to_left.note);
    const auto left_mac = settle(left, "left", "10.1.0.1", "10.2.0.1", gwl->mac());
    const auto right_mac = settle(right, "right", "10.2.0.1", "10.1.0.1", gwr->mac());

    std::atomic<bool> stop{false};
    std::atomic<uint32_t> longest{0};
    const auto lq = gwl->open_queue(0, to_right.pool);
    const auto rq = gwr->open_queue(0, to_right.pool);  // frames move between the two
    std::thread forwarder([&] {
      while (!stop) {
        forward(*lq, *rq, to_right.pool, gwr->mac(), right_mac);
        forward(*rq, *lq, to_right.pool, gwl->mac(), left_mac);
      }
    });

    const Fd listener{right.run([] { return socket(AF_INET, SOCK_STREAM, 0); })};
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(5001), .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, "10.2.0.1", &address.sin_addr);
    REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener.get(), 1) == 0);
    const Fd client{left.run([] { return socket(AF_INET, SOCK_STREAM, 0); })};
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    REQUIRE(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const Fd server{accept(listener.get(), nullptr, nullptr)};
    setsockopt(server.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

    Bytes sent(4 << 20);
    for (size_t i = 0; i < sent.size(); i++) sent[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    std::thread sender([&] {
      for (size_t at = 0; at < sent.size();) {
        const ssize_t n = ::send(client.get(), &sent[at], sent.size() - at, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += static_cast<size_t>(n);
      }
      shutdown(client.get(), SHUT_WR);
    });
    Bytes got;
    Bytes part(65536);
    for (ssize_t n; (n = recv(server.get(), part.data(), part.size(), 0)) > 0;) {
      got.insert(got.end(), part.begin(), part.begin() + n);
    }
    sender.join();
    stop = true;
    forwarder.join();
    CHECK(got.size() == sent.size());
    CHECK(got == sent);
    // More packets than sends would be without cutting: 4 MiB in 1448-byte segments at least.
    CHECK(lq->stats().rx > sent.size() / 1448);
    CHECK(lq->stats().rx_dropped == 0);
  }

  TEST_CASE("auto opens AF_XDP, and a packet port with the reason where XDP is taken") {
    if (!privileged()) return;
    NetworkNamespace ns;
    make_cable();
    Gateway gateway;
    const PortOptions options{.name = "lan", .role = Role::kLan, .device = "gw"};
    const OpenedPort first = open_port(options, gateway.resources);
    CHECK(first.port->mode() == "xdp-native-copy");
    CHECK(first.note == "");
    const OpenedPort second = open_port(options, gateway.resources);
    CHECK(second.port->mode() == "packet");
    CHECK(second.note.find("another BPF program is attached") != std::string::npos);
  }
}
