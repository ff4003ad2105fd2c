// The cryptography of IKE itself (ike/curves.h, ike/libcrypto.h, ike/protection.h). Lengths are checked
// here.
#include <algorithm>

#include "addon/arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "ike/curves.h"
#include "ike/libcrypto.h"
#include "ike/protection.h"

namespace esplane::addon {
namespace {

using ike::Bytes;
using ike::Curve;
using ike::Digest;
using ike::Mac;
using ike::Protection;

constexpr size_t kMostChunks = 16;

Curve to_curve(const Napi::Value& v) {
  return static_cast<Curve>(to_integer(v, "curve", 0, ike::kCurves - 1));
}

Digest to_digest(const Napi::Value& v) {
  return static_cast<Digest>(to_integer(v, "digest", 0, ike::kDigests - 1));
}

/// As many octets as there have to be.
Bytes exactly(const Napi::Value& v, const char* field, size_t bytes) {
  const Bytes found = to_bytes(v, field);
  if (found.size() != bytes) throw_type(v.Env(), field, "another length");
  return found;
}

ike::Room room(Napi::Uint8Array& array) { return {array.Data(), array.ElementLength()}; }

/// publicValue(curve, privateKey)
Napi::Value public_value(const Napi::CallbackInfo& info) {
  const Curve curve = to_curve(info[0]);
  const Bytes key = exactly(info[1], "privateKey", ike::key_bytes(curve));
  auto result = Napi::Uint8Array::New(info.Env(), key.size());
  guarded(info.Env(), [&] { ike::public_value(curve, key, room(result)); });
  return result;
}

/// sharedSecret(curve, privateKey, peerPublic)
Napi::Value shared_secret(const Napi::CallbackInfo& info) {
  const Curve curve = to_curve(info[0]);
  const Bytes key = exactly(info[1], "privateKey", ike::key_bytes(curve));
  const Bytes peer = exactly(info[2], "peerPublic", ike::key_bytes(curve));
  auto result = Napi::Uint8Array::New(info.Env(), key.size());
  const bool found =
      guarded(info.Env(), [&] { return ike::shared_secret(curve, key, peer, room(result)); });
  return found ? Napi::Value(result) : info.Env().Undefined();
}

/// Arguments from a place on.
struct Chunks {
  Chunks(const Napi::CallbackInfo& info, size_t from) : count(std::max(info.Length(), from) - from) {
    if (count > kMostChunks) throw_type(info.Env(), "data", "16 chunks at most");
    for (size_t i = 0; i < count; i++) data[i] = to_bytes(info[from + i], "data");
  }
  operator std::span<const Bytes>() const { return {data, count}; }

