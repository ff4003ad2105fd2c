// ipsec-mb's managers and its AEADs: AES-GCM, AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634).
#if defined(ESPLANE_IPSEC_MB)

#include "crypto/ipsec_mb.h"

#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/bytes.h"
#include "crypto/ipsec_mb_manager.h"

namespace esplane::crypto {

IpsecMbManager::IpsecMbManager() : manager_(alloc_mb_mgr(0)) {
  require(manager_ != nullptr);
  init_mb_mgr_auto(manager_, nullptr);
  require(imb_get_errno(manager_) == 0);
}

IpsecMbManager& IpsecMbManager::of_thread() {
  thread_local IpsecMbManager manager;
  return manager;
}

void IpsecMbManager::fail() {
  std::fputs("esplane: ipsec-mb failed\n", stderr);
  std::abort();
}

bool ipsec_mb_usable() {
  static const bool usable = [] {
    IMB_MGR* manager = alloc_mb_mgr(0);
    if (manager == nullptr) return false;
    init_mb_mgr_auto(manager, nullptr);
    const bool ok = imb_get_errno(manager) == 0 && (manager->features & IMB_FEATURE_AESNI) != 0;
    free_mb_mgr(manager);
    return ok;
  }();
  return usable;
}

namespace {

template <typename Table>
const Table& table_at(const uint8_t* memory) {
  return *std::launder(reinterpret_cast<const Table*>(memory));
}

/// The ICVs that opening computes, to be compared with those received. In constant time.
class ComputedIcvs {
 public:
  ~ComputedIcvs() { base::wipe(icv_, sizeof icv_); }  // those of forged packets are worth something

  uint8_t* of(uint32_t i) { return icv_[i]; }
  uint64_t compare(const Batch& batch) const {
    uint64_t authentic = 0;
    for (uint32_t i = 0; i < batch.size; i++) {
      const bool holds = base::equal_constant_time(icv_[i], batch.icv[i], batch.icv_bytes[i]);
      authentic |= uint64_t{holds} << i;
    }
    return authentic;
  }

