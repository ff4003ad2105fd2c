// A composite's key table: which parts it is made of, the cipher's table, the MAC's table. So one
// seal and one open serve all composites.
#include "crypto/composite.h"

#include <cstring>
#include <new>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

struct Head {
  const CipherPart* cipher;
  const MacPart* mac;
};

constexpr uint32_t round_up(uint32_t bytes) { return (bytes + 15) & ~15u; }

constexpr uint32_t kCipherAt = round_up(sizeof(Head));

uint32_t mac_at(const CipherPart* cipher) {
  return kCipherAt + (cipher ? round_up(cipher->table_bytes) : 0);
}

const Head& head_of(const Batch& batch) {
  return *std::launder(reinterpret_cast<const Head*>(batch.key[0]));
}

void seal(const Batch& batch) {
  if (batch.size == 0) return;
  const Head& head = head_of(batch);
  if (head.cipher) head.cipher->encrypt(batch, kCipherAt);
  Icvs icvs;
  head.mac->sign(batch, mac_at(head.cipher), icvs);
  // Only now: the high half of an extended sequence number may have been where the ICV goes.
  for (uint32_t i = 0; i < batch.size; i++) {
    std::memcpy(batch.icv[i], icvs.of[i], batch.icv_bytes[i]);
  }
}

uint64_t open(const Batch& batch) {
  if (batch.size == 0) return 0;
  const Head& head = head_of(batch);
  Icvs icvs;
  head.mac->sign(batch, mac_at(head.cipher), icvs);
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    const bool holds = base::equal_constant_time(icvs.of[i], batch.icv[i], batch.icv_bytes[i]);
    authentic |= uint64_t{holds} << i;
  }
  base::wipe(&icvs, sizeof icvs);  // the right ICV of a forged packet is worth something
  if (head.cipher) head.cipher->decrypt(batch, kCipherAt);
  return authentic;
}

}  // namespace

Engine composite(const char* name, const CipherPart* cipher, const MacPart& mac) {
  const uint32_t bytes = mac_at(cipher) + mac.table_bytes;
  return {name, bytes, nullptr, seal, open, cipher, &mac};
}

void expand_composite(const Engine& engine, uint8_t* table, const Keys& keys) {
  new (table) Head{engine.cipher, engine.mac};
  if (engine.cipher) engine.cipher->expand(table + kCipherAt, keys.encryption);
  engine.mac->expand(table + mac_at(engine.cipher), keys.integrity);
}

}  // namespace esplane::crypto
