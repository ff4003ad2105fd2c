#include "pki/trust_store.h"

#include <stdexcept>

#include "pki/certificate_cache.h"

namespace esplane::pki {
namespace {

/// Certificates between a leaf and its anchor.
constexpr int kMostIntermediates = 8;
/// 112 bits of security: RSA of 2048 bits, no SHA-1.
constexpr int kSecurityLevel = 2;

/// Errors that say that CRLs tell nothing, or, of one, that they tell of a revocation.
bool is_about_crls(int code) {
  switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_INVALID_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_CERT_REVOKED:
      return true;
    default:
      return false;
  }
}

/// A CRL that is old or early is still the issuer's; one with any other error may be anybody's.
bool is_about_time(int code) {
  return code == X509_V_ERR_CRL_HAS_EXPIRED || code == X509_V_ERR_CRL_NOT_YET_VALID;
}

/// Notes what CRLs say and lets OpenSSL go on; whatever else is wrong ends the validation.
int note_revocation(int ok, X509_STORE_CTX* context) {
  const int code = X509_STORE_CTX_get_error(context);
  if (ok == 1) return 1;
  // A CRL of which the extensions do not parse is met here; a certificate of that kind is not.
  const bool crl = X509_STORE_CTX_get0_current_crl(context) != nullptr;
  if (!is_about_crls(code) || (code == X509_V_ERR_INVALID_EXTENSION && !crl)) return 0;
  auto& result = *static_cast<PathResult*>(X509_STORE_CTX_get_app_data(context));
  const size_t depth = static_cast<size_t>(X509_STORE_CTX_get_error_depth(context));
  if (result.revocation.size() <= depth) result.revocation.resize(depth + 1);
  Revocation& known = result.revocation[depth];
  if (code == X509_V_ERR_CERT_REVOKED) {
    if (!known.forged) known.code = code;
  } else {
    if (known.code == X509_V_OK) known.code = code;
    known.forged = known.forged || !is_about_time(code);
  }
  return 1;
}

CertificatesPtr others(std::span<const Der> certificates) {
  CertificatesPtr all(sk_X509_new_null());
  for (const Der der : certificates) {
    X509Ptr parsed = CertificateCache::of_thread().read(der);
    // What is not needed for the path need not parse either.
    if (parsed && sk_X509_push(all.get(), parsed.get()) > 0) parsed.release();
  }
  return all;
}

void choose_parameters(X509_STORE_CTX* context, int64_t time) {
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK |
                                              X509_V_FLAG_CRL_CHECK_ALL);
  X509_VERIFY_PARAM_set_depth(parameters, kMostIntermediates);
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(time));
}

}  // namespace

TrustStore::TrustStore(std::span<const Der> anchors, std::span<const Der> crls)
    : store_(X509_STORE_new()) {
  if (!store_) throw std::bad_alloc();
  for (const Der der : anchors) {
    const X509Ptr anchor = parse_certificate(der);
    if (!anchor) throw std::invalid_argument("a trust anchor is no certificate in DER");
    X509_STORE_add_cert(store_.get(), anchor.get());
  }
  for (const Der der : crls) {
    const CrlPtr crl = parse_crl(der);
    if (!crl) throw std::invalid_argument("a CRL is none in DER");
    X509_STORE_add_crl(store_.get(), crl.get());
  }
}

PathResult TrustStore::verify(std::span<const Der> certificates, int64_t time) const {
  PathResult result;
  const X509Ptr leaf = CertificateCache::of_thread().read(certificates[0]);
  if (!leaf) {
    result.code = X509_V_ERR_UNSPECIFIED;
    result.reason = "it is no certificate in DER";
    return result;
  }
  const CertificatesPtr untrusted = others(certificates.subspan(1));
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!context ||
      X509_STORE_CTX_init(context.get(), store_.get(), leaf.get(), untrusted.get()) != 1) {
    throw std::bad_alloc();
  }
  choose_parameters(context.get(), time);
  X509_STORE_CTX_set_app_data(context.get(), &result);
  X509_STORE_CTX_set_verify_cb(context.get(), note_revocation);

  if (X509_verify_cert(context.get()) != 1) {
    result.code = X509_STORE_CTX_get_error(context.get());
    result.reason = X509_verify_cert_error_string(result.code);
    result.depth = X509_STORE_CTX_get_error_depth(context.get());
  }
  STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(path); i++) {
    result.path.push_back(encoded(sk_X509_value(path, i), i2d_X509));
  }
  // The anchor is trusted as it is.
  result.revocation.resize(result.path.empty() ? 0 : result.path.size() - 1);
  ERR_clear_error();
  return result;
}

}  // namespace esplane::pki
