// AES-GCM (NIST SP 800-38D) with VAES and VPCLMULQDQ on 256-bit registers: two blocks in each.
//
// A packet is seen as blocks that begin one before its text: block 0 is J0 for AES and the AAD for
// GHASH, blocks 1 to n are the text, block n + 1 is the length block of GHASH. Two blocks are a
// vector, one register; eight vectors are a tile. A packet is its first vector, then whole tiles,
// then a tail of less than a tile.
//
//   1. prepare: the counters of every packet's first vector and tail are laid end to end in one
//      array, the stream, for all packets of the batch.
//   2. encrypt_tile: eight of them at a time, whichever packets they are of, become keystream in
//      place, some tiles ahead of the packet that needs them. So AES is never short of work.
//   3. crypt_packet: first vector and tail take their keystream from the stream; whole tiles are
//      encrypted straight from the text, with the GHASH of a tile between the AES rounds (of the
//      tile before when sealing).
//   4. finish_two: the GHASHes of two packets are reduced in the two lanes of one register.
//
// GHASH multiplies up to 34 blocks by their powers of H before one reduction.
// Left out: nonces that are not 96 bits long (RFC 4106 §4 has none).
#include "crypto/vaes256.h"

#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/blocks.h"
#include "crypto/clmul256.h"
#include "crypto/icv.h"
#include "crypto/key_groups.h"
#include "crypto/key_schedule.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kVectorBytes = 32;
constexpr uint32_t kTileVectors = 8;
constexpr uint32_t kTileBlocks = 2 * kTileVectors;
constexpr uint32_t kTileBytes = kVectorBytes * kTileVectors;
/// Whole tiles that are hashed before one reduction.
constexpr uint32_t kSegmentTiles = 2;
/// With the packet's first vector.
constexpr uint32_t kPowers = 2 + kSegmentTiles * kTileBlocks;

struct Vaes256Key {
  WidePowers<kPowers> power;
  uint32_t rounds;  ///< in front: so the first eleven round keys and it are three cache lines
  __m128i round[15];

  const __m128i* power_for(uint32_t blocks) const { return power.value + kPowers - blocks; }
};

const Vaes256Key& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const Vaes256Key*>(table));
}

// --- texts ---------------------------------------------------------------------------------------

/// A text and how it is cut: a block for the first vector, tiles, and the tail.
struct Text {
  uint8_t* data;
  uint32_t bytes;
  uint32_t tiles;
  uint32_t tail_bytes;

  /// At least a block, and no tiles.
  static ESPLANE_INLINE bool is_short(uint32_t bytes) { return bytes - 16 < kTileBytes; }

  /// @param known_short  saves computing
  ESPLANE_INLINE Text(uint8_t* p, uint32_t n, bool known_short = false) : data(p), bytes(n) {
    const uint32_t rest = n > 16 || known_short ? n - 16 : 0;
    tiles = known_short ? 0 : rest / kTileBytes;
    tail_bytes = rest - tiles * kTileBytes;
  }

  uint8_t* tile(uint32_t t) const { return data + 16 + t * kTileBytes; }
  /// Vectors of its first block and its tail, with J0.
  uint32_t stream_vectors() const {
    return 1 + (tail_bytes + kVectorBytes - 1) / kVectorBytes;
  }
  /// AAD block, text and length block.
  uint32_t hash_blocks() const { return (bytes + 15) / 16 + 2; }
};

// --- counters ------------------------------------------------------------------------------------

/// Blocks that are zero but for the last byte, which counts up.
struct CounterTable {
  uint8_t block[2 * (1 + kTileVectors) + 1][16] = {};

  constexpr CounterTable() {
    for (uint8_t n = 0; n < sizeof block / sizeof block[0]; n++) block[n][15] = n;
  }
};
alignas(32) constexpr CounterTable kCounters;

/// Makes counter blocks that already have the first round key added (AddRoundKey). The low four
/// bits of the counter are added last: seen as bits of a counter that is a multiple of sixteen,
/// they need no carry, so that each vector costs one operation.
struct Counters {
  __m256i nonce;  ///< nonce | 0 with the round key, in both lanes
  uint32_t last_word;

