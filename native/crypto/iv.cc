#include "crypto/iv.h"

#include <openssl/evp.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/cpu.h"
#include "base/random.h"
#if defined(__x86_64__)
#include "crypto/aesni_ecb.h"
#endif

namespace esplane::crypto {
namespace {

/// The process's secret. Never shown, never wiped: it lives as long as there is traffic.
struct ProcessKey {
  uint8_t raw[16];

  ProcessKey() {
    for (int i = 0; i < 16; i += 4) {
      const uint32_t word = base::random_u32();
      std::memcpy(raw + i, &word, 4);
    }
  }
};

const ProcessKey& process_key() {
  static const ProcessKey key;
  return key;
}

#if defined(__x86_64__)
bool encrypt_with_aesni(uint8_t (*block)[16], uint32_t count) {
  struct Expanded {
    EcbKey key;
    Expanded() { aesni_expand(key, process_key().raw); }
  };
  static const bool usable = base::cpu_features().aesni && base::cpu_features().sse41;
  if (!usable) return false;
  static const Expanded expanded;
  aesni_encrypt_blocks(expanded.key, block, count);
  return true;
}
#else
bool encrypt_with_aesni(uint8_t (*)[16], uint32_t) { return false; }
#endif

/// libcrypto refuses valid parameters only where it is broken or out of memory.
void require(bool ok) {
  if (ok) return;
  std::fputs("esplane: libcrypto failed in AES\n", stderr);
  std::abort();
}

void encrypt_with_openssl(uint8_t (*block)[16], uint32_t count) {
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  thread_local std::unique_ptr<EVP_CIPHER_CTX, Free> context;
  if (!context) {
    context.reset(EVP_CIPHER_CTX_new());
    require(context != nullptr);
    require(EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, process_key().raw,
                               nullptr) == 1);
    require(EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1);
  }
  int written = 0;
  require(EVP_EncryptUpdate(context.get(), block[0], &written, block[0],
                            static_cast<int>(16 * count)) == 1);
}

}  // namespace

uint64_t new_iv_stream() {
  static std::atomic<uint64_t> next{0};
  return next.fetch_add(1, std::memory_order_relaxed);
}

namespace {

template <typename Encrypt>
void write_ivs_with(const IvBatch& batch, Encrypt encrypt) {
  if (batch.size == 0) return;
  uint8_t block[IvBatch::kCapacity][16];
  for (uint32_t i = 0; i < batch.size; i++) {
    base::store_be64(block[i], batch.stream[i]);
    base::store_be64(block[i] + 8, batch.sequence[i]);
  }
  encrypt(block, batch.size);
  for (uint32_t i = 0; i < batch.size; i++) std::memcpy(batch.iv[i], block[i], 16);
}

}  // namespace

void write_ivs(const IvBatch& batch) {
  write_ivs_with(batch, [](uint8_t (*block)[16], uint32_t count) {
    if (!encrypt_with_aesni(block, count)) encrypt_with_openssl(block, count);
  });
}

void write_ivs_portably(const IvBatch& batch) { write_ivs_with(batch, encrypt_with_openssl); }

}  // namespace esplane::crypto
