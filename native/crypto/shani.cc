// HMAC (RFC 2104) with SHA-1 and SHA-256 (FIPS 180-4) on the SHA extensions.
//
// A round waits for the one before it, twice as long as the unit is busy with it, so two packets
// take hardly longer than one. Each lane works on a packet of the batch; one that is done takes the
// next, and both go on together for as many blocks as both have at hand.
#include "crypto/shani.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

constexpr uint32_t kLanes = 2;
constexpr uint32_t kBlockBytes = 64;

__m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
void store(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

/// Calls step(0) .. step(count - 1) with the numbers as constants.
template <int... kGroup, typename Step>
[[gnu::always_inline]] inline void unrolled(std::integer_sequence<int, kGroup...>, Step step) {
  (step(std::integral_constant<int, kGroup>{}), ...);
}

// --- SHA-256 ------------------------------------------------------------------------------------

/// §4.2.2.
alignas(16) constexpr uint32_t kK256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

struct Sha256 {
  static constexpr uint32_t kDigestBytes = 32;

  /// As the instructions want it: words A B E F and C D G H, the first of each on the left.
  struct State {
    __m128i abef, cdgh;
  };

  static State start() {
    return {_mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f,
                          static_cast<int>(0x9b05688c)),
            _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab, 0x5be0cd19)};
  }

  static void digest(const State& s, uint8_t out[32]) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
    store(out, _mm_shuffle_epi8(_mm_blend_epi16(feba, dchg, 0xf0), big_endian));
    store(out + 16, _mm_shuffle_epi8(_mm_alignr_epi8(dchg, feba, 8), big_endian));
  }

  /// `count` blocks of each lane, §6.2.2: sixteen times four rounds.
  template <uint32_t kCount>
  static void blocks(State* const (&state)[kCount], const uint8_t* (&data)[kCount],
                     uint32_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[kCount], cdgh[kCount], w[kCount][4];
    for (uint32_t l = 0; l < kCount; l++) {
      abef[l] = state[l]->abef;
      cdgh[l] = state[l]->cdgh;
    }
    for (; count > 0; count--) {
      __m128i abef_before[kCount], cdgh_before[kCount];
      for (uint32_t l = 0; l < kCount; l++) {
        abef_before[l] = abef[l];
        cdgh_before[l] = cdgh[l];
        for (int i = 0; i < 4; i++) {
          w[l][i] = _mm_shuffle_epi8(load(data[l] + 16 * i), big_endian);
        }
        data[l] += kBlockBytes;
      }
      unrolled(std::make_integer_sequence<int, 16>{}, [&](auto group) {
        constexpr int g = group;
        const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(kK256) + g);
#pragma GCC unroll 8
        for (uint32_t l = 0; l < kCount; l++) {
          __m128i* m = w[l];
          const __m128i wk = _mm_add_epi32(m[g & 3], k);
          cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], wk);
          if constexpr (g >= 3 && g < 15) {
            const __m128i w7 = _mm_alignr_epi8(m[g & 3], m[(g - 1) & 3], 4);
            m[(g + 1) & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(m[(g + 1) & 3], w7), m[g & 3]);
          }
          abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(wk, 0x0e));
          if constexpr (g >= 1 && g <= 12) {
            m[(g - 1) & 3] = _mm_sha256msg1_epu32(m[(g - 1) & 3], m[g & 3]);
          }
        }
      });
      for (uint32_t l = 0; l < kCount; l++) {
        abef[l] = _mm_add_epi32(abef[l], abef_before[l]);
        cdgh[l] = _mm_add_epi32(cdgh[l], cdgh_before[l]);
      }
    }
    for (uint32_t l = 0; l < kCount; l++) *state[l] = {abef[l], cdgh[l]};
  }
};

// --- SHA-1 --------------------------------------------------------------------------------------

struct Sha1 {
  static constexpr uint32_t kDigestBytes = 20;

  /// Words A B C D, and E, the first on the left.
  struct State {
    __m128i abcd, e;
  };

