// The manager of a thread, and the two ways in which batches go through it: see crypto/ipsec_mb.h.
#pragma once

#include <intel-ipsec-mb.h>

#include <cstring>

#include "crypto/batch.h"

namespace esplane::crypto {

class IpsecMbManager {
 public:
  /// This thread's. Aborts the process where there is no memory for it.
  static IpsecMbManager& of_thread();

  IpsecMbManager();
  ~IpsecMbManager() { free_mb_mgr(manager_); }
  IpsecMbManager(const IpsecMbManager&) = delete;
  IpsecMbManager& operator=(const IpsecMbManager&) = delete;

  IMB_MGR* get() const { return manager_; }

  /// Runs a job for each operation, through the queue of the manager: any algorithm, mixed.
  /// @param fill  fill(job, i) sets up operation i in a job that holds leftovers of another
  template <typename Fill>
  void run_jobs(uint32_t count, Fill fill) {
    IMB_JOB* taken[Batch::kCapacity];
    for (uint32_t done = 0; done < count;) {
      const uint32_t n = IMB_GET_NEXT_BURST(manager_, count - done, taken);
      require(n > 0);
      for (uint32_t k = 0; k < n; k++) fill(*taken[k], done + k);
      uint32_t completed = IMB_SUBMIT_BURST_NOCHECK(manager_, n, taken);
      require_completed(taken, completed);
      while (completed < n) {
        const uint32_t more = IMB_FLUSH_BURST(manager_, n - completed, taken);
        require(more > 0);
        require_completed(taken, more);
        completed += more;
      }
      done += n;
    }
  }

  /// Jobs of one algorithm without the queue: what ipsec-mb is fastest with, where it has it.
  IMB_JOB* bare_jobs(uint32_t count) {
    std::memset(jobs_, 0, count * sizeof jobs_[0]);
    return jobs_;
  }
  void encrypt(uint32_t count, IMB_CIPHER_MODE mode, IMB_CIPHER_DIRECTION direction,
               IMB_KEY_SIZE_BYTES key_size) {
    require(IMB_SUBMIT_CIPHER_BURST_NOCHECK(manager_, jobs_, count, mode, direction, key_size) ==
            count);
    require_completed(jobs_, count);
  }
  void hash(uint32_t count, IMB_HASH_ALG algorithm) {
    require(IMB_SUBMIT_HASH_BURST_NOCHECK(manager_, jobs_, count, algorithm) == count);
    require_completed(jobs_, count);
  }

 private:
  /// ipsec-mb refuses valid jobs only where it is broken.
  static void require(bool ok) {
    if (!ok) [[unlikely]] fail();
  }
  static void require_completed(IMB_JOB* const* jobs, uint32_t count) {
    for (uint32_t k = 0; k < count; k++) require(jobs[k]->status == IMB_STATUS_COMPLETED);
  }
  static void require_completed(const IMB_JOB* jobs, uint32_t count) {
    for (uint32_t k = 0; k < count; k++) require(jobs[k].status == IMB_STATUS_COMPLETED);
  }
  [[noreturn]] static void fail();

  IMB_MGR* manager_;
  IMB_JOB jobs_[Batch::kCapacity];
};

}  // namespace esplane::crypto
