// AES-GCM (NIST SP 800-38D) with VAES and VPCLMULQDQ: four blocks in each register.
//
// A packet is seen as blocks that begin one before its text: block 0 is J0 for AES and the AAD for
// GHASH, blocks 1 to n are the text, block n + 1 is the length block of GHASH. Four blocks are a
// unit, one register; four units are a tile. So J0 costs no register of its own, and a text of up
// to 48 bytes takes one unit for everything. Borders are masks: what a mask leaves out is neither
// read nor written.
//
// Whole tiles are encrypted with the GHASH of a tile between the AES rounds (of the tile before
// when sealing); what is left, up to four units, follows. No packet waits for another: the CPU
// overlaps the end of one with the beginning of the next.
//
// GHASH multiplies up to 60 blocks by their powers of H before one reduction.
// Left out: nonces that are not 96 bits long (RFC 4106 §4 has none).
#include "crypto/vaes512.h"

// GCC 12 takes the intentionally undefined registers of its own AVX-512 header for mistakes
// (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>

#include <algorithm>
#include <new>

#include "base/bytes.h"
#include "crypto/clmul.h"
#include "crypto/icv.h"
#include "crypto/key_schedule.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kUnitBytes = 64;
constexpr uint32_t kTileUnits = 4;
constexpr uint32_t kTileBlocks = 4 * kTileUnits;
constexpr uint32_t kTileBytes = kUnitBytes * kTileUnits;
constexpr uint32_t kPowers = 60;
/// Whole tiles that go into a segment of which the end of the text is not part.
constexpr uint32_t kSegmentBlocks = kPowers / kTileBlocks * kTileBlocks;

struct Vaes512Key {
  uint32_t rounds;
  __m128i round[15];
  __m128i power[kPowers];  ///< H^60 ... H^1, each times x
  __m128i slack[3];        ///< read with the last power; meets zeros only

  const __m128i* power_for(uint32_t blocks) const { return power + kPowers - blocks; }
  const __m128i* end() const { return power + kPowers; }
};

const Vaes512Key& layout(const uint8_t* table) {
  return *std::launder(reinterpret_cast<const Vaes512Key*>(table));
}

ESPLANE_INLINE __m512i broadcast(__m128i v) { return _mm512_broadcast_i32x4(v); }

ESPLANE_INLINE __m512i reverse_block_bytes(__m512i v) {
  return _mm512_shuffle_epi8(
      v, broadcast(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

ESPLANE_INLINE __m512i xor_three(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

/// The lowest n bytes of a unit; 1 <= n.
ESPLANE_INLINE __mmask64 first_bytes(uint32_t n) {
  return n >= kUnitBytes ? ~uint64_t{0} : ~(~uint64_t{0} << n);
}

/// Reads n <= 16 bytes and nothing beyond them. The lengths of ESP's header (RFC 4106 §5) and of
/// a nonce need no mask.
ESPLANE_INLINE __m128i load_bytes(const uint8_t* p, uint32_t n) {
  if (n == 8) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  if (n == 12) {
    int32_t last;
    std::memcpy(&last, p + 8, sizeof last);
    return _mm_insert_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), last, 2);
  }
  return _mm_maskz_loadu_epi8(static_cast<__mmask16>((1u << n) - 1), p);
}

// --- GHASH ---------------------------------------------------------------------------------------

/// An unreduced sum of products, lane by lane.
struct WideSum {
  __m512i low, middle, high;
};

ESPLANE_INLINE void add_products(WideSum& sum, __m512i x, const __m128i* power) {
  const __m512i h = _mm512_loadu_si512(power);
  sum.low = _mm512_xor_si512(sum.low, _mm512_clmulepi64_epi128(x, h, 0x00));
  sum.high = _mm512_xor_si512(sum.high, _mm512_clmulepi64_epi128(x, h, 0x11));
  sum.middle = xor_three(sum.middle, _mm512_clmulepi64_epi128(x, h, 0x01),
                         _mm512_clmulepi64_epi128(x, h, 0x10));
}

ESPLANE_INLINE WideSum product(__m128i x, __m128i h) {
  const __m128i middle =
      _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01), _mm_clmulepi64_si128(x, h, 0x10));
  return {_mm512_zextsi128_si512(_mm_clmulepi64_si128(x, h, 0x00)), _mm512_zextsi128_si512(middle),
          _mm512_zextsi128_si512(_mm_clmulepi64_si128(x, h, 0x11))};
}

