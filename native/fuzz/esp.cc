// Inbound ESP: packets whose ICV the fuzzer cannot forge, and authentic ones around any text and
// sequence number, which get beyond it. No sequence number is accepted twice, nothing that is not
// authentic is accepted at all, and what is accepted lies within the packet that arrived.
//
// Input: for each packet a byte of flags, one of sequence number, a length in two bytes, and as many
// bytes: the text with its trailer, or everything behind SPI and sequence number.
#include <set>

#include "crypto/engine.h"
#include "esp/inbound.h"
#include "fuzz/frame.h"
#include "fuzz/input.h"

namespace esplane {
namespace {

enum Flag : uint8_t { kAuthentic = 1, kEsn = 2, kInUdp = 4, kWellPadded = 8 };

constexpr uint32_t kIvBytes = 8, kIcvBytes = 16, kSaltBytes = 4;
constexpr uint8_t kKeymat[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 's', 'a', 'l', 't'};
/// Before a 2^32 border, which the numbers of an input then cross.
constexpr uint64_t kStart = 0xfffffff0;

const crypto::Suite& suite() { return *crypto::find_suite(20, 128, 0); }

const crypto::KeyTable& key() {
  static const crypto::KeyTable table(crypto::engine(suite()), suite(),
                                      {.encryption = std::span(kKeymat).first(16)});
  return table;
}

sad::SaParameters parameters(bool esn) {
  sad::SaParameters p;
  p.inbound_spi = p.outbound_spi = esn ? 0x2000 : 0x1000;
  p.local = *packet::IpAddress::parse("192.0.2.1");
  p.remote = *packet::IpAddress::parse("192.0.2.2");
  p.inbound_key = p.outbound_key = kKeymat;
  p.esn = esn;
  p.replay_window = 64;
  p.inbound_sequence = esn ? kStart : 0;
  p.local_selectors = p.remote_selectors = {fuzz::any_address(true), fuzz::any_address(false)};
  return p;
}

/// Encrypts the text of an ESP packet in place and writes its ICV (RFC 4106).
void seal(std::vector<uint8_t>& esp, uint64_t sequence, bool esn) {
  uint8_t nonce[kSaltBytes + kIvBytes], aad[12];
  std::memcpy(nonce, kKeymat + 16, kSaltBytes);
  std::memcpy(nonce + kSaltBytes, &esp[8], kIvBytes);
  std::memcpy(aad, &esp[0], 4);
  base::store_be64(aad + 4, sequence);
  crypto::Batch batch;
  batch.size = 1;
  batch.key[0] = key().data();
  batch.nonce[0] = nonce;
  batch.aad[0] = esn ? aad : &esp[0];
  batch.aad_bytes[0] = esn ? 12 : 8;
  batch.text[0] = &esp[8 + kIvBytes];
  batch.text_bytes[0] = static_cast<uint32_t>(esp.size()) - 8 - kIvBytes - kIcvBytes;
  batch.icv[0] = &esp[esp.size() - kIcvBytes];
  batch.icv_bytes[0] = kIcvBytes;
  crypto::engine(suite()).seal(batch);
}

/// Whole words, with the padding that the last but one byte claims where it can.
void finish_text(std::vector<uint8_t>& text, bool well_padded) {
  while (text.size() < 4 || text.size() % 4 != 0) text.push_back(0);
  if (!well_padded) return;
  const uint32_t padding = text[text.size() - 2] % std::min<size_t>(text.size() - 1, 256);
  text[text.size() - 2] = static_cast<uint8_t>(padding);
  for (uint32_t k = 0; k < padding; k++) text[text.size() - 2 - padding + k] = static_cast<uint8_t>(k + 1);
}

/// What an input says of one packet.
struct Arrival {
  bool authentic, esn;
  uint64_t sequence;
  uint32_t esp_offset;
  std::vector<uint8_t> packet;
};

/// An outer IPv4 header as far as inbound processing reads it: its version and ECN.
std::vector<uint8_t> outer_header(bool in_udp, uint8_t tos) {
  std::vector<uint8_t> header(20 + (in_udp ? 8 : 0));
  header[0] = 0x45;
  header[1] = tos;
  return header;
}

Arrival read_arrival(fuzz::Input& input, uint64_t highest) {
  const uint8_t flags = input.byte();
  const auto step = static_cast<int8_t>(input.byte());
  Arrival a{.authentic = (flags & kAuthentic) != 0, .esn = (flags & kEsn) != 0};
  a.sequence = highest + static_cast<uint64_t>(int64_t{step});
  if (!a.esn) a.sequence &= 0xffffffff;
  std::vector<uint8_t> body = input.bytes(input.u16() % 1500);
  std::vector<uint8_t> esp(8);
  base::store_be32(&esp[0], a.esn ? 0x2000 : 0x1000);
  base::store_be32(&esp[4], static_cast<uint32_t>(a.sequence));
  if (a.authentic) {
    finish_text(body, flags & kWellPadded);
    esp.resize(8 + kIvBytes);
    base::store_be64(&esp[8], a.sequence);
    esp.insert(esp.end(), body.begin(), body.end());
    esp.resize(esp.size() + kIcvBytes);
    seal(esp, a.sequence, a.esn);
  } else {
    esp.insert(esp.end(), body.begin(), body.end());
  }
  a.packet = outer_header(flags & kInUdp, flags >> 6);
  a.esp_offset = static_cast<uint32_t>(a.packet.size());
  a.packet.insert(a.packet.end(), esp.begin(), esp.end());
  return a;
}

/// One SA of each kind, and the numbers that each has accepted.
struct Receiver {
  explicit Receiver(bool esn) : sa(parameters(esn)) {}
  sad::InboundSa sa;
  std::set<uint64_t> accepted;
};

void check(const Arrival& a, Receiver& receiver, const fuzz::Frame& frame, const packet::Batch& batch,
           uint32_t i, const packet::IpHeader& inner) {
  const uint8_t* begin = frame.data;
  const uint8_t* end = begin + a.packet.size();
  if (batch.verdict[i] != packet::Verdict::kPending) {
    // Without ESN, what was sealed with a number is opened with it.
    FUZZ_CHECK(!(a.authentic && !a.esn && batch.verdict[i] == packet::Verdict::kIcvBad));
    FUZZ_CHECK(batch.data[i] == begin && batch.length[i] == a.packet.size());
    return;
  }
  FUZZ_CHECK(a.authentic);
  FUZZ_CHECK(receiver.accepted.insert(a.sequence).second);
  FUZZ_CHECK(batch.data[i] >= begin && batch.data[i] + batch.length[i] <= end);
  packet::IpHeader again;
  FUZZ_CHECK(packet::parse_ip(batch.data[i], batch.length[i], again) == packet::Verdict::kPending);
  FUZZ_CHECK(again.total_bytes == batch.length[i] && again.source == inner.source &&
             again.destination == inner.destination && again.tos == inner.tos);
}

void receive(const std::vector<Arrival>& arrivals, Receiver (&receivers)[2]) {
  packet::Batch batch;
  batch.chunk_bytes = fuzz::Frame::kChunk;
  batch.size = static_cast<uint32_t>(arrivals.size());
  std::vector<fuzz::Frame> frames;
  frames.reserve(arrivals.size());
  uint16_t offset[packet::Batch::kCapacity];
  packet::IpHeader inner[packet::Batch::kCapacity];
  for (uint32_t i = 0; i < batch.size; i++) {
    frames.emplace_back(arrivals[i].packet);
    batch.data[i] = frames[i].data;
    batch.length[i] = static_cast<uint32_t>(arrivals[i].packet.size());
    batch.verdict[i] = packet::Verdict::kPending;
    batch.inbound[i] = &receivers[arrivals[i].esn].sa;
    offset[i] = static_cast<uint16_t>(arrivals[i].esp_offset);
  }
  esp::inbound(batch, offset, inner);
  for (uint32_t i = 0; i < batch.size; i++) {
    check(arrivals[i], receivers[arrivals[i].esn], frames[i], batch, i, inner[i]);
  }
}

void check_counters(const Receiver& receiver) {
  const uint64_t accepted = receiver.accepted.size();
  FUZZ_CHECK(receiver.sa.packets.load() == accepted);
  FUZZ_CHECK(accepted == 0 || *receiver.accepted.rbegin() <= receiver.sa.window.highest());
}

}  // namespace
}  // namespace esplane

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace esplane;
  constexpr uint32_t kMostInBatch = 8;
  fuzz::Input input(data, bytes);
  Receiver receivers[2] = {Receiver(false), Receiver(true)};
  while (input.left() > 0) {
    std::vector<Arrival> arrivals;
    while (input.left() > 0 && arrivals.size() < kMostInBatch) {
      const bool esn = data[bytes - input.left()] & kEsn;
      arrivals.push_back(read_arrival(input, receivers[esn].sa.window.highest()));
    }
    receive(arrivals, receivers);
  }
  for (const Receiver& receiver : receivers) check_counters(receiver);
  return 0;
}
