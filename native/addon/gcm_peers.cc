// AES-GCM of libcrypto and of ipsec-mb, in the shape of engines: see gcm_peers.h.
//
// ipsec-mb writes a tag and leaves it to its caller to compare, which is done here as well, by
// memcmp, the fastest there is.
#include "addon/gcm_peers.h"

#include <cstring>
#include <memory>
#include <new>

#include "crypto/openssl.h"

#if defined(ESPLANE_IPSEC_MB)
#include <intel-ipsec-mb.h>
#endif

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Engine;

thread_local std::unique_ptr<crypto::OpensslContext> kept;

crypto::OpensslContext& context() {
  if (kept == nullptr) kept = std::make_unique<crypto::OpensslContext>();
  return *kept;
}

const Engine kLibcrypto = {
    "libcrypto", crypto::kOpensslEngine.table_bytes, crypto::kOpensslEngine.expand,
    [](const Batch& batch) {
      for (uint32_t i = 0; i < batch.size; i++) context().seal(batch, i);
    },
    [](const Batch& batch) {
      uint64_t authentic = 0;
      for (uint32_t i = 0; i < batch.size; i++) {
        authentic |= uint64_t{context().open(batch, i)} << i;
      }
      return authentic;
    }};

#if defined(ESPLANE_IPSEC_MB)

struct Key {
  gcm_key_data data;
  uint64_t bytes;
};

const Key& layout(const uint8_t* table) { return *reinterpret_cast<const Key*>(table); }

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};

/// @param initialise  chooses the instructions that the manager uses
IMB_MGR* new_manager(void (*initialise)(IMB_MGR*)) {
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) throw std::bad_alloc();
  initialise(manager);
  return manager;
}

/// The library's own choice.
IMB_MGR& best() {
  thread_local const std::unique_ptr<IMB_MGR, FreeManager> manager(
      new_manager([](IMB_MGR* m) { init_mb_mgr_auto(m, nullptr); }));
  return *manager;
}

IMB_MGR& avx() {
  thread_local const std::unique_ptr<IMB_MGR, FreeManager> manager(new_manager(init_mb_mgr_avx));
  return *manager;
}

template <IMB_MGR& (*kManager)()>
void expand(uint8_t* table, const crypto::Suite&, const crypto::Keys& keys) {
  auto& key = *new (table) Key;
  const uint8_t* raw = keys.encryption.data();
  key.bytes = keys.encryption.size();
  if (key.bytes == 16) IMB_AES128_GCM_PRE(&kManager(), raw, &key.data);
  if (key.bytes == 24) IMB_AES192_GCM_PRE(&kManager(), raw, &key.data);
  if (key.bytes == 32) IMB_AES256_GCM_PRE(&kManager(), raw, &key.data);
}

/// One call for operation i, in place, that writes its tag.
void crypt(aes_gcm_enc_dec_t function, const Batch& batch, uint32_t i, uint8_t* tag) {
  gcm_context_data state;
  function(&layout(batch.key[i]).data, &state, batch.text[i], batch.text[i], batch.text_bytes[i],
           batch.nonce[i], batch.aad[i], batch.aad_bytes[i], tag, batch.icv_bytes[i]);
}

/// GMAC (RFC 4543) has functions of its own.
void authenticate(IMB_MGR& m, const Batch& batch, uint32_t i, uint8_t* tag) {
  const Key& key = layout(batch.key[i]);
  const auto init = key.bytes == 16   ? m.gmac128_init
                    : key.bytes == 24 ? m.gmac192_init
                                      : m.gmac256_init;
  const auto update = key.bytes == 16   ? m.gmac128_update
                      : key.bytes == 24 ? m.gmac192_update
                                        : m.gmac256_update;
  const auto finalize = key.bytes == 16   ? m.gmac128_finalize
                        : key.bytes == 24 ? m.gmac192_finalize
                                          : m.gmac256_finalize;
  gcm_context_data state;
  init(&key.data, &state, batch.nonce[i], 12);
  update(&key.data, &state, batch.aad[i], batch.aad_bytes[i]);
  finalize(&key.data, &state, tag, batch.icv_bytes[i]);
}

