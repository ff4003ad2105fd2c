// IkeSockets: the UDP sockets of IKE, read in batches on Node's event loop (net/udp_socket.h), with
// the gate for those who want a new IKE SA before them (ike/gate.h). IkeSender: sends by them, in any
// thread.
#include <uv.h>

#include <cstring>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "base/clock.h"
#include "ike/gate.h"
#include "net/udp_sockets.h"
#include "pipeline/rate_limit.h"

namespace esplane::addon {
namespace {

/// Batches of one socket before others get their turn: a flood must not stop the event loop.
constexpr int kBatchesAtOnce = 4;
/// Who was woken less than this ago rests as long before it reads again: each datagram of thousands a
/// second would wake this thread for itself, and this one the IKE worker.
constexpr uint64_t kRestMs = 1;
/// Some thousand requests: a tenth of a second of a flood, while JavaScript is busy.
constexpr int kReceiveBufferBytes = 4 << 20;
/// Messages a second, and at once, for IKE SAs with SPIs that we have not made: of peers that do not
/// know that we began anew, or of anybody. IKE answers no more of them than half.
constexpr uint32_t kForeignPerSecond = 100, kForeignBurst = 100;
/// Before IKE on the port that it shares with ESP (RFC 3948 §2.2).
constexpr size_t kMarkerBytes = 4;

net::Endpoint to_endpoint(const Napi::CallbackInfo& info, size_t at) {
  const auto address = packet::IpAddress::parse(to_text(info[at], "address").c_str());
  if (!address) throw_type(info.Env(), "address", "a numeric IP address");
  return {*address, static_cast<uint16_t>(to_integer(info[at + 1], "port", 0, 65'535))};
}

class IkeSockets;

/// A socket on the event loop; it goes when the loop has let go of it.
struct Listening {
  std::shared_ptr<net::UdpSockets> sockets;
  net::UdpSocket* socket;  ///< one of them; none once it is closed
  bool marked;  ///< IKE comes behind the non-ESP marker here
  uint32_t id;
  IkeSockets* owner;
  uint32_t drops_seen = 0;
  uint64_t read_at_ms = 0;  ///< of the loop's clock
  uv_poll_t poll{};
  uv_timer_t rest{};  ///< while it runs, nothing is polled
  napi_async_cleanup_hook_handle hook = nullptr;

  void start(uv_loop_t* loop) {
    uv_poll_init(loop, &poll, socket->descriptor());
    uv_timer_init(loop, &rest);
    poll.data = rest.data = this;
    listen();
  }

  /// Stops reading; to be called once or more often.
  void close() {
    if (socket == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), [](uv_handle_t* closed) {
      auto* self = static_cast<Listening*>(closed->data);
      uv_close(reinterpret_cast<uv_handle_t*>(&self->rest), [](uv_handle_t* last) {
        std::unique_ptr<Listening> self(static_cast<Listening*>(last->data));
        napi_remove_async_cleanup_hook(self->hook);
      });
    });
    sockets->close(*std::exchange(socket, nullptr));
  }

 private:
  void listen();
  void readable();
};

class IkeSockets final : public Napi::ObjectWrap<IkeSockets> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "IkeSockets",
                       {InstanceAccessor<&IkeSockets::id>("id"),
                        InstanceMethod<&IkeSockets::open>("open"),
                        InstanceMethod<&IkeSockets::close>("close"),
                        InstanceMethod<&IkeSockets::demand_cookies>("demandCookies"),
                        InstanceMethod<&IkeSockets::counters>("counters")});
  }

  /// new IkeSockets(spiKey, listener): listener(socket, address, port, message, proved), the message
  /// without the non-ESP marker
  explicit IkeSockets(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<IkeSockets>(info), context_(info.Env(), "IkeSockets"), gate_(spi_key(info[0])) {
    if (!info[1].IsFunction()) throw_type(info.Env(), "listener", "a function");
    listener_ = Napi::Persistent(info[1].As<Napi::Function>());
  }

  /// Takes what has come. Returns whether that is all.
  bool read(Listening& from) {
    const Napi::HandleScope handles(Env());
    const Napi::CallbackScope turn(Env(), context_);
    for (int i = 0; i < kBatchesAtOnce && from.socket != nullptr; i++) {
      const uint32_t count = from.socket->receive(batch_);
      for (uint32_t n = 0; n < count && from.socket != nullptr; n++) take(from, batch_.data(n), batch_.source(n));
      if (count < net::DatagramBatch::kMost) return true;
    }
    return false;
  }

 private:
  static ike::Gate::SpiKey spi_key(const Napi::Value& v) {
    const auto bytes = to_bytes(v, "spiKey");
    ike::Gate::SpiKey key;
    if (bytes.size() != key.size()) throw_type(v.Env(), "spiKey", "32 bytes");
    std::copy(bytes.begin(), bytes.end(), key.begin());
    return key;
  }

  /// What an IkeSender finds the sockets by.
  Napi::Value id(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), shared_->id()); }

