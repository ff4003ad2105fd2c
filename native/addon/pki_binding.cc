// Certificates and their paths; src/pki decides what follows from what is found.
#include "addon/arguments.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "addon/results.h"
#include "pki/certificate.h"
#include "pki/issue.h"
#include "pki/ocsp.h"
#include "pki/trust_store.h"

namespace esplane::addon {
namespace {

/// More years than certificates have.
constexpr int64_t kMostSeconds = int64_t{1} << 40;

using pki::Bytes;
using pki::Der;

template <typename T, typename Convert>
Napi::Array to_list(Napi::Env env, const std::vector<T>& items, Convert convert) {
  auto list = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); i++) list.Set(i, convert(items[i]));
  return list;
}

/// The bytes of an array of Uint8Arrays: valid until JavaScript runs again.
std::vector<Der> der_list(const Napi::Value& value, const std::string& field) {
  const auto array = to_array(value, field);
  std::vector<Der> all;
  for (uint32_t i = 0; i < array.Length(); i++) {
    all.push_back(to_bytes(array.Get(i), field + "[" + std::to_string(i) + "]"));
  }
  return all;
}

/// certificateFacts(der): null where it is no certificate.
Napi::Value certificate_facts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const pki::X509Ptr certificate = pki::parse_certificate(to_bytes(info[0], "certificate"));
  if (!certificate) return env.Null();
  const pki::CertificateFacts facts = pki::facts_of(certificate.get());
  const auto text = [env](const std::string& s) { return Napi::String::New(env, s); };
  auto o = Napi::Object::New(env);
  o.Set("subject", copy_of(env, facts.subject));
  o.Set("issuer", copy_of(env, facts.issuer));
  o.Set("serial", facts.serial);
  o.Set("altNames", to_list(env, facts.alt_names, [env](const pki::AltName& name) {
          auto each = Napi::Object::New(env);
          each.Set("tag", name.tag);
          each.Set("value", copy_of(env, name.value));
          return each;
        }));
  o.Set("isCa", facts.is_ca);
  if (facts.key_usage) o.Set("keyUsage", *facts.key_usage);
  o.Set("extendedKeyUsage", to_list(env, facts.extended_key_usage, text));
  o.Set("crlUrls", to_list(env, facts.crl_urls, text));
  o.Set("ocspUrls", to_list(env, facts.ocsp_urls, text));
  return o;
}

pki::X509Ptr certificate_argument(const Napi::Value& value, const std::string& field) {
  pki::X509Ptr certificate = pki::parse_certificate(to_bytes(value, field));
  if (!certificate) throw_type(value.Env(), field, "a certificate in DER");
  return certificate;
}

/// ocspRequest(certificate, issuer)
Napi::Value ocsp_request(const Napi::CallbackInfo& info) {
  const pki::X509Ptr certificate = certificate_argument(info[0], "certificate");
  const pki::X509Ptr issuer = certificate_argument(info[1], "issuer");
  return guarded(info.Env(), [&] {
    return copy_of(info.Env(), pki::ocsp_request(certificate.get(), issuer.get()));
  });
}

/// ocspStatus(response, certificate, issuer, seconds since 1970)
Napi::Value ocsp_status(const Napi::CallbackInfo& info) {
  const Der response = to_bytes(info[0], "response");
  const pki::X509Ptr certificate = certificate_argument(info[1], "certificate");
  const pki::X509Ptr issuer = certificate_argument(info[2], "issuer");
  const int64_t time = to_integer(info[3], "time", 0, kMostSeconds);
  const pki::OcspStatus status = guarded(info.Env(), [&] {
    return pki::ocsp_status(response, certificate.get(), issuer.get(), time);
  });
  auto o = Napi::Object::New(info.Env());
  o.Set("code", status.code);
  o.Set("reason", status.reason);
  return o;
}