  ESPLANE_INLINE Counters(const uint8_t* nonce_bytes, const Vaes256Key& key) {
    int64_t first;
    int32_t second;
    std::memcpy(&first, nonce_bytes, sizeof first);
    std::memcpy(&second, nonce_bytes + 8, sizeof second);
    const __m256i v =
        _mm256_blend_epi32(_mm256_set1_epi64x(first), _mm256_set1_epi32(second), 0x44);
    nonce = _mm256_xor_si256(_mm256_blend_epi32(v, _mm256_setzero_si256(), 0x88),
                             broadcast(key.round[0]));
    last_word = static_cast<uint32_t>(_mm_extract_epi32(key.round[0], 3));
  }

  ESPLANE_INLINE __m256i multiple_of_16(uint32_t counter) const {
    const uint32_t word = last_word ^ __builtin_bswap32(counter);
    return _mm256_blend_epi32(nonce, _mm256_set1_epi32(static_cast<int>(word)), 0x88);
  }

  /// The counters n and n + 1 behind a multiple of 16; behind 0, up to the table's end.
  static ESPLANE_INLINE __m256i plus(__m256i base, uint32_t n) {
    return _mm256_xor_si256(base, load_two(kCounters.block[n]));
  }

  /// J0 and the text's first block.
  ESPLANE_INLINE __m256i first_vector() const { return plus(nonce, 1); }

  /// Tile t of a text: the counters from 16 t + 3 on.
  ESPLANE_INLINE void fill_tile(__m256i* x, uint32_t t) const {
    const __m256i low = multiple_of_16(t * kTileBlocks);
    const __m256i high = multiple_of_16((t + 1) * kTileBlocks);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < 6; v++) x[v] = plus(low, 3 + 2 * v);
    x[6] = _mm256_xor_si256(_mm256_blend_epi32(low, high, 0xf0),
                            _mm256_set_epi32(0, 0, 0, 0, 15 << 24, 0, 0, 0));
    x[7] = plus(high, 1);
  }
};

// --- the stream ----------------------------------------------------------------------------------

/// Keystream of the packets' first vectors and tails; counters until its tile was encrypted.
///
/// No counter is left behind, which with a 128-bit key would give the key away: all are encrypted
/// but some that fill_tile wrote behind the end, and those are overwritten.
struct Stream {
  static constexpr uint32_t kMaxVectors = 1 + kTileVectors;  ///< of a packet
  /// Where the batch mixes keys, this many vectors in a row have the same: a packet's are filled up
  /// with some that nobody uses.
  static constexpr uint32_t kKeyVectors = kTileVectors / 2;
  /// Vectors to have ready from a packet's first one on.
  static constexpr uint32_t kLookahead = 3 * kTileVectors;
  static constexpr uint32_t kCapacity =
      Batch::kCapacity * (kMaxVectors + kKeyVectors - 1) + kTileVectors;

  __m256i vector[kCapacity];
  const Vaes256Key* key[kCapacity / kKeyVectors];  ///< only where the batch mixes keys
  uint32_t begin[Batch::kCapacity];   ///< of each packet
  uint32_t size = 0;                  ///< vectors
  uint32_t encrypted = 0;
};

/// Step 1 for one packet.
template <bool kOneKey>
ESPLANE_INLINE void prepare(Stream& stream, const Batch& batch, uint32_t i) {
  const Vaes256Key& key = layout(batch.key[i]);
  const Counters counters(batch.nonce[i], key);
  const Text text(batch.text[i], batch.text_bytes[i]);
  uint32_t vectors = text.stream_vectors();
  __m256i* out = stream.vector + stream.size;
  if (text.tiles != 0) {
    out[0] = counters.first_vector();
    counters.fill_tile(out + 1, text.tiles);
  } else {
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; v++) out[v] = Counters::plus(counters.nonce, 1 + 2 * v);
    if (vectors > 4) {
#pragma GCC unroll 5
      for (uint32_t v = 4; v < 9; v++) out[v] = Counters::plus(counters.nonce, 1 + 2 * v);
    }
  }
  if (!kOneKey) {
    constexpr uint32_t kEach = Stream::kKeyVectors;
    static_assert(Stream::kMaxVectors <= 3 * kEach);
    vectors = (vectors + kEach - 1) / kEach * kEach;
    const Vaes256Key** of = stream.key + stream.size / kEach;
    of[0] = of[1] = of[2] = &key;  // what is too much is overwritten
  }
  stream.size += vectors;
}

