// The suites of ESP and AH and their engines: what there is, which is used, single operations on
// any of them for tests, and their timing. The dataplane does not come through here.
#include <optional>

#include "addon/arguments.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "addon/suite_arguments.h"
#include "addon/suite_bench.h"
#include "crypto/choice.h"

namespace esplane::addon {
namespace {

using crypto::Batch;
using crypto::Engine;
using crypto::Form;
using crypto::Suite;

constexpr uint32_t kMaxTextBytes = 65535;

const char* name_of(Form form) {
  switch (form) {
    case Form::kAead:
      return "aead";
    case Form::kGmac:
      return "gmac";
    case Form::kMac:
      return "mac";
  }
  __builtin_unreachable();
}

Napi::Value suites(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto all = Napi::Array::New(env);
  for (const Suite& suite : crypto::suites()) {
    auto o = Napi::Object::New(env);
    o.Set("name", suite.name);
    o.Set("encryption", suite.encryption);
    o.Set("keyBits", suite.key_bits);
    o.Set("integrity", suite.integrity);
    o.Set("form", name_of(suite.form));
    o.Set("encryptionKeyBytes", suite.encryption_key_bytes);
    o.Set("saltBytes", suite.salt_bytes);
    o.Set("integrityKeyBytes", suite.integrity_key_bytes);
    o.Set("ivBytes", suite.iv_bytes);
    o.Set("nonceBytes", suite.nonce_bytes);
    o.Set("blockBytes", suite.block_bytes);
    o.Set("icvBytes", suite.icv_bytes);
    auto engines = Napi::Array::New(env);
    for (const Engine* each : crypto::engines(suite)) engines.Set(engines.Length(), each->name);
    o.Set("engines", engines);
    all.Set(all.Length(), o);
  }
  return all;
}

Napi::Array contestants(Napi::Env env, const std::vector<crypto::Contestant>& list) {
  auto all = Napi::Array::New(env);
  for (const crypto::Contestant& each : list) {
    auto o = Napi::Object::New(env);
    o.Set("name", each.name);
    o.Set("nanosecondsPerByte", each.ns_per_byte);
    all.Set(all.Length(), o);
  }
  return all;
}

Napi::Object to_object(Napi::Env env, const crypto::Choice& choice) {
  auto o = Napi::Object::New(env);
  o.Set("suite", choice.suite->name);
  o.Set("engine", choice.engine->name);
  o.Set("nanosecondsPerByte", choice.ns_per_byte());
  o.Set("aeads", contestants(env, choice.aeads));
  o.Set("ciphers", contestants(env, choice.ciphers));
  o.Set("macs", contestants(env, choice.macs));
  return o;
}

Napi::Value engine_choices(const Napi::CallbackInfo& info) {
  auto all = Napi::Array::New(info.Env());
  for (const crypto::Choice* choice : crypto::choices()) {
    all.Set(all.Length(), to_object(info.Env(), *choice));
  }
  return all;
}

Napi::Value choose_engine(const Napi::CallbackInfo& info) {
  const Fields fields(info[0], "options");
  return to_object(info.Env(), crypto::engine_choice(suite_argument(fields)));
}

/// A batch of one. What the ICV of a kMac suite covers is `aad` and the text behind it.
class SingleOperation {
 public:
  explicit SingleOperation(const Napi::CallbackInfo& info)
      : SingleOperation(Fields(info[0], "options")) {}