  static State start() {
    return {_mm_set_epi32(0x67452301, static_cast<int>(0xefcdab89), static_cast<int>(0x98badcfe),
                          0x10325476),
            _mm_set_epi32(static_cast<int>(0xc3d2e1f0), 0, 0, 0)};
  }

  static void digest(const State& s, uint8_t out[20]) {
    const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    store(out, _mm_shuffle_epi8(s.abcd, reversed));
    base::store_be32(out + 16, static_cast<uint32_t>(_mm_extract_epi32(s.e, 3)));
  }

  /// §6.1.2: twenty times four rounds.
  template <uint32_t kCount>
  static void blocks(State* const (&state)[kCount], const uint8_t* (&data)[kCount],
                     uint32_t count) {
    const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    __m128i abcd[kCount], e[kCount], w[kCount][4];
    for (uint32_t l = 0; l < kCount; l++) {
      abcd[l] = state[l]->abcd;
      e[l] = state[l]->e;
    }
    for (; count > 0; count--) {
      __m128i abcd_before[kCount], e_before[kCount];
      for (uint32_t l = 0; l < kCount; l++) {
        abcd_before[l] = abcd[l];
        e_before[l] = e[l];
        for (int i = 0; i < 4; i++) w[l][i] = _mm_shuffle_epi8(load(data[l] + 16 * i), reversed);
        data[l] += kBlockBytes;
      }
      unrolled(std::make_integer_sequence<int, 20>{}, [&](auto group) {
        constexpr int g = group;
#pragma GCC unroll 8
        for (uint32_t l = 0; l < kCount; l++) {
          __m128i* m = w[l];
          // From the second group on, `e` holds A B C D of four rounds ago.
          const __m128i ew =
              g == 0 ? _mm_add_epi32(e[l], m[0]) : _mm_sha1nexte_epu32(e[l], m[g & 3]);
          if constexpr (g >= 3 && g < 19) {
            m[(g + 1) & 3] = _mm_sha1msg2_epu32(m[(g + 1) & 3], m[g & 3]);
          }
          e[l] = abcd[l];
          abcd[l] = _mm_sha1rnds4_epu32(abcd[l], ew, g / 5);
          if constexpr (g >= 1 && g <= 16) {
            m[(g - 1) & 3] = _mm_sha1msg1_epu32(m[(g - 1) & 3], m[g & 3]);
          }
          if constexpr (g >= 2 && g <= 17) m[(g - 2) & 3] = _mm_xor_si128(m[(g - 2) & 3], m[g & 3]);
        }
      });
      for (uint32_t l = 0; l < kCount; l++) {
        e[l] = _mm_sha1nexte_epu32(e[l], e_before[l]);
        abcd[l] = _mm_add_epi32(abcd[l], abcd_before[l]);
      }
    }
    for (uint32_t l = 0; l < kCount; l++) *state[l] = {abcd[l], e[l]};
  }
};

// --- HMAC ---------------------------------------------------------------------------------------

template <typename Hash>
struct Hmac {
  using State = typename Hash::State;

  /// The hash after one block: key xor ipad, key xor opad.
  struct Table {
    State inner, outer;
  };

  static const Table& table_at(const uint8_t* memory) {
    return *std::launder(reinterpret_cast<const Table*>(memory));
  }

  static State absorb(std::span<const uint8_t> key, uint8_t pad) {
    uint8_t block[kBlockBytes];
    std::memset(block, pad, sizeof block);
    for (size_t i = 0; i < key.size(); i++) block[i] ^= key[i];
    State state = Hash::start();
    State* states[] = {&state};
    const uint8_t* data[] = {block};
    Hash::template blocks<1>(states, data, 1);
    base::wipe(block, sizeof block);
    return state;
  }

  static void expand(uint8_t* memory, std::span<const uint8_t> key) {
    new (memory) Table{absorb(key, 0x36), absorb(key, 0x5c)};
  }

  /// One packet under way: its whole blocks, then its end with the padding, then the outer hash.
  struct Lane {
    enum class Stage : uint8_t { kBody, kTail, kOuter };

