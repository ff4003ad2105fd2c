// AES-GCM (NIST SP 800-38D) with AES-NI and PCLMULQDQ, for batches of packets.
//
// Compiled twice, by aesni.cc and by aesni_avx.cc, each with the flags of its tier: everything is
// in an unnamed namespace. AVX has no wider AES, but instructions of three operands, which save the
// copies.
//
// One packet alone leaves the CPU idle: a round of AES takes 3 to 7 cycles, one or two can start in
// each, and a packet of 64 bytes has five blocks. So several packets are in flight at any time:
//
//   1. prepare: the counters of J0 and of what does not fill a tile of 8 blocks are laid end to end
//      in one array for all packets of the batch.
//   2. encrypt_tile: 8 of them at a time, whichever packets they are of, become keystream in place,
//      some tiles ahead of the packet that needs them.
//   3. crypt_tiles, crypt_tail: packet by packet, whole tiles are encrypted straight from the text
//      with the GHASH of another tile between the AES rounds; the tail takes its keystream from
//      the array. When sealing, GHASH is one tile behind, and at the end of a packet one packet
//      behind, so that it never waits for the ciphertext.
//
// GHASH multiplies up to 32 blocks by their powers of H before one reduction.
// Left out: nonces that are not 96 bits long (RFC 4106 §4 has none).
#pragma once

#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/blocks.h"
#include "crypto/clmul.h"
#include "crypto/engine.h"
#include "crypto/icv.h"
#include "crypto/key_groups.h"
#include "crypto/key_schedule.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kTileBlocks = 8;
constexpr uint32_t kTileBytes = 16 * kTileBlocks;
constexpr uint32_t kPowers = 32;
/// J0, seven whole blocks and a partial one.
constexpr uint32_t kMaxStreamBlocks = 9;

struct AesniKey {
  uint32_t rounds;
  __m128i round[15];
  GhashPower power[kPowers];

  /// The power that the first of the last `blocks` blocks of a segment is multiplied by.
  const GhashPower* power_for(uint32_t blocks) const { return power + kPowers - blocks; }
  const GhashPower* end() const { return power + kPowers; }
};

const AesniKey& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const AesniKey*>(table));
}

/// Keystream blocks to have ready beyond the packet in hand.
constexpr uint32_t kLookahead = 2 * kTileBlocks;

/// Keystream of the packets' J0s and tails; counters until its tile was encrypted.
///
/// No counter is left behind, which with a 128-bit key would give the key away: all are encrypted
/// but some that fill_tile wrote behind the end, and those are overwritten.
struct Stream {
  static constexpr uint32_t kCapacity = Batch::kCapacity * kMaxStreamBlocks + kTileBlocks;
  __m128i block[kCapacity];
  const AesniKey* key[kCapacity];  ///< only where the batch mixes keys
  uint32_t size = 0;  ///< blocks
  uint32_t encrypted = 0;
  uint32_t packets = 0;
};

// --- texts ---------------------------------------------------------------------------------------

/// A text and how it is cut: whole tiles, then a tail of whole blocks and perhaps a partial one.
struct Text {
  uint8_t* data;
  uint32_t bytes;
  uint32_t tiles, tail_blocks, partial_bytes;

  ESPLANE_INLINE Text(uint8_t* p, uint32_t n)
      : data(p), bytes(n), tiles(n / kTileBytes), tail_blocks(n % kTileBytes / 16),
        partial_bytes(n % 16) {}

  uint8_t* tail() const { return data + tiles * kTileBytes; }
  /// J0's and the tail's.
  uint32_t stream_blocks() const { return 1 + tail_blocks + (partial_bytes != 0); }

  /// The partial block with zeros behind it; zeros where there is none. Where there are 16 bytes
  /// the text's last 16 are read and shifted, so that no other memory is touched.
  ESPLANE_INLINE __m128i load_partial_block() const {
    if (partial_bytes == 0) return _mm_setzero_si128();
    if (bytes < 16) [[unlikely]] return load_partial(data, bytes);
    return load_last(data + bytes, partial_bytes);
  }
};