  /// open(address, port, marked) -> { id, port }
  Napi::Value open(const Napi::CallbackInfo& info) {
    const auto env = info.Env();
    auto* listening = new Listening{.sockets = shared_,
                                    .socket = &bind(to_endpoint(info, 0)),
                                    .marked = to_flag(info[2], "marked"),
                                    .id = next_id_++,
                                    .owner = this};
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    listening->start(loop);
    napi_add_async_cleanup_hook(
        env, [](napi_async_cleanup_hook_handle, void* it) { static_cast<Listening*>(it)->close(); },
        listening, &listening->hook);
    if (sockets_.empty()) Ref();
    sockets_[listening->id] = listening;
    auto o = Napi::Object::New(env);
    o.Set("id", listening->id);
    o.Set("port", listening->socket->port());
    return o;
  }

  net::UdpSocket& bind(const net::Endpoint& local) {
    try {
      return shared_->open(local, kReceiveBufferBytes);
    } catch (const std::system_error& e) {
      auto error = Napi::Error::New(Env(), e.code().message());
      error.Set("code", uv_err_name(-e.code().value()));
      throw error;
    }
  }

  /// close(socket)
  Napi::Value close(const Napi::CallbackInfo& info) {
    const auto found = sockets_.find(to_id(info[0]));
    if (found == sockets_.end()) return info.Env().Undefined();
    count_drops(*found->second);
    found->second->close();
    sockets_.erase(found);
    if (sockets_.empty()) Unref();
    return info.Env().Undefined();
  }

  /// demandCookies(on)
  Napi::Value demand_cookies(const Napi::CallbackInfo& info) {
    demanding_ = to_flag(info[0], "on");
    return info.Env().Undefined();
  }