ESPLANE_INLINE __m128i sum_of_lanes(__m512i v) {
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/// The sum of all lanes modulo the GCM polynomial.
ESPLANE_INLINE __m128i reduce(const WideSum& sum) {
  const __m128i low = sum_of_lanes(_mm512_xor_si512(sum.low, _mm512_bslli_epi128(sum.middle, 8)));
  const __m128i high = sum_of_lanes(_mm512_xor_si512(sum.high, _mm512_bsrli_epi128(sum.middle, 8)));
  return reduce_halves(low, high);
}

/// Walks through the powers of H. The blocks of a packet are cut into segments of at most kPowers
/// blocks; each ends with one reduction, whose result counts as if added to the next block.
struct Ghash {
  const Vaes512Key& key;
  const __m128i* power;
  uint32_t blocks_left;  ///< behind this segment
  WideSum sum{};

  /// @param blocks  AAD block, text and length block
  ESPLANE_INLINE Ghash(const Vaes512Key& k, uint32_t blocks) : key(k), blocks_left(blocks) {
    begin_segment();
  }

  ESPLANE_INLINE void begin_segment() {
    const uint32_t segment = blocks_left <= kPowers ? blocks_left : kSegmentBlocks;
    power = key.power_for(segment);
    blocks_left -= segment;
  }

  ESPLANE_INLINE void add(__m512i unit) {
    add_products(sum, unit, power);
    power += 4;
  }

  ESPLANE_INLINE void end_tile() {
    if (power != key.end()) return;
    const __m128i y = reduce(sum);
    begin_segment();
    sum = product(y, *power);
  }
};

/// Hashes all blocks of an AAD but the last one and adds the last one, unmultiplied.
__attribute__((noinline)) __m128i hash_long_aad(const Vaes512Key& key, const uint8_t* aad,
                                                uint32_t bytes) {
  __m128i y = _mm_setzero_si128();
  while (bytes > 16) {
    uint32_t left = std::min((bytes - 1) / 16, kPowers) * 16;
    bytes -= left;
    const __m128i* power = key.power_for(left / 16);
    WideSum sum = product(y, *power);
    for (; left > 0; power += 4) {
      const uint32_t n = std::min(left, kUnitBytes);
      add_products(sum, reverse_block_bytes(_mm512_maskz_loadu_epi8(first_bytes(n), aad)), power);
      aad += n;
      left -= n;
    }
    y = reduce(sum);
  }
  return _mm_xor_si128(y, reverse_bytes(load_bytes(aad, bytes)));
}

// --- AES -----------------------------------------------------------------------------------------

/// Makes counter blocks that already have the first round key added (AddRoundKey). The low four
/// bits of the counter are added last, as bits of a counter that is a multiple of sixteen.
struct Counters {
  __m512i nonce;  ///< nonce | 0 with the round key in each lane
  uint32_t last_word;

  ESPLANE_INLINE Counters(const uint8_t* nonce_bytes, const Vaes512Key& key) {
    const __m128i v = _mm_xor_si128(load_bytes(nonce_bytes, 12), key.round[0]);
    nonce = broadcast(v);
    last_word = static_cast<uint32_t>(_mm_extract_epi32(v, 3));
  }

  /// Puts a counter that is a multiple of sixteen into the words that the mask selects.
  ESPLANE_INLINE __m512i with(__m512i v, __mmask16 words, uint32_t counter) const {
    const uint32_t word = last_word ^ __builtin_bswap32(counter);
    return _mm512_mask_set1_epi32(v, words, static_cast<int>(word));
  }

  /// Tile t: the counters from 16 t + 1 on. The last one has the next multiple of sixteen.
  template <uint32_t kUnits>
  ESPLANE_INLINE void fill(__m512i* x, uint32_t t) const {
    const __m512i base = with(nonce, 0x8888, t * kTileBlocks);
    for (uint32_t u = 0; u < kUnits; u++) {
      const bool last = u == kTileUnits - 1;
      const int n = static_cast<int>(4 * u + 1);
      const __m512i low = _mm512_set_epi32((n + 3) % 16 << 24, 0, 0, 0, (n + 2) << 24, 0, 0, 0,
                                           (n + 1) << 24, 0, 0, 0, n << 24, 0, 0, 0);
      x[u] = _mm512_xor_si512(last ? with(base, 0x8000, (t + 1) * kTileBlocks) : base, low);
    }
  }
};

/// The rounds after the first AddRoundKey; `between(r)` is called after each but the last.
template <int kRounds, uint32_t kUnits, typename Between>
ESPLANE_INLINE void encrypt(const Vaes512Key& key, __m512i* x, Between between) {
#pragma GCC unroll 16
  for (int r = 1; r < kRounds; r++) {
    const __m512i k = broadcast(key.round[r]);
    for (uint32_t u = 0; u < kUnits; u++) x[u] = _mm512_aesenc_epi128(x[u], k);
    between(r);
  }
  const __m512i k = broadcast(key.round[kRounds]);
  for (uint32_t u = 0; u < kUnits; u++) x[u] = _mm512_aesenclast_epi128(x[u], k);
}

// --- packets -------------------------------------------------------------------------------------

/// A packet on its way through the kernel.
template <int kRounds, bool kSeal>
struct Operation {
  const Vaes512Key& key;
  Counters counters;
  Ghash ghash;
  uintptr_t position;  ///< of the next unit in the text; first 16 bytes before it, never touched
  __m512i aad;         ///< GHASH's block 0 in lane 0
  __m128i j0;          ///< E(K, J0)
  __m512i pending[kTileUnits];  ///< sealing: the tile before, to be hashed

  ESPLANE_INLINE Operation(const Batch& batch, uint32_t i)
      : key(layout(batch.key[i])),
        counters(batch.nonce[i], key),
        ghash(key, (batch.text_bytes[i] + 15) / 16 + 2),
        position(reinterpret_cast<uintptr_t>(batch.text[i]) - 16) {
    const uint32_t bytes = batch.aad_bytes[i];
    aad = _mm512_zextsi128_si512(bytes <= 16 ? reverse_bytes(load_bytes(batch.aad[i], bytes))
                                             : hash_long_aad(key, batch.aad[i], bytes));
  }

  ESPLANE_INLINE uint8_t* unit(uint32_t u) const {
    return reinterpret_cast<uint8_t*>(position + u * kUnitBytes);
  }

  /// What GHASH sees of a unit's ciphertext; of the packet's first unit, lane 0 is the AAD.
  template <bool kFirst>
  ESPLANE_INLINE __m512i hashed(__m512i ciphertext) const {
    const __m512i v = reverse_block_bytes(ciphertext);
    return kFirst ? _mm512_mask_mov_epi64(v, 0x03, aad) : v;
  }

  template <bool kFirst>
  ESPLANE_INLINE void tile(uint32_t t) {
    constexpr __mmask64 kText = kFirst ? ~uint64_t{0xffff} : ~uint64_t{0};
    __m512i x[kTileUnits], in[kTileUnits];
    counters.fill<kTileUnits>(x, t);
    in[0] = _mm512_maskz_loadu_epi8(kText, unit(0));
    for (uint32_t u = 1; u < kTileUnits; u++) in[u] = _mm512_loadu_si512(unit(u));
    if (!kSeal) {
      pending[0] = hashed<kFirst>(in[0]);
      for (uint32_t u = 1; u < kTileUnits; u++) pending[u] = hashed<false>(in[u]);
    }
    constexpr bool kHash = !kSeal || !kFirst;
    encrypt<kRounds, kTileUnits>(key, x, [&](int r) {
      if (kHash && r % 2 == 0 && r <= 8) ghash.add(pending[r / 2 - 1]);
    });
    if (kFirst) j0 = _mm512_castsi512_si128(x[0]);
    for (uint32_t u = 0; u < kTileUnits; u++) x[u] = _mm512_xor_si512(x[u], in[u]);
    _mm512_mask_storeu_epi8(unit(0), kText, x[0]);
    for (uint32_t u = 1; u < kTileUnits; u++) _mm512_storeu_si512(unit(u), x[u]);
    if (kHash) ghash.end_tile();
    if (kSeal) {
      pending[0] = hashed<kFirst>(_mm512_maskz_mov_epi8(kText, x[0]));
      for (uint32_t u = 1; u < kTileUnits; u++) pending[u] = hashed<false>(x[u]);
    }
    position += kTileBytes;
  }

  /// The last units: `bytes` from `position` on, and the length block.
  template <uint32_t kUnits, bool kFirst>
  ESPLANE_INLINE void tail(uint32_t t, uint32_t bytes, __m512i lengths) {
    __m512i x[kUnits], in[kUnits];
    counters.fill<kUnits>(x, t);
    __mmask64 mask[kUnits];
    for (uint32_t u = 0; u < kUnits; u++) {
      mask[u] = u == kUnits - 1 ? first_bytes(bytes - u * kUnitBytes) : ~uint64_t{0};
      if (kFirst && u == 0) mask[u] &= ~uint64_t{0xffff};
      in[u] = _mm512_maskz_loadu_epi8(mask[u], unit(u));
    }
    encrypt<kRounds, kUnits>(key, x, [](int) {});
    if (kFirst) j0 = _mm512_castsi512_si128(x[0]);
    // The length block's lane, if the last unit has one left.
    const uint32_t lane = (bytes + 15) / 16 % 4;
    const auto lane_mask = static_cast<__mmask8>(lane == 0 ? 0 : 3u << 2 * lane);
    for (uint32_t u = 0; u < kUnits; u++) {
      const __m512i out = _mm512_maskz_mov_epi8(mask[u], _mm512_xor_si512(x[u], in[u]));
      _mm512_mask_storeu_epi8(unit(u), mask[u], out);
      __m512i block = kSeal ? out : in[u];
      block = kFirst && u == 0 ? hashed<true>(block) : hashed<false>(block);
      if (u == kUnits - 1) block = _mm512_mask_mov_epi64(block, lane_mask, lengths);
      ghash.add(block);
    }
    if (lane == 0) add_lengths(lengths);
  }

  ESPLANE_INLINE void add_lengths(__m512i lengths) {
    const WideSum last = product(_mm512_castsi512_si128(lengths), key.power[kPowers - 1]);
    ghash.sum.low = _mm512_xor_si512(ghash.sum.low, last.low);
    ghash.sum.middle = _mm512_xor_si512(ghash.sum.middle, last.middle);
    ghash.sum.high = _mm512_xor_si512(ghash.sum.high, last.high);
  }

  template <bool kFirst>
  ESPLANE_INLINE void tail(uint32_t t, uint32_t bytes, __m512i lengths) {
    switch ((bytes + kUnitBytes - 1) / kUnitBytes) {
      case 1: return tail<1, kFirst>(t, bytes, lengths);
      case 2: return tail<2, kFirst>(t, bytes, lengths);
      case 3: return tail<3, kFirst>(t, bytes, lengths);
      case 4: return tail<4, kFirst>(t, bytes, lengths);
      default: return add_lengths(lengths);
    }
  }

  /// @return the ICV
  ESPLANE_INLINE __m128i run(uint32_t text_bytes, uint32_t aad_bytes) {
    const __m512i lengths =
        broadcast(_mm_set_epi64x(int64_t{aad_bytes} * 8, int64_t{text_bytes} * 8));
    const uint32_t tiles = (text_bytes + 16) / kTileBytes;
    const uint32_t rest = (text_bytes + 16) % kTileBytes;
    if (tiles == 0) {
      tail<true>(0, rest, lengths);
    } else {
      tile<true>(0);
      for (uint32_t t = 1; t < tiles; t++) tile<false>(t);
      if (kSeal) {
        for (const __m512i unit : pending) ghash.add(unit);
        ghash.end_tile();
      }
      tail<false>(tiles, rest, lengths);
    }
    return _mm_xor_si128(reverse_bytes(reduce(ghash.sum)), j0);
  }
};

template <int kRounds>
ESPLANE_INLINE void seal_one(const Batch& batch, uint32_t i) {
  Operation<kRounds, true> operation(batch, i);
  write_icv(batch, i, operation.run(batch.text_bytes[i], batch.aad_bytes[i]));
}

template <int kRounds>
ESPLANE_INLINE uint64_t open_one(const Batch& batch, uint32_t i) {
  Operation<kRounds, false> operation(batch, i);
  return icv_holds(batch, i, operation.run(batch.text_bytes[i], batch.aad_bytes[i]));
}

/// From packet i on: those that have that number of rounds. @return the first that has not
template <int kRounds>
__attribute__((noinline)) uint32_t seal_run(const Batch& batch, uint32_t i) {
  while (i < batch.size && layout(batch.key[i]).rounds == kRounds) seal_one<kRounds>(batch, i++);
  return i;
}

template <int kRounds>
__attribute__((noinline)) uint32_t open_run(const Batch& batch, uint32_t i,
                                            uint64_t& authentic) {
  for (; i < batch.size && layout(batch.key[i]).rounds == kRounds; i++) {
    authentic |= open_one<kRounds>(batch, i);
  }
  return i;
}

void seal(const Batch& batch) {
  for (uint32_t i = 0; i < batch.size;) {
    i = seal_run<10>(batch, i);
    i = seal_run<12>(batch, i);
    i = seal_run<14>(batch, i);
  }
}

uint64_t open(const Batch& batch) {
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size;) {
    i = open_run<10>(batch, i, authentic);
    i = open_run<12>(batch, i, authentic);
    i = open_run<14>(batch, i, authentic);
  }
  return authentic;
}