    State state;
    const uint8_t* data;
    uint32_t blocks = 0;  ///< at `data`, to be worked on; 0: the lane is idle
    uint32_t packet;
    uint32_t tail_blocks;
    Stage stage;
    uint8_t scratch[2 * kBlockBytes];

    void begin(const Batch& batch, uint32_t i, uint32_t offset) {
      packet = i;
      state = table_at(batch.key[i] + offset).inner;
      data = batch.aad[i];
      blocks = batch.aad_bytes[i] / kBlockBytes;
      const uint32_t rest = batch.aad_bytes[i] % kBlockBytes;
      tail_blocks = rest + 9 <= kBlockBytes ? 1 : 2;
      pad(data + blocks * kBlockBytes, rest, tail_blocks,
          uint64_t{kBlockBytes} + batch.aad_bytes[i]);
      stage = Stage::kBody;
      if (blocks == 0) begin_tail();
    }
    void begin_tail() {
      stage = Stage::kTail;
      data = scratch;
      blocks = tail_blocks;
    }
    void begin_outer(const Table& table) {
      uint8_t inner[Hash::kDigestBytes];
      Hash::digest(state, inner);
      pad(inner, Hash::kDigestBytes, 1, kBlockBytes + Hash::kDigestBytes);
      state = table.outer;
      stage = Stage::kOuter;
      data = scratch;
      blocks = 1;
    }
    /// The end of a message: rest | 1000... | length in bits (FIPS 180-4 §5.1).
    void pad(const uint8_t* rest, uint32_t rest_bytes, uint32_t into_blocks, uint64_t all_bytes) {
      std::memset(scratch, 0, into_blocks * kBlockBytes);
      if (rest_bytes > 0) std::memcpy(scratch, rest, rest_bytes);
      scratch[rest_bytes] = 0x80;
      base::store_be64(scratch + into_blocks * kBlockBytes - 8, all_bytes * 8);
    }
  };

  static void sign(const Batch& batch, uint32_t offset, Icvs& out) {
    Lane lanes[kLanes];
    uint32_t next = 0;
    for (Lane& lane : lanes) {
      if (next < batch.size) lane.begin(batch, next++, offset);
    }
    for (;;) {
      const bool first = lanes[0].blocks > 0, second = lanes[1].blocks > 0;
      if (first && second) {
        State* states[] = {&lanes[0].state, &lanes[1].state};
        const uint32_t n = std::min(lanes[0].blocks, lanes[1].blocks);
        const uint8_t* data[] = {lanes[0].data, lanes[1].data};
        Hash::template blocks<2>(states, data, n);
        advance(lanes[0], n, batch, offset, next, out);
        advance(lanes[1], n, batch, offset, next, out);
      } else if (first || second) {
        Lane& only = lanes[first ? 0 : 1];
        State* states[] = {&only.state};
        const uint8_t* data[] = {only.data};
        const uint32_t n = only.blocks;
        Hash::template blocks<1>(states, data, n);
        advance(only, n, batch, offset, next, out);
      } else {
        break;
      }
    }
    base::wipe(lanes, sizeof lanes);
  }

  /// Moves a lane on by n blocks: to its packet's next stage, or to the next packet.
  static void advance(Lane& lane, uint32_t n, const Batch& batch, uint32_t offset, uint32_t& next,
                      Icvs& out) {
    using Stage = typename Lane::Stage;
    lane.data += n * kBlockBytes;
    lane.blocks -= n;
    if (lane.blocks > 0) return;
    switch (lane.stage) {
      case Stage::kBody:
        return lane.begin_tail();
      case Stage::kTail:
        return lane.begin_outer(table_at(batch.key[lane.packet] + offset));
      case Stage::kOuter:
        Hash::digest(lane.state, out.of[lane.packet]);
        if (next < batch.size) lane.begin(batch, next++, offset);
    }
  }
};

template <typename Hash>
constexpr MacPart part() {
  return {"shani", sizeof(typename Hmac<Hash>::Table), Hmac<Hash>::expand, Hmac<Hash>::sign};
}

}  // namespace

const MacPart kShaniHmacSha1 = part<Sha1>();
const MacPart kShaniHmacSha256 = part<Sha256>();

}  // namespace esplane::crypto