template <bool kOneKey>
void prepare_all(Stream& stream, const Batch& batch, const Selection& selection) {
  for (uint32_t s = 0; s < selection.size; s++) {
    stream.begin[s] = stream.size;
    prepare<kOneKey>(stream, batch, selection.at<kOneKey>(s));
  }
  // The last tile is filled up with vectors that nobody uses.
  std::fill_n(stream.vector + stream.size, kTileVectors, _mm256_setzero_si256());
  if (!kOneKey) {
    const Vaes256Key** end = stream.key + stream.size / Stream::kKeyVectors;
    *end = end[-1];
  }
  stream.size = (stream.size + kTileVectors - 1) / kTileVectors * kTileVectors;
}

/// Step 2: the stream's next tile becomes keystream.
template <int kRounds, bool kOneKey>
ESPLANE_INLINE void encrypt_tile(Stream& stream, const Vaes256Key& one_key) {
  __m256i* vector = stream.vector + stream.encrypted;
  const Vaes256Key* const* key = stream.key + stream.encrypted / Stream::kKeyVectors;
  const Vaes256Key& low = kOneKey ? one_key : *key[0];
  const Vaes256Key& high = kOneKey ? one_key : *key[1];
  const auto round_key = [&](int r, uint32_t v) {
    return broadcast(v < Stream::kKeyVectors ? low.round[r] : high.round[r]);
  };
  __m256i x[kTileVectors];
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kTileVectors; v++) x[v] = vector[v];
#pragma GCC unroll 16
  for (int r = 1; r < kRounds; r++) {
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kTileVectors; v++) x[v] = _mm256_aesenc_epi128(x[v], round_key(r, v));
  }
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kTileVectors; v++) {
    vector[v] = _mm256_aesenclast_epi128(x[v], round_key(kRounds, v));
  }
  stream.encrypted += kTileVectors;
}

template <int kRounds, bool kOneKey>
ESPLANE_INLINE void encrypt_ahead(Stream& stream, uint32_t vector, const Vaes256Key& one_key) {
  const uint32_t end = std::min(vector + Stream::kLookahead, stream.size);
  while (stream.encrypted < end) encrypt_tile<kRounds, kOneKey>(stream, one_key);
}

// --- GHASH of a packet ---------------------------------------------------------------------------

/// Walks through the powers of H. The blocks of a packet are cut into segments of at most kPowers
/// blocks; each ends with one reduction, whose result is added to the next block.
struct Ghash {
  const Vaes256Key& key;
  const __m128i* power;
  uint32_t blocks_left;  ///< behind this segment
  __m256i carry = _mm256_setzero_si256();  ///< the last segment's result, in the low lane
  WideSum sum;

  ESPLANE_INLINE Ghash(const Vaes256Key& k, const Text& text) : key(k) {
    const uint32_t blocks = text.hash_blocks();
    begin_segment(blocks, 2 + kTileBlocks * std::min(text.tiles, kSegmentTiles));
  }

  /// @param blocks      to come
  /// @param whole_tiles as many of them as go into this segment if not all of them do
  ESPLANE_INLINE void begin_segment(uint32_t blocks, uint32_t whole_tiles) {
    const uint32_t segment = blocks <= kPowers ? blocks : whole_tiles;
    power = key.power_for(segment);
    blocks_left = blocks - segment;
  }

  ESPLANE_INLINE void add(__m256i v) {
    sum.add(take_carry(v), power, power + kPowers);
    power += 2;
  }

  ESPLANE_INLINE void add(__m256i a, __m256i b) {
    sum.add(take_carry(a), b, power, power + kPowers);
    power += 4;
  }

  /// The length block, if it is alone in its vector: in the high lane, so that it meets H^1.
  ESPLANE_INLINE void add_lengths(__m128i lengths) {
    const __m128i v = _mm_xor_si128(lengths, low_block(carry));
    sum.add(two_blocks(_mm_setzero_si128(), v), key.power_for(2), key.power_for(2) + kPowers);
  }

  /// Two vectors of a tile. Best begun with pair 1: pair 0 has to wait for the carry.
  ESPLANE_INLINE void add_pair(const uint8_t* tile, uint32_t pair) {
    const uint8_t* p = tile + pair * 2 * kVectorBytes;
    __m256i a = reverse_block_bytes(load_two(p));
    if (pair == 0) a = _mm256_xor_si256(a, carry);
    sum.add(a, reverse_block_bytes(load_two(p + kVectorBytes)), power + 4 * pair,
            power + 4 * pair + kPowers);
  }

