// Ciphers and MACs of ipsec-mb, each as a burst of one algorithm.
//
// A burst of ciphers and then one of hashes takes 3 % to 6 % less time than jobs that chain both
// (AES-128-CBC with HMAC-SHA-256, 64 to 1424 bytes, batches of 32), and the hash need not be
// ipsec-mb's then.
#if defined(ESPLANE_IPSEC_MB)

#include <new>
#include <vector>

#include "base/bytes.h"
#include "crypto/ipsec_mb.h"
#include "crypto/ipsec_mb_manager.h"

namespace esplane::crypto {
namespace {

// --- AES-CBC, AES-CTR ---------------------------------------------------------------------------

struct AesTable {
  alignas(16) uint8_t encrypt[16 * 15];
  alignas(16) uint8_t decrypt[16 * 15];
  uint32_t key_bytes;

  static const AesTable& at(const uint8_t* memory) {
    return *std::launder(reinterpret_cast<const AesTable*>(memory));
  }
};

void expand_aes(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) AesTable;
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  table.key_bytes = static_cast<uint32_t>(key.size());
  const void* raw = key.data();
  if (key.size() == 16) IMB_AES_KEYEXP_128(manager, raw, table.encrypt, table.decrypt);
  if (key.size() == 24) IMB_AES_KEYEXP_192(manager, raw, table.encrypt, table.decrypt);
  if (key.size() == 32) IMB_AES_KEYEXP_256(manager, raw, table.encrypt, table.decrypt);
}

/// One burst for each key size that the batch has.
template <IMB_CIPHER_MODE kMode, IMB_CIPHER_DIRECTION kDirection>
void transform(const Batch& batch, uint32_t offset) {
  IpsecMbManager& manager = IpsecMbManager::of_thread();
  for (const auto size : {IMB_KEY_128_BYTES, IMB_KEY_192_BYTES, IMB_KEY_256_BYTES}) {
    uint32_t member[Batch::kCapacity];
    uint32_t count = 0;
    for (uint32_t i = 0; i < batch.size; i++) {
      if (AesTable::at(batch.key[i] + offset).key_bytes == size && batch.text_bytes[i] > 0) {
        member[count++] = i;
      }
    }
    if (count == 0) continue;
    IMB_JOB* jobs = manager.bare_jobs(count);
    for (uint32_t k = 0; k < count; k++) {
      const uint32_t i = member[k];
      const AesTable& table = AesTable::at(batch.key[i] + offset);
      IMB_JOB& job = jobs[k];
      job.enc_keys = table.encrypt;
      job.dec_keys = table.decrypt;
      job.src = job.dst = batch.text[i];
      job.msg_len_to_cipher_in_bytes = batch.text_bytes[i];
      job.iv = batch.nonce[i];
      job.iv_len_in_bytes = 16;
    }
    manager.encrypt(count, kMode, kDirection, size);
  }
}

// --- HMAC ---------------------------------------------------------------------------------------

/// The hash after the key's block, xor ipad and xor opad (RFC 2104 §4).
struct HmacTable {
  alignas(16) uint8_t inner[64];
  alignas(16) uint8_t outer[64];

  static const HmacTable& at(const uint8_t* memory) {
    return *std::launder(reinterpret_cast<const HmacTable*>(memory));
  }
};

template <hash_one_block_t IMB_MGR::* kOneBlock, uint32_t kBlock>
void expand_hmac(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) HmacTable{};
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  const auto absorb = [&](uint8_t pad, uint8_t* to) {
    uint8_t block[kBlock];
    std::memset(block, pad, sizeof block);
    for (size_t i = 0; i < key.size(); i++) block[i] ^= key[i];
    (manager->*kOneBlock)(block, to);
    base::wipe(block, sizeof block);
  };
  absorb(0x36, table.inner);
  absorb(0x5c, table.outer);
}

template <IMB_HASH_ALG kAlgorithm>
void sign_hmac(const Batch& batch, uint32_t offset, Icvs& out) {
  IpsecMbManager& manager = IpsecMbManager::of_thread();
  IMB_JOB* jobs = manager.bare_jobs(batch.size);
  for (uint32_t i = 0; i < batch.size; i++) {
    const HmacTable& table = HmacTable::at(batch.key[i] + offset);
    IMB_JOB& job = jobs[i];
    job.src = batch.aad[i];
    job.msg_len_to_hash_in_bytes = batch.aad_bytes[i];
    job.auth_tag_output = out.of[i];
    job.auth_tag_output_len_in_bytes = batch.icv_bytes[i];
    job.u.HMAC._hashed_auth_key_xor_ipad = table.inner;
    job.u.HMAC._hashed_auth_key_xor_opad = table.outer;
  }
  manager.hash(batch.size, kAlgorithm);
}

constexpr MacPart kHmacSha1 = {"ipsec-mb", sizeof(HmacTable),
                               expand_hmac<&IMB_MGR::sha1_one_block, 64>,
                               sign_hmac<IMB_AUTH_HMAC_SHA_1>};
