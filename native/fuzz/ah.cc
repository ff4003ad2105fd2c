// Inbound AH: the headers before it, with any options and extension headers, zeroed where they are
// mutable; forged packets, and authentic ones around any payload. Nothing that is not authentic is
// accepted, no sequence number twice, and a packet that is refused stands as it arrived.
//
// Input: for each packet a byte of flags (the first extension header in its high half), one of
// sequence number, the bytes before AH behind their length (one byte, in words), the next header,
// and the payload behind its length (two bytes).
#include <memory>
#include <set>

#include "ah/mutable_fields.h"
#include "crypto/engine.h"
#include "esp/inbound.h"
#include "esp/locate.h"
#include "fuzz/frame.h"
#include "fuzz/input.h"

namespace esplane {
namespace {

enum Flag : uint8_t { kAuthentic = 1, kEsn = 2, kV6 = 4, kTransport = 8 };

constexpr uint32_t kAhBytes = 24, kIcvAt = 12, kIcvBytes = 12;  // HMAC-SHA1-96
constexpr uint8_t kKey[20] = {'a', 'h'};
constexpr uint64_t kStart = 0xfffffff0;

const crypto::Suite& suite() { return *crypto::find_suite(0, 0, 2); }

const crypto::KeyTable& key() {
  static const crypto::KeyTable table(crypto::engine(suite()), suite(), {.integrity = kKey});
  return table;
}

sad::SaParameters parameters(bool esn, bool transport) {
  sad::SaParameters p;
  p.protocol = sad::Protocol::kAh;
  p.mode = transport ? sad::Mode::kTransport : sad::Mode::kTunnel;
  p.inbound_spi = p.outbound_spi = 0x1000 + esn + 2 * transport;
  p.local = *packet::IpAddress::parse("192.0.2.1");
  p.remote = *packet::IpAddress::parse("192.0.2.2");
  p.encryption = 0;
  p.key_bits = 0;
  p.integrity = 2;
  p.inbound_key = p.outbound_key = kKey;
  p.esn = esn;
  p.replay_window = 64;
  p.inbound_sequence = esn ? kStart : 0;
  p.local_selectors = p.remote_selectors = {fuzz::any_address(true), fuzz::any_address(false)};
  return p;
}

/// What an input says of one packet.
struct Arrival {
  bool authentic, esn, transport;
  uint64_t sequence;
  std::vector<uint8_t> packet;
  uint32_t ah_at;
};

std::vector<uint8_t> ip_header(bool v6, uint8_t next, const std::vector<uint8_t>& options) {
  std::vector<uint8_t> h(v6 ? 40 : 20);
  if (v6) {
    h[0] = 0x60;
    h[6] = next;
    h[7] = 64;
    h[8] = h[24] = 0x20;
    h[23] = 2, h[39] = 1;
  } else {
    h[0] = static_cast<uint8_t>(0x45 + options.size() / 4);
    h[8] = 64;
    h[9] = next;
    h[12] = h[16] = 192;
    h[15] = 2, h[19] = 1;
  }
  h.insert(h.end(), options.begin(), options.end());
  return h;
}

/// Sets the lengths and the checksum.
void finish_ip(std::vector<uint8_t>& packet) {
  const auto bytes = static_cast<uint16_t>(packet.size());
  if (packet[0] >> 4 == 6) {
    base::store_be16(&packet[packet::kIpv6PayloadLength], bytes - packet::kIpv6HeaderBytes);
  } else {
    base::store_be16(&packet[packet::kIpv4TotalLength], bytes);
    fuzz::repair_ipv4_checksum(packet);
  }
}

/// Writes the ICV, where the headers before can be said to be anything.
bool authenticate(Arrival& a) {
  std::vector<uint8_t> covered = a.packet;
  if (!ah::mask_mutable_fields(covered.data(), a.ah_at)) return false;
  const auto bytes = static_cast<uint32_t>(covered.size());
  if (a.esn) {
    covered.resize(bytes + 4);
    base::store_be32(&covered[bytes], static_cast<uint32_t>(a.sequence >> 32));
  }
  crypto::Batch batch;
  batch.size = 1;
  uint8_t nothing = 0;
  batch.key[0] = key().data();
  batch.nonce[0] = &nothing;
  batch.aad[0] = covered.data();
  batch.aad_bytes[0] = static_cast<uint32_t>(covered.size());
  batch.text[0] = covered.data() + bytes;
  batch.text_bytes[0] = 0;
  batch.icv[0] = &a.packet[a.ah_at + kIcvAt];
  batch.icv_bytes[0] = kIcvBytes;
  crypto::engine(suite()).seal(batch);
  return true;
}

Arrival read_arrival(fuzz::Input& input, uint64_t highest) {
  const uint8_t flags = input.byte();
  const auto step = static_cast<int8_t>(input.byte());
  Arrival a{.authentic = (flags & kAuthentic) != 0,
            .esn = (flags & kEsn) != 0,
            .transport = (flags & kTransport) != 0};
  a.sequence = highest + static_cast<uint64_t>(int64_t{step});
  if (!a.esn) a.sequence &= 0xffffffff;
  const bool v6 = flags & kV6;
  const uint32_t words = input.byte();
  std::vector<uint8_t> before = input.bytes(v6 ? words % 32 * 8 : words % 11 * 4);
  while (before.size() % (v6 ? 8 : 4) != 0) before.push_back(0);
  constexpr uint8_t kExtensions[] = {0, 43, 60, 44, 51, 135, 139, 140};
  const uint8_t first = v6 && !before.empty() ? kExtensions[(flags >> 4) % 8] : uint8_t{packet::kAh};
  a.packet = ip_header(v6, first, before);
  a.ah_at = static_cast<uint32_t>(a.packet.size());
  const uint8_t next_header = input.byte();
  const std::vector<uint8_t> payload = input.bytes(input.u16() % 1400);
  a.packet.resize(a.ah_at + kAhBytes);
  uint8_t* ah = &a.packet[a.ah_at];
  ah[0] = next_header;
  ah[1] = kAhBytes / 4 - 2;
  base::store_be32(ah + 4, 0x1000 + a.esn + 2 * a.transport);
  base::store_be32(ah + 8, static_cast<uint32_t>(a.sequence));
  a.packet.insert(a.packet.end(), payload.begin(), payload.end());
  finish_ip(a.packet);
  if (a.authentic) a.authentic = authenticate(a);
  return a;
}

struct Receiver {
  Receiver(bool esn, bool transport) : sa(parameters(esn, transport)) {}
  sad::InboundSa sa;
  std::set<uint64_t> accepted;
};

void receive(const Arrival& a, Receiver& receiver) {
  packet::IpHeader header, inner[packet::Batch::kCapacity];
  const fuzz::Frame frame(a.packet);
  const auto bytes = static_cast<uint32_t>(a.packet.size());
  if (packet::parse_ip(frame.data, bytes, header) != packet::Verdict::kPending) return;
  const esp::Location at = esp::locate(frame.data, header);
  if (at.content != esp::Content::kAh) return;
  packet::Batch batch;
  batch.chunk_bytes = fuzz::Frame::kChunk;
  batch.size = 1;
  batch.data[0] = frame.data;
  batch.length[0] = at.end;
  batch.verdict[0] = packet::Verdict::kPending;
  batch.inbound[0] = &receiver.sa;
  esp::inbound(batch, &at.offset, inner);

  const bool as_made = at.offset == a.ah_at;
  if (batch.verdict[0] != packet::Verdict::kPending) {
    FUZZ_CHECK(!(a.authentic && as_made && !a.esn &&
                 batch.verdict[0] == packet::Verdict::kIcvBad));
    FUZZ_CHECK(batch.data[0] == frame.data && batch.length[0] == at.end);
    return;
  }
  FUZZ_CHECK(a.authentic && as_made);
  FUZZ_CHECK(receiver.accepted.insert(a.sequence).second);
  FUZZ_CHECK(batch.data[0] >= frame.data &&
             batch.data[0] + batch.length[0] <= frame.data + bytes);
  packet::IpHeader again;
  FUZZ_CHECK(packet::parse_ip(batch.data[0], batch.length[0], again) ==
             packet::Verdict::kPending);
  FUZZ_CHECK(again.total_bytes == batch.length[0]);
}

}  // namespace
}  // namespace esplane

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace esplane;
  fuzz::Input input(data, bytes);
  Receiver receivers[2][2] = {{{false, false}, {false, true}}, {{true, false}, {true, true}}};
  while (input.left() > 0) {
    const uint8_t flags = data[bytes - input.left()];
    Receiver& receiver = receivers[(flags & kEsn) != 0][(flags & kTransport) != 0];
    receive(read_arrival(input, receiver.sa.window.highest()), receiver);
  }
  for (auto& pair : receivers) {
    for (const Receiver& receiver : pair) {
      FUZZ_CHECK(receiver.sa.packets.load() == receiver.accepted.size());
    }
  }
  return 0;
}
