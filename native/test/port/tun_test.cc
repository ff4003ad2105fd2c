#include "port/tun/tun.h"

#include <arpa/inet.h>
#include <poll.h>
#include <net/if.h>
#include <sys/socket.h>

#include <system_error>

#include "test/port/frames.h"
#include "test/port/lab.h"

using namespace esplane::test;
using esplane::port::Fd;
using esplane::port::Tun;

TEST_SUITE("lab") {
  TEST_CASE("the re-injection TUN hands packets from anywhere to the kernel's sockets") {
    if (!privileged()) return;
    NetworkNamespace ns;
    NetworkNamespace::run("ip address add 10.1.0.1/32 dev lo");
    for (int filter : {0, 1, 2}) {
      CAPTURE(filter);
      NetworkNamespace::run("sysctl -qw net.ipv4.conf.all.rp_filter=" + std::to_string(filter));
      // Loose mode wants some route back to the source.
      if (filter > 0) NetworkNamespace::run("ip route replace 192.0.2.0/24 dev lo");
      Tun tun("es-reinject");
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
      CHECK(tun.write(packet.data(), static_cast<uint32_t>(packet.size())));
      char got[8];
      pollfd p{socket.get(), POLLIN, 0};
      REQUIRE(poll(&p, 1, 1000) == 1);
      CHECK(recv(socket.get(), got, sizeof got, 0) == 2);
      CHECK_FALSE(tun.write(packet.data(), 0));
    }
    CHECK(if_nametoindex("es-reinject") == 0);
  }

  TEST_CASE("packets that the kernel routes into the TUN can be read") {
    if (!privileged()) return;
    NetworkNamespace ns;
    Tun tun("es%d", 1400);
    CHECK(tun.name() == "es0");
    uint8_t packet[2048];
    CHECK(tun.read(packet, sizeof packet) == 0);
    NetworkNamespace::run("ip route add 10.9.0.0/16 dev es0");
    const Fd socket{::socket(AF_INET, SOCK_DGRAM, 0)};
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, "10.9.1.1", &address.sin_addr);
    REQUIRE(sendto(socket.get(), "hello", 5, 0, reinterpret_cast<sockaddr*>(&address),
                   sizeof address) == 5);
    pollfd p{tun.poll_fd(), POLLIN, 0};
    REQUIRE(poll(&p, 1, 1000) == 1);
    CHECK(tun.read(packet, sizeof packet) == 33);
    CHECK(packet[0] == 0x45);
  }

  TEST_CASE("a TUN's name must fit and be free") {
    if (!privileged()) return;
    NetworkNamespace ns;
    CHECK_THROWS_AS(Tun("sixteen-letters-"), std::invalid_argument);
    CHECK_THROWS_AS(Tun(""), std::invalid_argument);
    Tun tun("es-one");
    CHECK_THROWS_WITH_AS(Tun("es-one"), doctest::Contains("cannot make the TUN es-one"),
                         std::system_error);
  }
}
