#include "base/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace esplane::base {

int keep_capabilities(uint64_t keep) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) < 0) return errno;
  for (int word = 0; word < 2; word++) {
    const auto mask = static_cast<uint32_t>(keep >> (32 * word));
    data[word].permitted &= mask;
    data[word].effective &= mask;
    data[word].inheritable &= mask;
  }
  // Ambient capabilities follow: the kernel drops those that are not permitted and inheritable.
  return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

}  // namespace esplane::base