  ESPLANE_INLINE void end_tile() {
    power += kTileBlocks;
    carry = _mm256_setzero_si256();
    if (power != key.power_for(0)) return;
    carry = _mm256_zextsi128_si256(reduce(sum));
    sum = WideSum{};
    begin_segment(blocks_left, kTileBlocks * kSegmentTiles);
  }

 private:
  ESPLANE_INLINE __m256i take_carry(__m256i v) {
    v = _mm256_xor_si256(v, carry);
    carry = _mm256_setzero_si256();
    return v;
  }
};

/// Hashes all blocks of an AAD but the last one and adds the last one, unmultiplied.
__attribute__((noinline)) __m128i hash_long_aad(const Vaes256Key& key, const uint8_t* aad,
                                                uint32_t bytes) {
  __m256i carry = _mm256_setzero_si256();
  while (bytes > 16) {
    uint32_t left = std::min((bytes - 1) / 16, kPowers);
    bytes -= 16 * left;
    const __m128i* power = key.power_for(left);
    WideSum sum;
    const auto next = [&] {
      const __m256i v = _mm256_xor_si256(reverse_block_bytes(load_two(aad)), carry);
      carry = _mm256_setzero_si256();
      aad += kVectorBytes;
      return v;
    };
    for (; left >= 4; left -= 4, power += 4) {
      const __m256i a = next();
      sum.add(a, next(), power, power + kPowers);
    }
    if (left >= 2) sum.add(next(), power, power + kPowers);
    if (left % 2 != 0) {  // The last block's power is in the high lane.
      const __m128i v = _mm_xor_si128(reverse_bytes(load(aad)), low_block(carry));
      sum.add(two_blocks(_mm_setzero_si128(), v), key.power_for(2), key.power_for(2) + kPowers);
      aad += 16;
    }
    carry = _mm256_zextsi128_si256(reduce(sum));
  }
  return _mm_xor_si128(low_block(carry), reverse_bytes(load_aad_block(aad, bytes)));
}

// --- packets -------------------------------------------------------------------------------------

/// Encrypts or decrypts; returns what GHASH sees of the ciphertext.
template <bool kSeal>
ESPLANE_INLINE __m256i crypt_vector(uint8_t* p, __m256i keystream) {
  const __m256i in = load_two(p), out = _mm256_xor_si256(in, keystream);
  store_two(p, out);
  return reverse_block_bytes(kSeal ? out : in);
}

template <bool kSeal>
ESPLANE_INLINE __m128i crypt_block(uint8_t* p, __m128i keystream) {
  const __m128i in = load(p), out = _mm_xor_si128(in, keystream);
  store(p, out);
  return reverse_bytes(kSeal ? out : in);
}

/// @param in  the n < 16 bytes at p, zeros behind
template <bool kSeal>
ESPLANE_INLINE __m128i crypt_partial(uint8_t* p, uint32_t n, __m128i in, __m128i keystream) {
  const __m128i out = _mm_xor_si128(in, keystream);
  store_partial(p, out, n);
  return reverse_bytes(kSeal ? first_bytes(out, n) : in);
}

/// A tile of the text; between the rounds, the tile at `hashed` goes into GHASH.
template <int kRounds, bool kHash>
ESPLANE_INLINE void crypt_tile(const Counters& counters, uint32_t t, uint8_t* tile,
                               const uint8_t* hashed, Ghash& ghash) {
  __m256i x[kTileVectors];
  counters.fill_tile(x, t);
#pragma GCC unroll 16
  for (int r = 1; r < kRounds; r++) {
    const __m256i k = broadcast(ghash.key.round[r]);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kTileVectors; v++) x[v] = _mm256_aesenc_epi128(x[v], k);
    if (kHash && r % 2 == 0 && r <= 8) ghash.add_pair(hashed, r / 2 % 4);
  }
  const __m256i k = broadcast(ghash.key.round[kRounds]);
#pragma GCC unroll 8
  for (uint32_t v = 0; v < kTileVectors; v++) {
    uint8_t* p = tile + v * kVectorBytes;
    store_two(p, _mm256_aesenclast_epi128(x[v], _mm256_xor_si256(k, load_two(p))));
  }
}