void expand(uint8_t* table, const Suite&, const Keys& keys) {
  auto& k = *new (table) Vaes512Key;
  k.rounds = static_cast<uint32_t>(keys.encryption.size() / 4 + 6);
  expand_round_keys(k.round, keys.encryption);
  const __m128i h = encrypt_zero_block(k.round, k.rounds);
  const auto power = [&](uint32_t n) -> __m128i& { return k.power[kPowers - n]; };
  power(1) = multiply_by_x(reverse_bytes(h));
  for (uint32_t n = 2; n <= kPowers; n++) {
    power(n) = reduce(product(power(n / 2), power(n - n / 2)));
  }
  std::fill_n(k.slack, 3, _mm_setzero_si128());
}

/// With the AAD's block and the length block.
void prefetch(const uint8_t* table, uint32_t text_bytes) {
  const Vaes512Key& k = layout(table);
  const uint32_t blocks = std::min(text_bytes / 16 + 3, kPowers);
  prefetch_range(&k, offsetof(Vaes512Key, power));
  prefetch_range(k.power_for(blocks), blocks * sizeof(__m128i) + sizeof k.slack);
}

}  // namespace

const Engine kVaes512Engine = {"vaes512", sizeof(Vaes512Key), expand, seal,
                               open,      nullptr,            nullptr, prefetch};

}  // namespace esplane::crypto