  explicit SingleOperation(const Fields& fields)
      : suite(suite_argument(fields)), engine(engine_argument(fields, suite)) {
    const auto key = exactly(fields, "encryptionKey", suite.encryption_key_bytes);
    const auto integrity = exactly(fields, "integrityKey", suite.integrity_key_bytes);
    const auto nonce = exactly(fields, "nonce", suite.nonce_bytes);
    const auto aad = fields.bytes("aad");
    const auto text = fields.bytes("text");
    if (aad.size() > kMaxTextBytes) fields.refuse("aad", "at most 65535 bytes");
    if (text.size() > kMaxTextBytes) fields.refuse("text", "at most 65535 bytes");
    if (suite.block_bytes == 16 && text.size() % 16 != 0) fields.refuse("text", "whole blocks");
    if (suite.form == Form::kMac && aad.empty()) fields.refuse("aad", "a header");
    if (suite.form == Form::kGmac && !text.empty()) fields.refuse("text", "nothing");

    table_.emplace(engine, suite, crypto::Keys{key, integrity});
    nonce_.assign(nonce.begin(), nonce.end());
    memory_.assign(aad.begin(), aad.end());
    memory_.insert(memory_.end(), text.begin(), text.end());
    batch.size = 1;
    batch.key[0] = table_->data();
    batch.nonce[0] = nonce_.data();
    batch.aad[0] = memory_.data();
    batch.aad_bytes[0] =
        static_cast<uint32_t>(suite.form == Form::kMac ? memory_.size() : aad.size());
    batch.text[0] = memory_.data() + aad.size();
    batch.text_bytes[0] = static_cast<uint32_t>(text.size());
    batch.icv[0] = icv;
    batch.icv_bytes[0] = suite.icv_bytes;
  }

  Napi::Uint8Array text(Napi::Env env) const {
    return copy_of(env, {batch.text[0], batch.text_bytes[0]});
  }
  static std::span<const uint8_t> exactly(const Fields& fields, const char* name, size_t bytes) {
    const auto given = fields.bytes(name);
    if (given.size() != bytes) fields.refuse(name, (std::to_string(bytes) + " bytes").c_str());
    return given;
  }

  const Suite& suite;
  const Engine& engine;
  uint8_t icv[Batch::kMostIcvBytes];
  Batch batch;

 private:
  std::optional<crypto::KeyTable> table_;
  std::vector<uint8_t> nonce_, memory_;
};

Napi::Value suite_seal(const Napi::CallbackInfo& info) {
  SingleOperation operation(info);
  operation.engine.seal(operation.batch);
  const std::span<const uint8_t> icv(operation.icv, operation.suite.icv_bytes);
  auto result = Napi::Object::New(info.Env());
  result.Set("text", operation.text(info.Env()));
  result.Set("icv", copy_of(info.Env(), icv));
  return result;
}

Napi::Value suite_open(const Napi::CallbackInfo& info) {
  SingleOperation operation(info);
  const Fields fields(info[0], "options");
  const auto icv = SingleOperation::exactly(fields, "icv", operation.suite.icv_bytes);
  std::copy(icv.begin(), icv.end(), operation.icv);
  if (operation.engine.open(operation.batch) != 1) return info.Env().Null();
  return operation.text(info.Env());
}

Napi::Value bench_suite_binding(const Napi::CallbackInfo& info) {
  const Fields fields(info[0], "options");
  const Suite& suite = suite_argument(fields);
  return from_cost(info.Env(), bench_suite({
      .suite = &suite,
      .engine = &engine_argument(fields, suite),
      .text_bytes = static_cast<uint32_t>(fields.integer("textBytes", 16, kMaxTextBytes)),
      .batch = static_cast<uint32_t>(fields.integer("batch", 1, Batch::kCapacity)),
      .open = fields.flag("open"),
      .seconds = fields.value("seconds").ToNumber().DoubleValue(),
  }));
}

}  // namespace

void export_suites(Napi::Env env, Napi::Object exports) {
  exports.Set("cryptoSuites", Napi::Function::New(env, suites));
  exports.Set("engineChoices", Napi::Function::New(env, engine_choices));
  exports.Set("chooseEngine", Napi::Function::New(env, choose_engine));
  exports.Set("suiteSeal", Napi::Function::New(env, suite_seal));
  exports.Set("suiteOpen", Napi::Function::New(env, suite_open));
  exports.Set("benchSuite", Napi::Function::New(env, bench_suite_binding));
}

}  // namespace esplane::addon