/// makeCertificate(order): DER
Napi::Value make_certificate(const Napi::CallbackInfo& info) {
  const Fields fields(info[0], "order");
  pki::X509Ptr issuer;
  if (fields.has("issuer")) issuer = certificate_argument(fields.value("issuer"), "order.issuer");
  pki::CertificateOrder order{
      .subject = fields.bytes("subject"),
      .public_key = fields.bytes("publicKey"),
      .issuer = issuer.get(),
      .signing_key = fields.bytes("signingKey"),
      .serial = fields.bytes("serial"),
      .not_before = fields.integer("notBefore", 0, kMostSeconds),
      .not_after = fields.integer("notAfter", 0, kMostSeconds),
      .extensions = {},
  };
  fields.elements("extensions", [&order](const Napi::Value& value, const std::string& path) {
    const Fields extension(value, path);
    order.extensions.push_back({extension.text("name"), extension.text("value")});
  });
  return guarded(info.Env(), [&] { return copy_of(info.Env(), pki::make_certificate(order)); });
}

/// makeCrl(order): DER
Napi::Value make_crl(const Napi::CallbackInfo& info) {
  const Fields fields(info[0], "order");
  const pki::X509Ptr issuer = certificate_argument(fields.value("issuer"), "order.issuer");
  pki::CrlOrder order{
      .issuer = issuer.get(),
      .signing_key = fields.bytes("signingKey"),
      .number = static_cast<uint64_t>(fields.integer("number", 0, int64_t{1} << 53)),
      .this_update = fields.integer("thisUpdate", 0, kMostSeconds),
      .next_update = fields.integer("nextUpdate", 0, kMostSeconds),
      .revoked = {},
  };
  fields.elements("revoked", [&order](const Napi::Value& value, const std::string& path) {
    const Fields revoked(value, path);
    order.revoked.push_back({revoked.bytes("serial"), revoked.integer("time", 0, kMostSeconds)});
  });
  return guarded(info.Env(), [&] { return copy_of(info.Env(), pki::make_crl(order)); });
}

class TrustStoreBinding : public Napi::ObjectWrap<TrustStoreBinding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "TrustStore", {InstanceMethod<&TrustStoreBinding::verify>("verify")});
  }

  /// new TrustStore(anchors, crls), both arrays of DER.
  explicit TrustStoreBinding(const Napi::CallbackInfo& info)
      : ObjectWrap(info), store_(guarded(info.Env(), [&info] {
          return pki::TrustStore(der_list(info[0], "anchors"), der_list(info[1], "crls"));
        })) {}

 private:
  /// verify(certificates, seconds since 1970)
  Napi::Value verify(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::vector<Der> certificates = der_list(info[0], "certificates");
    if (certificates.empty()) throw_type(env, "certificates", "at least one");
    const int64_t time = to_integer(info[1], "time", 0, kMostSeconds);
    const pki::PathResult result =
        guarded(env, [&] { return store_.verify(certificates, time); });
    auto o = Napi::Object::New(env);
    o.Set("code", result.code);
    o.Set("reason", result.reason);
    o.Set("depth", result.depth);
    o.Set("path", to_list(env, result.path, [env](const Bytes& der) { return copy_of(env, der); }));
    o.Set("revocation", to_list(env, result.revocation, [env](const pki::Revocation& known) {
            auto each = Napi::Object::New(env);
            each.Set("code", known.code);
            each.Set("reason", X509_verify_cert_error_string(known.code));
            return each;
          }));
    return o;
  }

  pki::TrustStore store_;
};

}  // namespace

void export_pki(Napi::Env env, Napi::Object exports) {
  exports.Set("certificateFacts", Napi::Function::New(env, certificate_facts));
  exports.Set("ocspRequest", Napi::Function::New(env, ocsp_request));
  exports.Set("ocspStatus", Napi::Function::New(env, ocsp_status));
  exports.Set("makeCertificate", Napi::Function::New(env, make_certificate));
  exports.Set("makeCrl", Napi::Function::New(env, make_crl));
  exports.Set("TrustStore", TrustStoreBinding::define(env));
}

}  // namespace esplane::addon
