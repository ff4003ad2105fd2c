// The capture files here are written out byte for byte from draft-ietf-opsawg-pcap §4 and §5.
#include "port/pcap/pcap_port.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <system_error>

#include "port/pcap/pcap_file.h"
#include "test/port/queue_io.h"

using namespace esplane::test;
using namespace esplane::port;

namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(const Bytes& content = {}) {
    const int fd = mkstemp(path_);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    close(fd);
  }
  ~TemporaryFile() { unlink(path_); }
  std::string path() const { return path_; }
  Bytes content() const {
    std::ifstream file(path_, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  }

 private:
  char path_[32] = "/tmp/esplane-pcap-XXXXXX";
};

using Word = std::function<Bytes(uint32_t)>;
Bytes big(uint32_t v) { return be16(v >> 16) + be16(v); }
Bytes little(uint32_t v) {
  return Bytes{uint8_t(v), uint8_t(v >> 8), uint8_t(v >> 16), uint8_t(v >> 24)};
}

Bytes file_header(const Word& word, uint32_t magic, uint32_t link_type = 1) {
  // Version 2.4 are two 16-bit fields.
  const Bytes version = word(1)[0] == 1 ? Bytes{2, 0, 4, 0} : Bytes{0, 2, 0, 4};
  return word(magic) + version + word(0) + word(0) + word(65535) + word(link_type);
}
Bytes record(const Word& word, uint32_t seconds, uint32_t fraction, const Bytes& data,
             uint32_t original) {
  return word(seconds) + word(fraction) + word(static_cast<uint32_t>(data.size())) +
         word(original) + data;
}

const Bytes kFirst(60, 0xaa), kSecond(1514, 0xbb);

Bytes capture(const Word& word, uint32_t magic) {
  return file_header(word, magic) + record(word, 100, 7, kFirst, 60) +
         record(word, 101, 999, kSecond, 1514);
}

std::string refusal(const Bytes& content) {
  const TemporaryFile file(content);
  try {
    const PcapFile parsed(file.path());
    return "accepted";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    REQUIRE(text.starts_with(file.path() + ": "));
    return text.substr(file.path().size() + 2);
  }
}

}  // namespace

TEST_CASE("captures of both byte orders and both time units are read") {
  for (const Word& word : {Word(big), Word(little)}) {
    for (const auto& [magic, unit] : {std::pair{0xa1b2c3d4u, 1000u}, {0xa1b23c4du, 1u}}) {
      const TemporaryFile file(capture(word, magic));
      const PcapFile parsed(file.path());
      REQUIRE(parsed.packets().size() == 2);
      CHECK(parsed.packets()[0].nanoseconds == 100'000'000'000 + 7 * unit);
      CHECK(parsed.packets()[1].nanoseconds == 101'000'000'000 + 999 * unit);
      CHECK(Bytes(parsed.packets()[1].data.begin(), parsed.packets()[1].data.end()) == kSecond);
    }
  }
}

TEST_CASE("a capture that ends anywhere but behind a record is refused, and nothing else is") {
  const Bytes whole = capture(little, 0xa1b2c3d4);
  const size_t first_end = 24 + 16 + kFirst.size();
  for (size_t bytes = 0; bytes < whole.size(); bytes++) {
    CAPTURE(bytes);
    const Bytes part(whole.begin(), whole.begin() + static_cast<long>(bytes));
    const bool complete = bytes == 24 || bytes == first_end;
    CHECK((refusal(part) == "accepted") == complete);
  }
}

TEST_CASE("what is wrong with a capture is said with its record and place") {
  const Bytes whole = capture(little, 0xa1b2c3d4);
  CHECK(refusal({}) == "0 bytes are too few for a capture file");
  CHECK(refusal(Bytes(24, 'x')) == "is no capture file");
  CHECK(refusal(little(0x0a0d0d0a) + Bytes(60, 0)) ==
        "is a pcapng file; \"editcap -F pcap\" converts it");
  CHECK(refusal(file_header(little, 0xa1b2c3d4, 113)) == "has link type 113, not Ethernet (1)");
  CHECK(refusal(Bytes(whole.begin(), whole.begin() + 150)) ==
        "record 2 at byte 100 is cut off: 34 of 1514 bytes are there");
  CHECK(refusal(Bytes(whole.begin(), whole.begin() + 110)) ==
        "record 2 at byte 100 is cut off: 10 bytes of its header are there");
  CHECK(refusal(file_header(little, 0xa1b2c3d4) + little(0) + little(0) + little(0xffffffff) +
                little(0)) == "record 1 at byte 24 claims 4294967295 bytes");
  CHECK_THROWS_AS(PcapFile("/nonexistent/capture.pcap"), std::system_error);
}

TEST_CASE("a pcap port receives the capture and writes what is sent, readable again") {
  // The third packet was cut by the capture, the fourth does not fit a frame.
  const TemporaryFile in(capture(big, 0xa1b23c4d) + record(big, 1, 1, kFirst, 61) +
                         record(big, 1, 1, Bytes(1793, 1), 1793) + record(big, 2, 1, kFirst, 60));
  const TemporaryFile out;
  Umem umem(16, 2048);
  FramePool pool(umem, 0, 16);
  const auto port = open_pcap_port("p", Role::kLan, in.path(), out.path());
  const auto queue = port->open_queue(0, pool);
  CHECK(receive(*queue, pool, 3) == std::vector<Bytes>{kFirst, kSecond, kFirst});
  CHECK(queue->stats().rx_dropped == 2);
  REQUIRE(send(*queue, pool, kSecond));
  CHECK(pool.available() == 16);
  const PcapFile written(out.path());
  REQUIRE(written.packets().size() == 1);
  CHECK(Bytes(written.packets()[0].data.begin(), written.packets()[0].data.end()) == kSecond);
  CHECK(written.packets()[0].nanoseconds > 1'700'000'000'000'000'000);
  const Bytes header = out.content();
  CHECK(Bytes(header.begin(), header.begin() + 24) == little(0xa1b23c4d) + Bytes{2, 0, 4, 0} +
                                                          little(0) + little(0) + little(262144) +
                                                          little(1));
}