  size_t count;
  Bytes data[kMostChunks];
};

/// hash(digest, ...data)
Napi::Value hash(const Napi::CallbackInfo& info) {
  const Digest digest = to_digest(info[0]);
  const Chunks chunks(info, 1);
  auto result = Napi::Uint8Array::New(info.Env(), ike::digest_bytes(digest));
  guarded(info.Env(), [&] { ike::hash(digest, chunks, room(result)); });
  return result;
}

Mac to_mac(const Napi::Value& v) {
  return static_cast<Mac>(to_integer(v, "mac", 0, ike::kMacs - 1));
}

Bytes to_mac_key(const Napi::Value& v, const char* field, Mac mac) {
  return ike::is_of_aes(mac) ? exactly(v, field, ike::kAesMacBytes) : to_bytes(v, field);
}

/// mac(mac, key, ...data)
Napi::Value mac(const Napi::CallbackInfo& info) {
  const Mac mac = to_mac(info[0]);
  const Bytes key = to_mac_key(info[1], "key", mac);
  const Chunks chunks(info, 2);
  auto result = Napi::Uint8Array::New(info.Env(), ike::mac_bytes(mac));
  guarded(info.Env(), [&] { ike::mac(mac, key, chunks, room(result)); });
  return result;
}

/// prfPlus(mac, key, bytes, ...seed)
Napi::Value prf_plus(const Napi::CallbackInfo& info) {
  const Mac mac = to_mac(info[0]);
  const Bytes key = to_mac_key(info[1], "key", mac);
  const auto most = static_cast<int64_t>(255 * ike::mac_bytes(mac));
  const int64_t bytes = to_integer(info[2], "bytes", 0, most);
  const Chunks seed(info, 3);
  auto result = Napi::Uint8Array::New(info.Env(), static_cast<size_t>(bytes));
  guarded(info.Env(), [&] { ike::prf_plus(mac, key, seed, room(result)); });
  return result;
}

/// A message and what protects it: cipher, mac, skE, skA, icvBytes, message, bodyAt; an AEAD has
/// neither MAC nor SK_a.
struct Sealed {
  explicit Sealed(const Napi::CallbackInfo& info) {
    with.cipher = static_cast<ike::Cipher>(to_integer(info[0], "cipher", 0, ike::kCiphers - 1));
    with.sk_e = exactly(info[2], "skE",
                        ike::cipher_key_bytes(with.cipher) + ike::cipher_salt_bytes(with.cipher));
    size_t most_icv = ike::kMostTagBytes;
    if (!ike::is_aead(with.cipher)) {
      with.mac = to_mac(info[1]);
      with.sk_a = to_mac_key(info[3], "skA", with.mac);
      most_icv = std::min(ike::kMostIcvBytes, ike::mac_bytes(with.mac));
    }
    with.icv_bytes = static_cast<size_t>(to_integer(info[4], "icvBytes", 1, static_cast<int64_t>(most_icv)));
    message = to_bytes(info[5], "message");
    const auto size = static_cast<int64_t>(message.size());
    body_at = static_cast<size_t>(to_integer(info[6], "bodyAt", 0, size));
    const size_t around = ike::cipher_iv_bytes(with.cipher) + with.icv_bytes;
    const size_t body = message.size() - body_at;
    if (body < around || (body - around) % ike::cipher_block_bytes(with.cipher) != 0)
      throw_type(info.Env(), "message", "IV, whole blocks and ICV");
    text_bytes = body - around;
  }

  Protection with{};
  Bytes message;
  size_t body_at;
  /// Octets between IV and ICV.
  size_t text_bytes;
};

/// seal(cipher, mac, skE, skA, icvBytes, message, bodyAt)
void seal(const Napi::CallbackInfo& info) {
  const Sealed sealed(info);
  const ike::Room message(const_cast<uint8_t*>(sealed.message.data()), sealed.message.size());
  guarded(info.Env(), [&] { ike::seal(sealed.with, message, sealed.body_at); });
}

/// open(cipher, mac, skE, skA, icvBytes, message, bodyAt)
Napi::Value open(const Napi::CallbackInfo& info) {
  const Sealed sealed(info);
  auto plaintext = Napi::Uint8Array::New(info.Env(), sealed.text_bytes);
  const bool authentic = guarded(info.Env(), [&] {
    return ike::open(sealed.with, sealed.message, sealed.body_at, room(plaintext));
  });
  return authentic ? Napi::Value(plaintext) : info.Env().Undefined();
}

Napi::Value cipher_names(Napi::Env env) {
  auto names = Napi::Array::New(env);
  for (const char* name : ike::kCipherNames) names.Set(names.Length(), Napi::String::New(env, name));
  return names;
}

}  // namespace

void export_ike(Napi::Env env, Napi::Object exports) {
  auto all = Napi::Object::New(env);
  all.Set("publicValue", Napi::Function::New(env, public_value));
  all.Set("sharedSecret", Napi::Function::New(env, shared_secret));
  all.Set("hash", Napi::Function::New(env, hash));
  all.Set("mac", Napi::Function::New(env, mac));
  all.Set("prfPlus", Napi::Function::New(env, prf_plus));
  all.Set("seal", Napi::Function::New(env, seal));
  all.Set("open", Napi::Function::New(env, open));
  all.Set("ciphers", cipher_names(env));
  exports.Set("ike", all);
}

}  // namespace esplane::addon