// --- counters ------------------------------------------------------------------------------------

/// Makes counter blocks that already have the first round key added (AddRoundKey).
///
/// The low three bits of the counter are added last: seen as bits of a counter that is a multiple
/// of eight, they need no carry, so that each block costs one operation.
struct Counters {
  __m128i nonce;  ///< nonce | 0, with the round key

  ESPLANE_INLINE Counters(const uint8_t* nonce_bytes, const AesniKey& key)
      : nonce(_mm_xor_si128(load_nonce(nonce_bytes), key.round[0])) {}

  /// The block of a counter that is a multiple of eight.
  ESPLANE_INLINE __m128i multiple_of_eight(uint32_t counter) const {
    const __m128i word = _mm_cvtsi32_si128(static_cast<int>(__builtin_bswap32(counter)));
    return _mm_xor_si128(nonce, _mm_slli_si128(word, 12));
  }

  /// The block of that counter plus n < 8; of counter 0, plus n < 16.
  static ESPLANE_INLINE __m128i plus(__m128i block, int n) {
    return _mm_xor_si128(block, _mm_set_epi32(n << 24, 0, 0, 0));
  }

  /// Tile t of a text: the counters from 2 + 8 t on.
  ESPLANE_INLINE void fill_tile(__m128i* x, uint32_t t) const {
    const __m128i low = multiple_of_eight(t * kTileBlocks);
    const __m128i high = multiple_of_eight((t + 1) * kTileBlocks);
#pragma GCC unroll 8
    for (int i = 0; i < 6; i++) x[i] = plus(low, 2 + i);
    x[6] = high;
    x[7] = plus(high, 1);
  }
};

// --- the three steps -----------------------------------------------------------------------------

/// Step 1 for packet i: its J0 and its tail's counters join the stream.
template <bool kOneKey>
ESPLANE_INLINE void prepare(Stream& stream, const Batch& batch, uint32_t i) {
  const Text text(batch.text[i], batch.text_bytes[i]);
  const AesniKey& key = layout(batch.key[i]);
  const Counters counters(batch.nonce[i], key);
  __m128i* out = stream.block + stream.size;
  out[0] = Counters::plus(counters.nonce, 1);
  if (text.tiles != 0) {
    counters.fill_tile(out + 1, text.tiles);
  } else {
#pragma GCC unroll 4
    for (int b = 1; b < 5; b++) out[b] = Counters::plus(counters.nonce, 1 + b);
    if (text.stream_blocks() > 5) {
#pragma GCC unroll 4
      for (int b = 5; b < 9; b++) out[b] = Counters::plus(counters.nonce, 1 + b);
    }
  }
  if (!kOneKey) std::fill_n(stream.key + stream.size, kMaxStreamBlocks, &key);
  stream.size += text.stream_blocks();
}

template <bool kOneKey>
void prepare_all(Stream& stream, const Batch& batch, const Selection& selection) {
  stream.packets = selection.size;
  for (uint32_t s = 0; s < selection.size; s++) {
    prepare<kOneKey>(stream, batch, selection.at<kOneKey>(s));
  }
  // The last tile is filled up with blocks that nobody uses.
  std::fill_n(stream.block + stream.size, kTileBlocks, _mm_setzero_si128());
  if (!kOneKey) std::fill_n(stream.key + stream.size, kTileBlocks, stream.key[stream.size - 1]);
  stream.size = (stream.size + kTileBlocks - 1) / kTileBlocks * kTileBlocks;
}

/// Step 2: the stream's next tile becomes keystream.
template <int kRounds, bool kOneKey>
ESPLANE_INLINE void encrypt_tile(Stream& stream, const AesniKey& one_key) {
  __m128i* block = stream.block + stream.encrypted;
  const AesniKey* const* key = stream.key + stream.encrypted;
  const auto round_key = [&](int r, uint32_t lane) {
    return kOneKey ? one_key.round[r] : key[lane]->round[r];
  };
  __m128i x[kTileBlocks];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kTileBlocks; i++) x[i] = block[i];