  /// counters() -> { sent, sendErrors, noSocket, cookiesDemanded, foreign, nonsense, overflows,
  ///   keepalives, espInUdp, short }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    for (const auto& [id, listening] : sockets_) count_drops(*listening);
    const auto [sent, errors, no_socket] = shared_->counters();
    auto o = Napi::Object::New(info.Env());
    o.Set("sent", static_cast<double>(sent));
    o.Set("sendErrors", static_cast<double>(errors));
    o.Set("noSocket", static_cast<double>(no_socket));
    o.Set("cookiesDemanded", static_cast<double>(cookies_demanded_));
    o.Set("foreign", static_cast<double>(foreign_));
    o.Set("nonsense", static_cast<double>(nonsense_));
    o.Set("overflows", static_cast<double>(overflows_));
    o.Set("keepalives", static_cast<double>(keepalives_));
    o.Set("espInUdp", static_cast<double>(esp_in_udp_));
    o.Set("short", static_cast<double>(short_));
    return o;
  }

  /// The kernel's counter is of 32 bits.
  void count_drops(Listening& listening) {
    const uint32_t now = listening.socket->drops();
    overflows_ += now - listening.drops_seen;
    listening.drops_seen = now;
  }

  // --- what comes -------------------------------------------------------------------------------

  void take(Listening& from, std::span<const uint8_t> data, const net::Endpoint& source) {
    const auto message = message_in(from, data);
    if (message.empty()) return;
    const uint32_t now_s = base::monotonic_s();
    const auto standing = gate_.judge(message, source.address, now_s);
    if (standing == ike::Standing::kForeign && !foreigners_.take(base::monotonic_ms())) {
      foreign_++;
    } else if (standing == ike::Standing::kNonsense) {
      nonsense_++;
    } else if (standing == ike::Standing::kStranger && demanding_) {
      cookies_demanded_++;
      answer(from, gate_.answer(message, source.address, now_s), source);
    } else {
      deliver(from.id, message, source, standing == ike::Standing::kProved);
    }
  }

  /// IKE on the port that it shares with ESP, where a lone 0xFF keeps a NAT's mapping (RFC 3948 §2);
  /// all else is counted, and empty here.
  ike::Message message_in(const Listening& from, std::span<const uint8_t> data) {
    static constexpr uint8_t kMarker[kMarkerBytes] = {};
    if (!from.marked && !data.empty()) return data;
    if (data.size() == 1 && data[0] == 0xff) {
      keepalives_++;
    } else if (data.size() <= kMarkerBytes) {
      short_++;
    } else if (std::memcmp(data.data(), kMarker, kMarkerBytes) != 0) {
      esp_in_udp_++;
    } else {
      return data.subspan(kMarkerBytes);
    }
    return {};
  }

  /// Without the lock under which others send: this thread alone opens and closes sockets, so `from`
  /// has its own, and the kernel takes datagrams of several threads. Beside one that measures the
  /// path it may bear DF, which does not matter to so few octets.
  void answer(Listening& from, const ike::Gate::Answer& response, const net::Endpoint& to) {
    from.socket->send({.to = to, .data = response, .marked = from.marked});
  }

  /// In memory of its own, so that it can be moved to another thread.
  void deliver(uint32_t id, std::span<const uint8_t> data, const net::Endpoint& source, bool proved) {
    const auto env = Env();
    const Napi::HandleScope handles(env);
    auto bytes = Napi::Uint8Array::New(env, data.size());
    if (!data.empty()) std::memcpy(bytes.Data(), data.data(), data.size());
    try {
      listener_.Call({Napi::Number::New(env, id), Napi::String::New(env, source.address.text()),
                      Napi::Number::New(env, source.port), bytes, Napi::Boolean::New(env, proved)});
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());
    }
  }

  // --- arguments --------------------------------------------------------------------------------

  static uint32_t to_id(const Napi::Value& v) {
    return static_cast<uint32_t>(to_integer(v, "socket", 0, UINT32_MAX));
  }

  Napi::FunctionReference listener_;
  Napi::AsyncContext context_;
  const std::shared_ptr<net::UdpSockets> shared_ = net::UdpSockets::create();
  std::map<uint32_t, Listening*> sockets_;
  uint32_t next_id_ = 0;
  ike::Gate gate_;
  bool demanding_ = false;
  net::DatagramBatch batch_;
  pipeline::TokenBucket foreigners_{kForeignPerSecond, kForeignBurst};
  uint64_t cookies_demanded_ = 0, foreign_ = 0, nonsense_ = 0, overflows_ = 0, keepalives_ = 0, esp_in_udp_ = 0,
           short_ = 0;
};

void Listening::listen() {
  uv_poll_start(&poll, UV_READABLE,
                [](uv_poll_t* it, int, int) { static_cast<Listening*>(it->data)->readable(); });
}

void Listening::readable() {
  const uint64_t now_ms = uv_now(poll.loop);
  const bool busy = now_ms - std::exchange(read_at_ms, now_ms) <= kRestMs;
  if (!owner->read(*this) || !busy || socket == nullptr) return;
  uv_poll_stop(&poll);
  uv_timer_start(
      &rest,
      [](uv_timer_t* it) {
        auto* self = static_cast<Listening*>(it->data);
        if (self->socket != nullptr) self->listen();
      },
      kRestMs, 0);
}

class IkeSender final : public Napi::ObjectWrap<IkeSender> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "IkeSender", {InstanceMethod<&IkeSender::send>("send")});
  }

  /// new IkeSender(id), of an IkeSockets
  explicit IkeSender(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<IkeSender>(info),
        sockets_(net::UdpSockets::find(static_cast<uint32_t>(to_integer(info[0], "id", 1, UINT32_MAX)))) {
    if (!sockets_) throw Napi::Error::New(info.Env(), "there are no such sockets in this process");
  }

 private:
  /// send(localAddress, localPort, address, port, marker, data, whole)
  void send(const Napi::CallbackInfo& info) {
    sockets_->send(to_endpoint(info, 0), {.to = to_endpoint(info, 2),
                                          .data = to_bytes(info[5], "data"),
                                          .marked = to_flag(info[4], "marker"),
                                          .whole = to_flag(info[6], "whole")});
  }

  const std::shared_ptr<net::UdpSockets> sockets_;
};

}  // namespace

void export_ike_sockets(Napi::Env env, Napi::Object exports) {
  exports.Set("IkeSockets", IkeSockets::define(env));
  exports.Set("IkeSender", IkeSender::define(env));
}

}  // namespace esplane::addon