 private:
  alignas(16) uint8_t icv_[Batch::kCapacity][16];
};

/// Seals or opens a batch by an algorithm's `transform(batch, direction, icv_of)`.
template <auto kTransform>
void seal(const Batch& batch) {
  kTransform(batch, IMB_DIR_ENCRYPT, [&](uint32_t i) { return batch.icv[i]; });
}

template <auto kTransform>
uint64_t open(const Batch& batch) {
  ComputedIcvs icvs;
  kTransform(batch, IMB_DIR_DECRYPT, [&](uint32_t i) { return icvs.of(i); });
  return icvs.compare(batch);
}

// --- AES-GCM ------------------------------------------------------------------------------------

struct GcmTable {
  gcm_key_data data;
  uint32_t key_bytes;
};

void expand_gcm(uint8_t* memory, const Suite&, const Keys& keys) {
  auto& table = *new (memory) GcmTable;
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  table.key_bytes = static_cast<uint32_t>(keys.encryption.size());
  const void* key = keys.encryption.data();
  if (table.key_bytes == 16) IMB_AES128_GCM_PRE(manager, key, &table.data);
  if (table.key_bytes == 24) IMB_AES192_GCM_PRE(manager, key, &table.data);
  if (table.key_bytes == 32) IMB_AES256_GCM_PRE(manager, key, &table.data);
}

/// Its direct functions: GCM jobs go one after another anyway.
aes_gcm_enc_dec_t gcm_function(const IMB_MGR* m, uint32_t key_bytes, IMB_CIPHER_DIRECTION dir) {
  const bool seals = dir == IMB_DIR_ENCRYPT;
  if (key_bytes == 16) return seals ? m->gcm128_enc : m->gcm128_dec;
  if (key_bytes == 24) return seals ? m->gcm192_enc : m->gcm192_dec;
  return seals ? m->gcm256_enc : m->gcm256_dec;
}

constexpr auto kGcm = [](const Batch& batch, IMB_CIPHER_DIRECTION direction, auto icv_of) {
  const IMB_MGR* manager = IpsecMbManager::of_thread().get();
  gcm_context_data context;
  for (uint32_t i = 0; i < batch.size; i++) {
    const auto& table = table_at<GcmTable>(batch.key[i]);
    gcm_function(manager, table.key_bytes, direction)(
        &table.data, &context, batch.text[i], batch.text[i], batch.text_bytes[i], batch.nonce[i],
        batch.aad[i], batch.aad_bytes[i], icv_of(i), batch.icv_bytes[i]);
  }
  base::wipe(&context, sizeof context);
};

// --- AES-CCM ------------------------------------------------------------------------------------

struct CcmTable {
  alignas(16) uint8_t round_keys[16 * 15];
  uint32_t key_bytes;
};

void expand_ccm(uint8_t* memory, const Suite&, const Keys& keys) {
  auto& table = *new (memory) CcmTable;
  IMB_MGR* manager = IpsecMbManager::of_thread().get();
  alignas(16) uint8_t unused[16 * 15];
  table.key_bytes = static_cast<uint32_t>(keys.encryption.size());
  const void* key = keys.encryption.data();
  if (table.key_bytes == 16) IMB_AES_KEYEXP_128(manager, key, table.round_keys, unused);
  if (table.key_bytes == 32) IMB_AES_KEYEXP_256(manager, key, table.round_keys, unused);
  base::wipe(unused, sizeof unused);
}

constexpr auto kCcm = [](const Batch& batch, IMB_CIPHER_DIRECTION direction, auto icv_of) {
  IpsecMbManager::of_thread().run_jobs(batch.size, [&](IMB_JOB& job, uint32_t i) {
    const auto& table = table_at<CcmTable>(batch.key[i]);
    job.cipher_mode = IMB_CIPHER_CCM;
    job.hash_alg = IMB_AUTH_AES_CCM;
    job.cipher_direction = direction;
    // The MAC is over the text in clear.
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job.enc_keys = job.dec_keys = table.round_keys;
    job.key_len_in_bytes = table.key_bytes;
    job.src = job.dst = batch.text[i];
    job.cipher_start_src_offset_in_bytes = job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = job.msg_len_to_hash_in_bytes = batch.text_bytes[i];
    job.iv = batch.nonce[i];
    job.iv_len_in_bytes = 11;
    job.u.CCM.aad = batch.aad[i];
    job.u.CCM.aad_len_in_bytes = batch.aad_bytes[i];
    job.auth_tag_output = icv_of(i);
    job.auth_tag_output_len_in_bytes = batch.icv_bytes[i];
  });
};

// --- ChaCha20-Poly1305 --------------------------------------------------------------------------

void expand_chacha(uint8_t* memory, const Suite&, const Keys& keys) {
  std::memcpy(memory, keys.encryption.data(), 32);
}

constexpr auto kChaCha = [](const Batch& batch, IMB_CIPHER_DIRECTION direction, auto icv_of) {
  IpsecMbManager::of_thread().run_jobs(batch.size, [&](IMB_JOB& job, uint32_t i) {
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job.enc_keys = job.dec_keys = batch.key[i];
    job.key_len_in_bytes = 32;
    job.src = job.dst = batch.text[i];
    job.cipher_start_src_offset_in_bytes = job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = job.msg_len_to_hash_in_bytes = batch.text_bytes[i];
    job.iv = batch.nonce[i];
    job.iv_len_in_bytes = 12;
    job.u.CHACHA20_POLY1305.aad = batch.aad[i];
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = batch.aad_bytes[i];
    job.auth_tag_output = icv_of(i);
    job.auth_tag_output_len_in_bytes = batch.icv_bytes[i];
  });
};

}  // namespace

const Engine kIpsecMbGcm = {"ipsec-mb", sizeof(GcmTable), expand_gcm, seal<kGcm>, open<kGcm>};
const Engine kIpsecMbCcm = {"ipsec-mb", sizeof(CcmTable), expand_ccm, seal<kCcm>, open<kCcm>};
const Engine kIpsecMbChaCha20Poly1305 = {"ipsec-mb", 32, expand_chacha, seal<kChaCha>,
                                         open<kChaCha>};

}  // namespace esplane::crypto

#endif
