// What a daemon that holds keys asks of its process: who is at the other end of a Unix socket,
// that a crash writes no memory to a disk, that no thread can do more than it has to; and what it
// tells systemd.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "addon/registry.h"
#include "base/capabilities.h"
#include "port/system.h"

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

/// What a gateway may still have to do after its start, by the name in a list of what to keep.
constexpr struct {
  const char* name;
  int capability;
} kCapabilities[] = {
    {"CAP_NET_ADMIN", CAP_NET_ADMIN},
    {"CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
    {"CAP_BPF", CAP_BPF},
};

/// keepCapabilities(names): the calling thread has no others from now on
Napi::Value keep_capabilities(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto names = info[0].As<Napi::Array>();
  uint64_t keep = 0;
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = names.Get(i).ToString();
    uint64_t bit = 0;
    for (const auto& one : kCapabilities)
      if (name == one.name) bit = uint64_t{1} << one.capability;
    if (bit == 0) throw Napi::TypeError::New(env, name + " is none that may be kept");
    keep |= bit;
  }
  errno = base::keep_capabilities(keep);
  if (errno != 0) throw_errno(env, "cannot drop capabilities");
  return env.Undefined();
}

/// notifySystemd(socket, text): one datagram (sd_notify(3)); "@" begins an abstract name
Napi::Value notify_systemd(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const std::string path = info[0].ToString(), text = info[1].ToString();
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path)
    throw Napi::TypeError::New(env, "not the path of a socket: " + path);
  std::memcpy(to.sun_path, path.data(), path.size());
  if (path[0] == '@') to.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const port::Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&to), bytes) < 0)
    throw_errno(env, "cannot notify systemd at " + path);
  return env.Undefined();
}

}  // namespace

void export_process(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, peer_credentials));
  exports.Set("disableCoreDumps", Napi::Function::New(env, disable_core_dumps));
  exports.Set("keepCapabilities", Napi::Function::New(env, keep_capabilities));
  exports.Set("notifySystemd", Napi::Function::New(env, notify_systemd));
}

}  // namespace esplane::addon