#pragma GCC unroll 16
  for (int r = 1; r < kRounds; r++) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kTileBlocks; i++) x[i] = _mm_aesenc_si128(x[i], round_key(r, i));
  }
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kTileBlocks; i++) {
    block[i] = _mm_aesenclast_si128(x[i], round_key(kRounds, i));
  }
  stream.encrypted += kTileBlocks;
}

ESPLANE_INLINE void hash_two(const uint8_t* data, const GhashPower* power, GhashSum& sum) {
  add_two_products(sum, reverse_bytes(load(data)), reverse_bytes(load(data + 16)), power);
}

template <int kRounds, bool kOneKey>
ESPLANE_INLINE void encrypt_until(Stream& stream, const __m128i* end, const AesniKey& one_key) {
  const auto needed = static_cast<uint32_t>(end - stream.block) + kLookahead;
  while (stream.encrypted < std::min(needed, stream.size)) {
    encrypt_tile<kRounds, kOneKey>(stream, one_key);
  }
}

/// Encrypts or decrypts a tile of the text; between the rounds, adds the tile at `hashed` to `sum`.
template <int kRounds, bool kHash>
ESPLANE_INLINE void crypt_tile(const AesniKey& key, const Counters& counters, uint32_t t,
                               uint8_t* text, const uint8_t* hashed, const GhashPower* power,
                               GhashSum& sum) {
  __m128i x[kTileBlocks];
  counters.fill_tile(x, t);
#pragma GCC unroll 16
  for (int r = 1; r < kRounds; r++) {
    const __m128i k = key.round[r];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kTileBlocks; i++) x[i] = _mm_aesenc_si128(x[i], k);
    if (kHash && r % 2 == 0 && r <= 8) hash_two(hashed + 16 * (r - 2), power + (r - 2), sum);
  }
  const __m128i k = key.round[kRounds];
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kTileBlocks; i++) {
    store(text + 16 * i, _mm_xor_si128(_mm_aesenclast_si128(x[i], k), load(text + 16 * i)));
  }
}

/// Walks through the powers of H. The blocks of a packet are cut into segments of at most kPowers
/// blocks; each ends with one reduction, whose result counts as if added to the next block.
struct Ghash {
  const AesniKey* key;
  const GhashPower* power;
  uint32_t blocks_left;  ///< behind this segment, up to and including the length block
  uint32_t tiles_left;
  GhashSum sum;

  /// @param first  the AAD's last block with what was hashed before it, or 0 if there is no AAD
  static ESPLANE_INLINE Ghash start(const AesniKey& key, __m128i first, const Text& text) {
    const uint32_t blocks = (text.bytes + 15) / 16 + 1;
    uint32_t segment = blocks;
    if (segment >= kPowers) {
      segment = kTileBlocks * std::min(text.tiles, kPowers / kTileBlocks - 1);
    }
    const GhashPower* power = key.power_for(1 + segment);
    return {&key, power + 1, blocks - segment, text.tiles, multiply(first, *power)};
  }

  /// After a tile: moves on by 8 powers, into a new segment if the old one is used up.
  ESPLANE_INLINE void end_tile() {
    power += kTileBlocks;
    tiles_left--;
    if (power != key->end()) return;
    uint32_t segment = blocks_left;
    if (segment > kPowers) segment = kTileBlocks * std::min(tiles_left, kPowers / kTileBlocks);
    power = key->power_for(segment);
    blocks_left -= segment;
    sum = multiply(reduce(sum), *power);
  }

  ESPLANE_INLINE void add(__m128i block) { add_product(sum, block, *power++); }
};