template <IMB_MGR& (*kManager)()>
void seal(const Batch& batch) {
  IMB_MGR& m = kManager();
  for (uint32_t i = 0; i < batch.size; i++) {
    if (batch.text_bytes[i] == 0) {
      authenticate(m, batch, i, batch.icv[i]);
      continue;
    }
    const uint64_t bytes = layout(batch.key[i]).bytes;
    crypt(bytes == 16 ? m.gcm128_enc : bytes == 24 ? m.gcm192_enc : m.gcm256_enc, batch, i,
          batch.icv[i]);
  }
}

template <IMB_MGR& (*kManager)()>
uint64_t open(const Batch& batch) {
  IMB_MGR& m = kManager();
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    uint8_t tag[16];
    const uint64_t bytes = layout(batch.key[i]).bytes;
    if (batch.text_bytes[i] == 0) {
      authenticate(m, batch, i, tag);
    } else {
      crypt(bytes == 16 ? m.gcm128_dec : bytes == 24 ? m.gcm192_dec : m.gcm256_dec, batch, i, tag);
    }
    authentic |= uint64_t{std::memcmp(tag, batch.icv[i], batch.icv_bytes[i]) == 0} << i;
  }
  return authentic;
}

void fill_job(IMB_JOB& job, const Batch& batch, uint32_t i, bool encrypt, uint8_t* tag) {
  const Key& key = layout(batch.key[i]);
  job.cipher_mode = IMB_CIPHER_GCM;
  job.hash_alg = IMB_AUTH_AES_GMAC;
  job.cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  job.chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  job.enc_keys = job.dec_keys = &key.data;
  job.key_len_in_bytes = key.bytes;
  job.src = job.dst = batch.text[i];
  job.cipher_start_src_offset_in_bytes = job.hash_start_src_offset_in_bytes = 0;
  job.msg_len_to_cipher_in_bytes = job.msg_len_to_hash_in_bytes = batch.text_bytes[i];
  job.iv = batch.nonce[i];
  job.iv_len_in_bytes = 12;
  job.u.GCM.aad = batch.aad[i];
  job.u.GCM.aad_len_in_bytes = batch.aad_bytes[i];
  job.auth_tag_output = tag;
  job.auth_tag_output_len_in_bytes = batch.icv_bytes[i];
}

/// @param tag_of  where the tag of operation i goes
template <typename TagOf>
void submit(const Batch& batch, bool encrypt, TagOf tag_of) {
  IMB_JOB* jobs[Batch::kCapacity];
  const uint32_t n = IMB_GET_NEXT_BURST(&best(), batch.size, jobs);
  for (uint32_t i = 0; i < n; i++) fill_job(*jobs[i], batch, i, encrypt, tag_of(i));
  IMB_SUBMIT_BURST_NOCHECK(&best(), n, jobs);
}

void seal_jobs(const Batch& batch) {
  submit(batch, true, [&](uint32_t i) { return batch.icv[i]; });
}

uint64_t open_jobs(const Batch& batch) {
  uint8_t tags[Batch::kCapacity][16];
  submit(batch, false, [&](uint32_t i) { return tags[i]; });
  uint64_t authentic = 0;
  for (uint32_t i = 0; i < batch.size; i++) {
    authentic |= uint64_t{std::memcmp(tags[i], batch.icv[i], batch.icv_bytes[i]) == 0} << i;
  }
  return authentic;
}

const Engine kIpsecMbDirect = {"ipsec-mb direct", sizeof(Key), expand<best>, seal<best>,
                               open<best>};
const Engine kIpsecMbAvx = {"ipsec-mb avx", sizeof(Key), expand<avx>, seal<avx>, open<avx>};
const Engine kIpsecMbJobs = {"ipsec-mb jobs", sizeof(Key), expand<best>, seal_jobs, open_jobs};

constexpr const Engine* kPeers[] = {&kLibcrypto, &kIpsecMbDirect, &kIpsecMbAvx,
                                    &kIpsecMbJobs};

#else

constexpr const Engine* kPeers[] = {&kLibcrypto};

#endif

}  // namespace

std::span<const Engine* const> gcm_peers() { return kPeers; }

void reset_gcm_peers() { kept.reset(); }

}  // namespace esplane::addon
