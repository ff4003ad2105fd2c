#include "ike/gate.h"

#include <cstring>

#include "base/bytes.h"
#include "base/random.h"
#include "ike/libcrypto.h"

namespace esplane::ike {
namespace {

// RFC 7296 §3.1, §3.2: offsets in the header, and the length of a generic payload header.
constexpr size_t kHeaderBytes = 28, kPayloadHeaderBytes = 4;
constexpr size_t kResponderSpi = 8, kNextPayload = 16, kVersion = 17, kExchange = 18, kFlags = 19;
constexpr size_t kMessageId = 20, kLength = 24;

constexpr uint8_t kMajorVersion = 0x20, kIkeSaInit = 34, kInitiator = 0x08, kResponse = 0x20;
constexpr uint8_t kNonce = 40, kNotify = 41;
constexpr uint16_t kCookie = 16390;
// §3.9: data of a Nonce payload.
constexpr size_t kLeastNonce = 16, kMostNonce = 256;

constexpr uint32_t kSecretSeconds = 60;

bool is_ikev2(Message m) {
  return m.size() >= kHeaderBytes && (m[kVersion] & 0xf0) == kMajorVersion &&
         base::load_be32(&m[kLength]) == m.size();
}

bool asks_for_a_new_sa(Message m) {
  return m[kExchange] == kIkeSaInit && (m[kFlags] & (kInitiator | kResponse)) == kInitiator &&
         base::load_be64(&m[0]) != 0 && base::load_be64(&m[kResponderSpi]) == 0 &&
         base::load_be32(&m[kMessageId]) == 0;
}

/// HMAC-SHA-256
void mac(Bytes key, Bytes text, uint8_t* out) {
  mac(Mac::kSha256, key, {&text, 1}, {out, mac_bytes(Mac::kSha256)});
}

/// What stands in the first payload of a type; empty where there is none, or the lengths are wrong.
Message payload(Message m, uint8_t wanted) {
  uint8_t type = m[kNextPayload];
  for (size_t at = kHeaderBytes; type != 0 && at + kPayloadHeaderBytes <= m.size();) {
    const size_t length = base::load_be16(&m[at + 2]);
    if (length < kPayloadHeaderBytes || at + length > m.size()) return {};
    if (type == wanted) return m.subspan(at + kPayloadHeaderBytes, length - kPayloadHeaderBytes);
    type = m[at];
    at += length;
  }
  return {};
}

/// §2.6: a COOKIE is in the first payload of all.
Message cookie_of(Message m) {
  if (m[kNextPayload] != kNotify) return {};
  const Message notify = payload(m, kNotify);
  if (notify.size() < 4 || base::load_be16(&notify[2]) != kCookie) return {};
  const size_t spi_bytes = notify[1];
  return notify.size() < 4 + spi_bytes ? Message{} : notify.subspan(4 + spi_bytes);
}

}  // namespace

Gate::~Gate() {
  base::wipe(&spi_key_, sizeof spi_key_);
  base::wipe(&current_, sizeof current_);
  base::wipe(&last_, sizeof last_);
}

Standing Gate::judge(Message message, const packet::IpAddress& source, uint32_t now_s) {
  if (!is_ikev2(message)) return Standing::kForeign;
  if (!asks_for_a_new_sa(message))
    return bears_our_mark(message) ? Standing::kOurs : Standing::kForeign;
  const Message nonce = payload(message, kNonce);
  if (nonce.size() < kLeastNonce || nonce.size() > kMostNonce) return Standing::kNonsense;
  const Message shown = cookie_of(message);
  if (shown.size() != sizeof(Cookie)) return Standing::kStranger;
  renew(now_s);
  for (const Secret* secret : {&current_, &last_}) {
    if (!secret->known || secret->version != shown[0]) continue;
    const Cookie expected = make(*secret, message, nonce, source);
    const bool good = base::equal_constant_time(expected.data(), shown.data(), sizeof(Cookie));
    return good ? Standing::kProved : Standing::kStranger;
  }
  return Standing::kStranger;
}

Gate::Answer Gate::answer(Message request, const packet::IpAddress& source, uint32_t now_s) {
  renew(now_s);
  const Cookie cookie = make(current_, request, payload(request, kNonce), source);
  Answer out{};
  // The responder's SPI stays zero, and so does the message ID.
  std::memcpy(&out[0], &request[0], 8);
  out[kNextPayload] = kNotify;
  out[kVersion] = kMajorVersion;
  out[kExchange] = kIkeSaInit;
  out[kFlags] = kResponse;
  base::store_be32(&out[kLength], kAnswerBytes);
  base::store_be16(&out[kHeaderBytes + 2], kAnswerBytes - kHeaderBytes);
  base::store_be16(&out[kHeaderBytes + 6], kCookie);
  std::memcpy(&out[kHeaderBytes + 8], cookie.data(), sizeof cookie);
  return out;
}

/// The sender says by the I flag whose SPI is whose (§3.1).
bool Gate::bears_our_mark(Message m) const {
  const Message spi = m.subspan(m[kFlags] & kInitiator ? kResponderSpi : 0, 8);
  std::array<uint8_t, 32> mark;
  mac(spi_key_, spi.first(6), mark.data());
  return spi[6] == mark[0] && spi[7] == mark[1];
}

void Gate::renew(uint32_t now_s) {
  const uint32_t age_s = now_s - since_s_;
  if (current_.known && age_s < kSecretSeconds) return;
  // After a long pause the last secret is as old as the pause.
  last_ = current_;
  last_.known = current_.known && age_s < 2 * kSecretSeconds;
  current_.version++;
  for (size_t i = 0; i < current_.key.size(); i += 4) {
    const uint32_t word = base::random_u32();
    std::memcpy(&current_.key[i], &word, 4);
  }
  current_.known = true;
  since_s_ = now_s;
}

Gate::Cookie Gate::make(const Secret& secret, Message request, Message nonce,
                                    const packet::IpAddress& source) {
  std::array<uint8_t, kMostNonce + 16 + 8> input;
  uint8_t* end = input.data();
  for (const Message part : {nonce, Message(source.bytes, source.size()), request.first(8)}) {
    std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  Cookie cookie{secret.version};
  mac(secret.key, std::span(input.data(), end), &cookie[1]);
  return cookie;
}

}  // namespace esplane::ike