/// The whole tiles of a text that has some.
template <int kRounds, bool kSeal>
ESPLANE_INLINE void crypt_tiles(const Text& text, const uint8_t* nonce, Ghash& ghash) {
  const Counters counters(nonce, ghash.key);
  uint32_t t = 0;
  if (kSeal) crypt_tile<kRounds, false>(counters, t++, text.tile(0), nullptr, ghash);
  for (; t < text.tiles; t++) {
    const uint8_t* hashed = text.tile(kSeal ? t - 1 : t);
    crypt_tile<kRounds, true>(counters, t, text.tile(t), hashed, ghash);
    ghash.end_tile();
  }
  if (!kSeal) return;
#pragma GCC unroll 4
  for (uint32_t pair = 1; pair <= 4; pair++) ghash.add_pair(text.tile(t - 1), pair % 4);
  ghash.end_tile();
}

/// What is left of a text of 16 bytes or more, and the length block.
/// @param last  the text's last bytes % 16 bytes as they were before anything was overwritten
template <bool kSeal>
ESPLANE_INLINE void crypt_tail(const Text& text, const __m256i* keystream, __m128i last,
                               __m128i lengths, Ghash& ghash) {
  uint8_t* p = text.tile(text.tiles);
  uint32_t left = text.tail_bytes;
  for (; left >= 64; left -= 64, p += 64, keystream += 2) {
    const __m256i a = crypt_vector<kSeal>(p, keystream[0]);
    ghash.add(a, crypt_vector<kSeal>(p + kVectorBytes, keystream[1]));
  }
  if (left >= 32) {
    ghash.add(crypt_vector<kSeal>(p, *keystream++));
    left -= 32, p += 32;
  }
  if (left == 0) return ghash.add_lengths(lengths);
  const auto* block = reinterpret_cast<const __m128i*>(keystream);
  if (left < 16) {
    const __m128i v = crypt_partial<kSeal>(p, left, last, block[0]);
    return ghash.add(two_blocks(v, lengths));
  }
  const __m128i v = crypt_block<kSeal>(p, block[0]);
  if (left == 16) return ghash.add(two_blocks(v, lengths));
  ghash.add(two_blocks(v, crypt_partial<kSeal>(p + 16, left - 16, last, block[1])));
  ghash.add_lengths(lengths);
}

/// A text of less than a block.
template <bool kSeal>
ESPLANE_INLINE void crypt_less_than_block(const Text& text, __m128i aad, __m128i keystream,
                                          __m128i lengths, Ghash& ghash) {
  if (text.bytes == 0) return ghash.add(two_blocks(aad, lengths));
  const __m128i in = load_partial(text.data, text.bytes);
  ghash.add(two_blocks(aad, crypt_partial<kSeal>(text.data, text.bytes, in, keystream)));
  ghash.add_lengths(lengths);
}

/// Step 3 for one packet.
/// @return the sum that its GHASH is before the reduction
template <int kRounds, bool kSeal, bool kShort>
ESPLANE_INLINE WideSum crypt(const Batch& batch, uint32_t i, const __m256i* keystream) {
  const Vaes256Key& key = layout(batch.key[i]);
  const Text text(batch.text[i], batch.text_bytes[i], kShort);
  const uint32_t aad_bytes = batch.aad_bytes[i];
  const __m128i lengths = length_block(aad_bytes, text.bytes);
  const __m128i aad = kShort || aad_bytes <= 16
                          ? reverse_bytes(load_aad_block(batch.aad[i], aad_bytes))
                          : hash_long_aad(key, batch.aad[i], aad_bytes);
  const __m128i first = high_block(*keystream);
  Ghash ghash(key, text);
  if (!kShort && text.bytes < 16) {
    crypt_less_than_block<kSeal>(text, aad, first, lengths, ghash);
    return ghash.sum;
  }
  const uint32_t partial = text.bytes % 16;
  const __m128i last =
      partial != 0 ? load_last(text.data + text.bytes, partial) : _mm_setzero_si128();
  ghash.add(two_blocks(aad, crypt_block<kSeal>(text.data, first)));
  if (!kShort && text.tiles != 0) crypt_tiles<kRounds, kSeal>(text, batch.nonce[i], ghash);
  crypt_tail<kSeal>(text, keystream + 1, last, lengths, ghash);
  return ghash.sum;
}

