#include "crypto/known_answer.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/known_answer_vectors.h"

namespace esplane::crypto {
namespace {

uint8_t nibble(char digit) {
  return static_cast<uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

std::vector<uint8_t> parse(std::string_view hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(nibble(hex[i]) << 4 | nibble(hex[i + 1])));
  }
  return bytes;
}

uint32_t size_of(const std::vector<uint8_t>& bytes) { return static_cast<uint32_t>(bytes.size()); }

/// One operation, and what has to come of it.
struct Case {
  std::vector<uint8_t> table;  ///< a part's key table
  const uint8_t* key = nullptr;
  std::vector<uint8_t> nonce, aad, text, icv;
  std::vector<uint8_t> sealed;  ///< if that is known

  void append_to(Batch& batch) {
    const uint32_t i = batch.size++;
    batch.key[i] = key;
    batch.nonce[i] = nonce.data();
    batch.aad[i] = aad.data();
    batch.aad_bytes[i] = size_of(aad);
    batch.text[i] = text.data();
    batch.text_bytes[i] = size_of(text);
    batch.icv[i] = icv.data();
    batch.icv_bytes[i] = size_of(icv);
  }
};

/// A key table of a part, aligned as a composite has it.
template <typename Part>
void expand(const Part& part, Case& c, const std::vector<uint8_t>& key) {
  c.table.resize(part.table_bytes + 15);
  const auto address = reinterpret_cast<uintptr_t>(c.table.data());
  uint8_t* aligned = c.table.data() + (16 - address % 16) % 16;
  part.expand(aligned, key);
  c.key = aligned;
}

template <typename Vector>
bool has_key_of(const Suite& suite, const Vector& v) {
  return std::string_view(v.key).size() == 2 * suite.encryption_key_bytes;
}

// --- AEADs --------------------------------------------------------------------------------------

std::span<const AeadVector> aead_vectors(const Suite& suite) {
  if (suite.form == Form::kGmac) return kGmac;
  if (suite.cipher == Cipher::kAesGcm) return kGcm;
  if (suite.cipher == Cipher::kAesCcm) return kCcm;
  return kChaCha20Poly1305;
}

/// An ICV of AES-GCM may be cut short to be another of AES-GCM; that of CCM is another then.
size_t icv_bytes(const Suite& suite, size_t of_vector) {
  return suite.cipher == Cipher::kAesCcm ? of_vector : suite.icv_bytes;
}

/// Seals the cases, spoils one ICV and opens them again.
bool round_trip(const Engine& engine, std::deque<Case>& cases) {
  Batch batch;
  std::vector<std::vector<uint8_t>> clear, expected;
  for (Case& c : cases) {
    clear.push_back(c.text);
    expected.push_back(c.icv);
    std::fill(c.icv.begin(), c.icv.end(), uint8_t{0});
    c.append_to(batch);
  }
  engine.seal(batch);
  for (size_t i = 0; i < cases.size(); i++) {
    if (cases[i].icv != expected[i]) return false;
    if (!cases[i].sealed.empty() && cases[i].text != cases[i].sealed) return false;
  }
  const uint64_t all = (uint64_t{1} << cases.size()) - 1;
  cases.back().icv.back() ^= 1;
  if (engine.open(batch) != all >> 1) return false;
  cases.back().icv.back() ^= 1;
  // But not the last: libcrypto clears what it decrypted with CCM where the ICV does not hold.
  for (size_t i = 0; i + 1 < cases.size(); i++) {
    if (cases[i].text != clear[i]) return false;
  }
  return true;
}

Case make_case(const Suite& suite, const AeadVector& v, const KeyTable& key) {
  Case c;
  c.key = key.data();
  c.nonce = parse(v.nonce);
  c.aad = parse(v.aad);
  c.text = parse(v.text);
  c.icv = parse(v.icv);
  c.icv.resize(icv_bytes(suite, c.icv.size()));
  if (v.sealed) c.sealed = parse(v.sealed);
  return c;
}

// --- Parts --------------------------------------------------------------------------------------

std::span<const CipherVector> cipher_vectors(Cipher cipher) {
  if (cipher == Cipher::kAesCbc) return kCbc;
  return kCtr;
}

std::span<const MacVector> mac_vectors(uint16_t integrity) {
  switch (integrity) {
    case kAuthHmacSha1_96:
      return kHmacSha1;
    case kAuthHmacSha2_256_128:
      return kHmacSha256;
    case kAuthHmacSha2_384_192:
      return kHmacSha384;
    case kAuthHmacSha2_512_256:
      return kHmacSha512;
    case kAuthAesXcbc96:
      return kXcbc;
    default:
      return kCmac;
  }
}

}  // namespace

bool passes_known_answers(const Engine& engine, const Suite& suite) {
  std::deque<KeyTable> keys;
  std::deque<Case> all;
  for (const AeadVector& v : aead_vectors(suite)) {
    if (!has_key_of(suite, v)) continue;
    const std::vector<uint8_t> raw = parse(v.key);
    keys.emplace_back(engine, suite, Keys{raw});
    // Twice, so that the first, whose ICV stays good, shows what it was decrypted to.
    std::deque<Case> two;
    for (int i = 0; i < 2; i++) two.push_back(make_case(suite, v, keys.back()));
    if (!round_trip(engine, two)) return false;
    all.push_back(make_case(suite, v, keys.back()));
  }
  return !all.empty() && round_trip(engine, all);
}

bool passes_known_answers(const CipherPart& part, const Suite& suite) {
  bool any = false;
  for (const CipherVector& v : cipher_vectors(suite.cipher)) {
    if (!has_key_of(suite, v)) continue;
    any = true;
    const std::vector<uint8_t> clear = parse(v.text), sealed = parse(v.sealed);
    Case c;
    expand(part, c, parse(v.key));
    c.nonce = parse(v.nonce);
    c.text = clear;
    Batch batch;
    c.append_to(batch);
    part.encrypt(batch, 0);
    if (c.text != sealed) return false;
    part.decrypt(batch, 0);
    if (c.text != clear) return false;
  }
  return any;
}

bool passes_known_answers(const MacPart& part, const Suite& suite) {
  const auto vectors = mac_vectors(suite.integrity);
  std::deque<Case> cases;
  std::vector<std::vector<uint8_t>> expected;
  Batch batch;
  for (const MacVector& v : vectors) {
    Case& c = cases.emplace_back();
    expand(part, c, parse(v.key));
    c.aad = parse(v.message);
    c.icv.resize(suite.icv_bytes);
    expected.push_back(parse(v.mac));
    c.append_to(batch);
  }
  Icvs icvs;
  part.sign(batch, 0, icvs);
  for (size_t i = 0; i < cases.size(); i++) {
    if (std::memcmp(icvs.of[i], expected[i].data(), suite.icv_bytes) != 0) return false;
  }
  return true;
}

}  // namespace esplane::crypto