/// The whole tiles of a text, if there are. Sealing hashes one tile behind and leaves the last one
/// to `hash_last_tile`.
template <int kRounds, bool kSeal>
ESPLANE_INLINE Ghash crypt_tiles(Ghash ghash, const uint8_t* nonce, const Text& text) {
  const AesniKey& key = *ghash.key;
  const Counters counters(nonce, key);
  uint32_t t = 0;
  if (kSeal) {
    crypt_tile<kRounds, false>(key, counters, t++, text.data, nullptr, nullptr, ghash.sum);
  }
  for (; t < text.tiles; t++) {
    uint8_t* tile = text.data + t * kTileBytes;
    crypt_tile<kRounds, true>(key, counters, t, tile, kSeal ? tile - kTileBytes : tile, ghash.power,
                              ghash.sum);
    ghash.end_tile();
  }
  return ghash;
}

/// Adds keystream to what is left of a text behind its whole tiles.
ESPLANE_INLINE void crypt_tail(const Text& text, const __m128i* keystream) {
  // Loaded before the block before is rewritten: no wait for a store to reach the cache.
  const __m128i last = text.load_partial_block();
  uint8_t* p = text.tail();
  for (uint32_t b = 0; b < text.tail_blocks; b++, p += 16) {
    store(p, _mm_xor_si128(load(p), keystream[b]));
  }
  if (text.partial_bytes == 0) return;
  store_partial(p, _mm_xor_si128(last, keystream[text.tail_blocks]), text.partial_bytes);
}

ESPLANE_INLINE Ghash hash_last_tile(Ghash ghash, const Text& text) {
  const uint8_t* tile = text.tail() - kTileBytes;
#pragma GCC unroll 8
  for (uint32_t b = 0; b < kTileBlocks; b += 2) {
    hash_two(tile + 16 * b, ghash.power + b, ghash.sum);
  }
  ghash.end_tile();
  return ghash;
}

/// Hashes the ciphertext behind the whole tiles, and the length block.
ESPLANE_INLINE __m128i hash_tail(Ghash ghash, const Text& text, uint32_t aad_bytes) {
  const uint8_t* p = text.tail();
  uint32_t b = 0;
  for (; b + 2 <= text.tail_blocks; b += 2, p += 32) {
    hash_two(p, ghash.power, ghash.sum);
    ghash.power += 2;
  }
  if (b != text.tail_blocks) ghash.add(reverse_bytes(load(p)));
  if (text.partial_bytes != 0) ghash.add(reverse_bytes(text.load_partial_block()));
  ghash.add(length_block(aad_bytes, text.bytes));
  return reverse_bytes(reduce(ghash.sum));
}

/// Hashes all blocks of an AAD but the last one and adds the last one, unmultiplied.
__attribute__((noinline)) __m128i hash_long_aad(const AesniKey& key, const uint8_t* aad,
                                                uint32_t bytes) {
  __m128i y = _mm_setzero_si128();
  while (bytes > 16) {
    const uint32_t segment = std::min((bytes - 1) / 16, kPowers);
    const GhashPower* power = key.power_for(segment);
    GhashSum sum = multiply(_mm_xor_si128(y, reverse_bytes(load(aad))), *power++);
    for (uint32_t b = 1; b < segment; b++) {
      add_product(sum, reverse_bytes(load(aad + 16 * b)), *power++);
    }
    y = reduce(sum);
    aad += 16 * segment;
    bytes -= 16 * segment;
  }
  return _mm_xor_si128(y, reverse_bytes(load_aad_block(aad, bytes)));
}

ESPLANE_INLINE __m128i first_block(const AesniKey& key, const Batch& batch, uint32_t i) {
  const uint32_t bytes = batch.aad_bytes[i];
  if (bytes <= 16) [[likely]] return reverse_bytes(load_aad_block(batch.aad[i], bytes));
  return hash_long_aad(key, batch.aad[i], bytes);
}

ESPLANE_INLINE Ghash start(const Batch& batch, uint32_t i, const Text& text) {
  const AesniKey& key = layout(batch.key[i]);
  return Ghash::start(key, first_block(key, batch, i), text);
}

// --- batches -------------------------------------------------------------------------------------

