// The cryptography of IKE itself (ike/libcrypto.h). Lengths are checked here.
#include <algorithm>

#include "addon/arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "ike/curves.h"
#include "ike/libcrypto.h"

namespace esplane::addon {
namespace {

using ike::Aead;
using ike::Bytes;
using ike::Curve;
using ike::Digest;

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

/// hmac(digest, key, ...data)
Napi::Value hmac(const Napi::CallbackInfo& info) {
  const Digest digest = to_digest(info[0]);
  const Bytes key = to_bytes(info[1], "key");
  const Chunks chunks(info, 2);
  auto result = Napi::Uint8Array::New(info.Env(), ike::digest_bytes(digest));
  guarded(info.Env(), [&] { ike::hmac(digest, key, chunks, room(result)); });
  return result;
}

/// prfPlus(digest, key, seed, bytes)
Napi::Value prf_plus(const Napi::CallbackInfo& info) {
  const Digest digest = to_digest(info[0]);
  const Bytes key = to_bytes(info[1], "key");
  const Bytes seed = to_bytes(info[2], "seed");
  const auto most = static_cast<int64_t>(255 * ike::digest_bytes(digest));
  const int64_t bytes = to_integer(info[3], "bytes", 0, most);
  auto result = Napi::Uint8Array::New(info.Env(), static_cast<size_t>(bytes));
  guarded(info.Env(), [&] { ike::prf_plus(digest, key, seed, room(result)); });
  return result;
}

Aead to_aead(const Napi::Value& v) {
  return static_cast<Aead>(to_integer(v, "aead", 0, ike::kAeads - 1));
}

Bytes to_sk_e(const Napi::Value& v, Aead aead) {
  return exactly(v, "skE", ike::aead_key_bytes(aead) + ike::aead_salt_bytes(aead));
}

/// What a body has around its ciphertext.
size_t icv_bytes_of(const Napi::Value& v, size_t body, size_t ciphertext) {
  const size_t around = body - ciphertext - ike::kExplicitIvBytes;
  const bool fits = body >= ciphertext + ike::kExplicitIvBytes;
  if (!fits || around == 0 || around > ike::kMostIcvBytes) throw_type(v.Env(), "body", "another length");
  return around;
}

/// seal(aead, skE, aad, plaintext, body)
void seal(const Napi::CallbackInfo& info) {
  const Aead aead = to_aead(info[0]);
  const Bytes sk_e = to_sk_e(info[1], aead);
  const Bytes aad = to_bytes(info[2], "aad");
  const Bytes plaintext = to_bytes(info[3], "plaintext");
  const Bytes body = to_bytes(info[4], "body");
  icv_bytes_of(info[4], body.size(), plaintext.size());
  const ike::Room out(const_cast<uint8_t*>(body.data()), body.size());
  guarded(info.Env(), [&] { ike::seal(aead, sk_e, aad, plaintext, out); });
}

/// open(aead, skE, aad, body, icvBytes)
Napi::Value open(const Napi::CallbackInfo& info) {
  const Aead aead = to_aead(info[0]);
  const Bytes sk_e = to_sk_e(info[1], aead);
  const Bytes aad = to_bytes(info[2], "aad");
  const Bytes body = to_bytes(info[3], "body");
  const auto icv = static_cast<size_t>(to_integer(info[4], "icvBytes", 1, ike::kMostIcvBytes));
  if (body.size() < ike::kExplicitIvBytes + icv) throw_type(info.Env(), "body", "IV and ICV");
  const size_t bytes = body.size() - ike::kExplicitIvBytes - icv;
  auto plaintext = Napi::Uint8Array::New(info.Env(), bytes);
  const bool authentic =
      guarded(info.Env(), [&] { return ike::open(aead, sk_e, aad, body, room(plaintext)); });
  return authentic ? Napi::Value(plaintext) : info.Env().Undefined();
}

Napi::Value aead_names(Napi::Env env) {
  auto names = Napi::Array::New(env);
  for (const char* name : ike::kAeadNames) names.Set(names.Length(), Napi::String::New(env, name));
  return names;
}

}  // namespace

void export_ike(Napi::Env env, Napi::Object exports) {
  auto all = Napi::Object::New(env);
  all.Set("publicValue", Napi::Function::New(env, public_value));
  all.Set("sharedSecret", Napi::Function::New(env, shared_secret));
  all.Set("hash", Napi::Function::New(env, hash));
  all.Set("hmac", Napi::Function::New(env, hmac));
  all.Set("prfPlus", Napi::Function::New(env, prf_plus));
  all.Set("seal", Napi::Function::New(env, seal));
  all.Set("open", Napi::Function::New(env, open));
  all.Set("aeads", aead_names(env));
  exports.Set("ike", all);
}

}  // namespace esplane::addon
