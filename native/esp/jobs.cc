#include "esp/jobs.h"

namespace esplane::esp {
namespace {

using crypto::Batch;
using crypto::Engine;

/// The jobs of one engine, in order.
struct Share {
  Batch batch;
  uint8_t job[Batch::kCapacity];

  Share(const Jobs& jobs, const Engine* engine) {
    for (uint32_t j = 0; j < jobs.batch.size; j++) {
      if (jobs.engine[j] != engine) continue;
      const uint32_t i = batch.size++;
      job[i] = static_cast<uint8_t>(j);
      batch.key[i] = jobs.batch.key[j];
      batch.nonce[i] = jobs.batch.nonce[j];
      batch.aad[i] = jobs.batch.aad[j];
      batch.aad_bytes[i] = jobs.batch.aad_bytes[j];
      batch.text[i] = jobs.batch.text[j];
      batch.text_bytes[i] = jobs.batch.text_bytes[j];
      batch.icv[i] = jobs.batch.icv[j];
      batch.icv_bytes[i] = jobs.batch.icv_bytes[j];
    }
  }
};

/// Calls `each(engine, share)` for every engine of the jobs.
template <typename Each>
void split(const Jobs& jobs, Each each) {
  uint64_t done = 0;
  for (uint32_t j = 0; j < jobs.batch.size; j++) {
    if (done >> j & 1) continue;
    const Share share(jobs, jobs.engine[j]);
    for (uint32_t i = 0; i < share.batch.size; i++) done |= uint64_t{1} << share.job[i];
    each(*jobs.engine[j], share);
  }
}

}  // namespace

void Jobs::fill_other(uint32_t j, const sad::Protection& protection, uint64_t sequence,
                      uint8_t* esp, Direction direction) {
  fill_nonce(j, protection, esp + packet::kEspHeaderBytes);
  if (protection.form == crypto::Form::kGmac) {
    fill_gmac(j, protection, sequence, esp);
  } else {
    fill_mac(j, protection, sequence, esp, direction);
  }
}

/// @param iv  explicit, where the suite has one
void Jobs::fill_nonce(uint32_t j, const sad::Protection& protection, const uint8_t* iv) {
  batch.nonce[j] = nonce[j];
  switch (protection.nonce_form) {
    case crypto::NonceForm::kNothing:
      break;
    case crypto::NonceForm::kIv:
      batch.nonce[j] = iv;
      break;
    case crypto::NonceForm::kCounterBlock:  // RFC 3686 §4: the counter begins with 1
      base::store_be32(nonce[j] + 12, 1);
      [[fallthrough]];
    case crypto::NonceForm::kSaltAndIv:
      std::memcpy(nonce[j], protection.salt, 4);
      std::memcpy(nonce[j] + 4, iv, 8);
  }
}

/// Everything is associated data: SPI | sequence number | IV | payload and trailer (RFC 4543 §3.3).
/// With ESN the sequence number has 64 bits there, between SPI and IV: the SPI moves four bytes to
/// the front, onto the end of the outer header, and the high half takes its place.
void Jobs::fill_gmac(uint32_t j, const sad::Protection& protection, uint64_t sequence,
                     uint8_t* esp) {
  uint8_t* from = esp;
  if (protection.esn) {
    from = esp - 4;
    masks.keep(from, 8);
    std::memcpy(from, esp, 4);
    base::store_be32(esp, static_cast<uint32_t>(sequence >> 32));
  }
  batch.aad[j] = from;
  batch.aad_bytes[j] = static_cast<uint32_t>(batch.icv[j] - from);
  batch.text_bytes[j] = 0;
}

/// SPI to the end of the ciphertext, and with ESN the high half behind it (RFC 4303 §2.2.1,
/// §3.3.2.1): it is put where the ICV stands.
void Jobs::fill_mac(uint32_t j, const sad::Protection& protection, uint64_t sequence, uint8_t* esp,
                    Direction direction) {
  batch.aad[j] = esp;
  batch.aad_bytes[j] = static_cast<uint32_t>(batch.icv[j] - esp);
  if (!protection.esn) return;
  uint8_t* high = batch.icv[j];
  if (direction == Direction::kOpen) {
    std::memcpy(aside[j], batch.icv[j], protection.icv_bytes);
    batch.icv[j] = aside[j];
  }
  base::store_be32(high, static_cast<uint32_t>(sequence >> 32));
  batch.aad_bytes[j] += 4;
}

void Jobs::add_ah(const sad::Protection& protection, uint64_t sequence, uint8_t* packet,
                  uint32_t packet_bytes, uint8_t* icv, Direction direction) {
  const uint32_t j = add_common(protection, packet + packet_bytes, 0);
  fill_nonce(j, protection, icv - protection.iv_bytes);
  batch.aad[j] = packet;
  batch.aad_bytes[j] = packet_bytes;
  batch.icv[j] = direction == Direction::kOpen ? aside[j] : icv;
  if (!protection.esn) return;
  base::store_be32(packet + packet_bytes, static_cast<uint32_t>(sequence >> 32));
  batch.aad_bytes[j] += 4;
}

void Jobs::seal() const {
  if (batch.size == 0) return;
  if (one_engine) [[likely]] {
    engine[0]->seal(batch);
  } else {
    split(*this, [](const Engine& e, const Share& share) { e.seal(share.batch); });
  }
  masks.put_back();
}

uint64_t Jobs::open() const {
  if (batch.size == 0) return 0;
  uint64_t authentic = 0;
  if (one_engine) [[likely]] {
    authentic = engine[0]->open(batch);
  } else {
    split(*this, [&authentic](const Engine& e, const Share& share) {
      const uint64_t holds = e.open(share.batch);
      for (uint32_t i = 0; i < share.batch.size; i++) {
        authentic |= (holds >> i & 1) << share.job[i];
      }
    });
  }
  masks.put_back();
  return authentic;
}

}  // namespace esplane::esp