/// A packet that was encrypted and is still to be hashed.
struct Sealed {
  uint32_t i;
  const __m128i* keystream;
  Ghash ghash;  ///< only where the text has whole tiles
};

/// GHASH of a packet without whole tiles is started late: there is nothing to carry along.
ESPLANE_INLINE void finish(const Batch& batch, const Sealed& sealed) {
  const uint32_t i = sealed.i;
  const Text text(batch.text[i], batch.text_bytes[i]);
  const Ghash ghash = text.tiles != 0 ? hash_last_tile(sealed.ghash, text) : start(batch, i, text);
  const __m128i hash = hash_tail(ghash, text, batch.aad_bytes[i]);
  write_icv(batch, i, _mm_xor_si128(hash, sealed.keystream[0]));
}

/// Each packet's ICV is computed behind the encryption of the next packet: by then its ciphertext
/// is there, and GHASH does not stand in the way of AES.
template <int kRounds, bool kOneKey>
void seal_all(const Batch& batch, const Selection& selection) {
  Stream stream;
  prepare_all<kOneKey>(stream, batch, selection);
  const __m128i* keystream = stream.block;
  Sealed sealed[2];
  for (uint32_t s = 0; s < stream.packets; s++) {
    const uint32_t i = selection.at<kOneKey>(s);
    const Text text(batch.text[i], batch.text_bytes[i]);
    const __m128i* next = keystream + text.stream_blocks();
    encrypt_until<kRounds, kOneKey>(stream, next, layout(batch.key[i]));
    sealed[s % 2].i = i;
    sealed[s % 2].keystream = keystream;
    if (text.tiles != 0) {
      sealed[s % 2].ghash =
          crypt_tiles<kRounds, true>(start(batch, i, text), batch.nonce[i], text);
    }
    crypt_tail(text, keystream + 1);
    if (s > 0) finish(batch, sealed[(s - 1) % 2]);
    keystream = next;
  }
  finish(batch, sealed[(stream.packets - 1) % 2]);
}

template <int kRounds, bool kOneKey>
uint64_t open_all(const Batch& batch, const Selection& selection) {
  Stream stream;
  prepare_all<kOneKey>(stream, batch, selection);
  const __m128i* keystream = stream.block;
  uint64_t authentic = 0;
  for (uint32_t s = 0; s < stream.packets; s++) {
    const uint32_t i = selection.at<kOneKey>(s);
    const Text text(batch.text[i], batch.text_bytes[i]);
    const __m128i* next = keystream + text.stream_blocks();
    encrypt_until<kRounds, kOneKey>(stream, next, layout(batch.key[i]));
    Ghash ghash = start(batch, i, text);
    if (text.tiles != 0) ghash = crypt_tiles<kRounds, false>(ghash, batch.nonce[i], text);
    const __m128i hash = hash_tail(ghash, text, batch.aad_bytes[i]);
    authentic |= icv_holds(batch, i, _mm_xor_si128(hash, keystream[0]));
    crypt_tail(text, keystream + 1);
    keystream = next;
  }
  return authentic;
}

template <bool kSeal>
uint64_t run_all(const Batch& batch) {
  return run_by_rounds(
      batch, [](const uint8_t* table) { return layout(table).rounds; },
      [&](auto rounds, auto one_key, const Selection& selection) -> uint64_t {
        if constexpr (!kSeal) return open_all<rounds, one_key>(batch, selection);
        seal_all<rounds, one_key>(batch, selection);
        return 0;
      });
}

void seal(const Batch& batch) { run_all<true>(batch); }

uint64_t open(const Batch& batch) { return run_all<false>(batch); }

// --- keys ----------------------------------------------------------------------------------------

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) AesniKey;
  k.rounds = static_cast<uint32_t>(keys.encryption.size() / 4 + 6);
  expand_round_keys(k.round, keys.encryption);
  fill_powers(k.power, kPowers, encrypt_zero_block(k.round, k.rounds));
}

}  // namespace
}  // namespace esplane::crypto
