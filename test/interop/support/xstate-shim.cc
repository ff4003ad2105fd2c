// Preloaded into User Mode Linux, whose kernel up to 6.11 knows 2696 bytes of extended processor
// state. Where the CPU has more (AMX), the host's kernel refuses to set a part of it (EFAULT).
// So the part that UML knows is completed with what the traced process has beyond it.
#include <dlfcn.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <cstdarg>
#include <cstring>

using Ptrace = long (*)(int, ...);

static Ptrace next_ptrace;
// Not on the stack: UML's are small. Only UML's one kernel thread traces.
static unsigned char state[65536];

__attribute__((constructor)) static void resolve() {
  next_ptrace = reinterpret_cast<Ptrace>(dlsym(RTLD_NEXT, "ptrace"));
}

extern "C" long ptrace(enum __ptrace_request request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  const int pid = va_arg(arguments, int);
  void* address = va_arg(arguments, void*);
  void* data = va_arg(arguments, void*);
  va_end(arguments);
  if (request == PTRACE_SETREGSET && address == reinterpret_cast<void*>(NT_X86_XSTATE)) {
    const auto* known = static_cast<const iovec*>(data);
    iovec whole{state, sizeof state};
    const long result = next_ptrace(PTRACE_GETREGSET, pid, address, &whole);
    if (result == 0 && whole.iov_len > known->iov_len) {
      memcpy(state, known->iov_base, known->iov_len);
      return next_ptrace(request, pid, address, &whole);
    }
  }
  return next_ptrace(request, pid, address, data);
}