constexpr MacPart kHmacSha256 = {"ipsec-mb", sizeof(HmacTable),
                                 expand_hmac<&IMB_MGR::sha256_one_block, 64>,
                                 sign_hmac<IMB_AUTH_HMAC_SHA_256>};
constexpr MacPart kHmacSha384 = {"ipsec-mb", sizeof(HmacTable),
                                 expand_hmac<&IMB_MGR::sha384_one_block, 128>,
                                 sign_hmac<IMB_AUTH_HMAC_SHA_384>};
constexpr MacPart kHmacSha512 = {"ipsec-mb", sizeof(HmacTable),
                                 expand_hmac<&IMB_MGR::sha512_one_block, 128>,
                                 sign_hmac<IMB_AUTH_HMAC_SHA_512>};

// --- XCBC, CMAC ---------------------------------------------------------------------------------

struct CbcMacTable {
  alignas(16) uint8_t round_keys[16 * 11];
  alignas(16) uint8_t whole[16];
  alignas(16) uint8_t padded[16];

  static const CbcMacTable& at(const uint8_t* memory) {
    return *std::launder(reinterpret_cast<const CbcMacTable*>(memory));
  }
};

void expand_xcbc(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) CbcMacTable;
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  IMB_AES_XCBC_KEYEXP(manager, key.data(), table.round_keys, table.whole, table.padded);
}

void expand_cmac(uint8_t* memory, std::span<const uint8_t> key) {
  auto& table = *new (memory) CbcMacTable;
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  alignas(16) uint8_t unused[16 * 11];
  IMB_AES_KEYEXP_128(manager, key.data(), table.round_keys, unused);
  IMB_AES_CMAC_SUBKEY_GEN_128(manager, table.round_keys, table.whole, table.padded);
  base::wipe(unused, sizeof unused);
}

/// With AVX-512 ipsec-mb reads the last block of a text as a whole, up to 15 octets behind the text:
/// where these may be on a page that is not there, it gets a copy.
class Readable {
 public:
  const uint8_t* of(const uint8_t* text, uint32_t bytes) {
    const uint32_t behind = (kBlockBytes - bytes % kBlockBytes) % kBlockBytes;
    const auto end = reinterpret_cast<uintptr_t>(text) + bytes;
    const auto in_page = end % kPageBytes;
    if (behind == 0 || (in_page != 0 && in_page + behind <= kPageBytes)) return text;
    auto& copy = copies_.emplace_back(text, text + bytes);
    copy.resize(bytes + behind);
    return copy.data();
  }

 private:
  static constexpr uint32_t kBlockBytes = 16, kPageBytes = 4096;
  std::vector<std::vector<uint8_t>> copies_;
};

/// A job that only authenticates.
template <IMB_HASH_ALG kAlgorithm>
void sign_cbc_mac(const Batch& batch, uint32_t offset, Icvs& out) {
  Readable readable;
  IpsecMbManager::of_thread().run_jobs(batch.size, [&](IMB_JOB& job, uint32_t i) {
    const CbcMacTable& table = CbcMacTable::at(batch.key[i] + offset);
    job.cipher_mode = IMB_CIPHER_NULL;
    job.cipher_direction = IMB_DIR_ENCRYPT;
    job.chain_order = IMB_ORDER_HASH_CIPHER;
    job.hash_alg = kAlgorithm;
    job.src = readable.of(batch.aad[i], batch.aad_bytes[i]);
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = batch.aad_bytes[i];
    job.msg_len_to_cipher_in_bytes = 0;
    job.auth_tag_output = out.of[i];
    job.auth_tag_output_len_in_bytes = batch.icv_bytes[i];
    if constexpr (kAlgorithm == IMB_AUTH_AES_XCBC) {
      job.u.XCBC._k1_expanded = reinterpret_cast<const uint32_t*>(table.round_keys);
      job.u.XCBC._k2 = table.whole;
      job.u.XCBC._k3 = table.padded;
    } else {
      job.u.CMAC._key_expanded = table.round_keys;
      job.u.CMAC._skey1 = table.whole;
      job.u.CMAC._skey2 = table.padded;
    }
  });
}

constexpr MacPart kXcbc = {"ipsec-mb", sizeof(CbcMacTable), expand_xcbc,
                           sign_cbc_mac<IMB_AUTH_AES_XCBC>};
constexpr MacPart kCmac = {"ipsec-mb", sizeof(CbcMacTable), expand_cmac,
                           sign_cbc_mac<IMB_AUTH_AES_CMAC>};

}  // namespace

const CipherPart kIpsecMbCbc = {"ipsec-mb", sizeof(AesTable), expand_aes,
                                transform<IMB_CIPHER_CBC, IMB_DIR_ENCRYPT>,
                                transform<IMB_CIPHER_CBC, IMB_DIR_DECRYPT>};
const CipherPart kIpsecMbCtr = {"ipsec-mb", sizeof(AesTable), expand_aes,
                                transform<IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT>,
                                transform<IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT>};

const MacParts kIpsecMbMacs = {&kHmacSha1,   &kHmacSha256, &kHmacSha384,
                               &kHmacSha512, &kXcbc,       &kCmac};

}  // namespace esplane::crypto

#endif