template <int kRounds, bool kSeal>
__attribute__((noinline)) WideSum crypt_any(const Batch& batch, uint32_t i,
                                            const __m256i* keystream) {
  return crypt<kRounds, kSeal, false>(batch, i, keystream);
}

template <int kRounds, bool kSeal>
ESPLANE_INLINE WideSum crypt_packet(const Batch& batch, uint32_t i, const __m256i* keystream) {
  const bool is_short =
      Text::is_short(batch.text_bytes[i]) && batch.aad_bytes[i] <= 16;
  if (is_short) [[likely]] return crypt<kRounds, kSeal, true>(batch, i, keystream);
  return crypt_any<kRounds, kSeal>(batch, i, keystream);
}

// --- batches -------------------------------------------------------------------------------------

/// Step 4: writes or compares the ICVs of packets i and j.
/// @param j0  E(K, J0) of both
template <bool kSeal>
ESPLANE_INLINE uint64_t finish_two(const Batch& batch, uint32_t i, uint32_t j, const WideSum& a,
                                   const WideSum& b, __m256i j0) {
  const __m256i tags = _mm256_xor_si256(reverse_block_bytes(reduce_two(a, b)), j0);
  if (!kSeal) return icv_holds(batch, i, low_block(tags)) | icv_holds(batch, j, high_block(tags));
  write_icv(batch, i, low_block(tags));
  write_icv(batch, j, high_block(tags));
  return 0;
}

/// Two packets at a time. Where one is left over it is taken for both.
template <int kRounds, bool kSeal, bool kOneKey>
uint64_t run(const Batch& batch, const Selection& selection) {
  Stream stream;
  prepare_all<kOneKey>(stream, batch, selection);
  const Vaes256Key& one_key = layout(batch.key[0]);
  const uint32_t size = selection.size;
  uint64_t authentic = 0;
  for (uint32_t s = 0; s < size; s += 2) {
    const uint32_t t = s + 1 < size ? s + 1 : s;
    const uint32_t i = selection.at<kOneKey>(s), j = selection.at<kOneKey>(t);
    const __m256i* a = stream.vector + stream.begin[s];
    const __m256i* b = stream.vector + stream.begin[t];
    encrypt_ahead<kRounds, kOneKey>(stream, stream.begin[t], one_key);
    const WideSum sum = crypt_packet<kRounds, kSeal>(batch, i, a);
    const WideSum other = s == t ? sum : crypt_packet<kRounds, kSeal>(batch, j, b);
    const __m256i j0 = _mm256_permute2x128_si256(*a, *b, 0x20);
    authentic |= finish_two<kSeal>(batch, i, j, sum, other, j0);
  }
  return authentic;
}

template <bool kSeal>
uint64_t run_all(const Batch& batch) {
  return run_by_rounds(
      batch, [](const uint8_t* table) { return layout(table).rounds; },
      [&](auto rounds, auto one_key, const Selection& selection) {
        return run<rounds, kSeal, one_key>(batch, selection);
      });
}

void seal(const Batch& batch) { run_all<true>(batch); }

uint64_t open(const Batch& batch) { return run_all<false>(batch); }

// --- keys ----------------------------------------------------------------------------------------

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) Vaes256Key;
  k.rounds = static_cast<uint32_t>(keys.encryption.size() / 4 + 6);
  expand_round_keys(k.round, keys.encryption);
  k.power.fill(encrypt_zero_block(k.round, k.rounds));
}

/// With the AAD's block and the length block.
void prefetch(const uint8_t* table, uint32_t text_bytes) {
  const Vaes256Key& k = layout(table);
  const uint32_t blocks = std::min(text_bytes / 16 + 3, kPowers);
  prefetch_range(&k.rounds, sizeof(__m128i) + sizeof k.round);
  prefetch_range(k.power.value + kPowers - blocks, blocks * sizeof(__m128i));
  prefetch_range(k.power.folded + kPowers - blocks, blocks * sizeof(__m128i));
}

}  // namespace

const Engine kVaes256Engine = {"vaes256", sizeof(Vaes256Key), expand, seal,
                               open,      nullptr,            nullptr, prefetch};

}  // namespace esplane::crypto
