// What a daemon that holds keys asks of its process: who is at the other end of a Unix socket,
// and that a crash writes no memory to a disk.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "addon/registry.h"

namespace esplane::addon {
namespace {

[[noreturn]] void throw_errno(Napi::Env env, const std::string& what) {
  throw Napi::Error::New(env, what + ": " + std::strerror(errno));
}

/// peerCredentials(fd) -> { pid, uid, gid } (unix(7), SO_PEERCRED)
Napi::Value peer_credentials(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  if (!info[0].IsNumber()) throw Napi::TypeError::New(env, "fd: expected a number");
  ucred peer{};
  socklen_t bytes = sizeof peer;
  const int fd = info[0].As<Napi::Number>().Int32Value();
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
    throw_errno(env, "cannot read the peer credentials of descriptor " + std::to_string(fd));
  auto o = Napi::Object::New(env);
  o.Set("pid", peer.pid);
  o.Set("uid", peer.uid);
  o.Set("gid", peer.gid);
  return o;
}

/// disableCoreDumps(): no core file, and no debugger of the same user reads our memory (prctl(2),
/// PR_SET_DUMPABLE).
Napi::Value disable_core_dumps(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &none) < 0) throw_errno(env, "cannot set RLIMIT_CORE");
  if (prctl(PR_SET_DUMPABLE, 0) < 0) throw_errno(env, "cannot clear PR_SET_DUMPABLE");
  return env.Undefined();
}

}  // namespace

void export_process(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, peer_credentials));
  exports.Set("disableCoreDumps", Napi::Function::New(env, disable_core_dumps));
}

}  // namespace esplane::addon
