#include "pki/ocsp.h"

#include <openssl/ocsp.h>

#include <stdexcept>

namespace esplane::pki {
namespace {

using RequestPtr = std::unique_ptr<OCSP_REQUEST, Freer<OCSP_REQUEST_free>>;
using ResponsePtr = std::unique_ptr<OCSP_RESPONSE, Freer<OCSP_RESPONSE_free>>;
using BasicPtr = std::unique_ptr<OCSP_BASICRESP, Freer<OCSP_BASICRESP_free>>;
using CertIdPtr = std::unique_ptr<OCSP_CERTID, Freer<OCSP_CERTID_free>>;

/// Clocks differ by that much.
constexpr int64_t kSkewSeconds = 300;
/// A response that does not say when it is over counts for that long.
constexpr int64_t kOpenEndSeconds = 3600;
constexpr int kSecurityLevel = 2;

OcspStatus unknown(const char* reason) { return {X509_V_ERR_OCSP_CERT_UNKNOWN, reason}; }

/// SHA-1 names the certificate in it, as each responder knows it (RFC 5019 §2.1.1).
CertIdPtr certificate_id(X509* certificate, X509* issuer) {
  return CertIdPtr(OCSP_cert_to_id(EVP_sha1(), certificate, issuer));
}

/// Whether the issuer, or whom it has delegated that to, has signed it, and not with SHA-1.
bool is_authentic(OCSP_BASICRESP* basic, X509* issuer, int64_t time) {
  int digest = NID_undef, key = NID_undef;
  const X509_ALGOR* algorithm = OCSP_resp_get0_tbs_sigalg(basic);
  OBJ_find_sigid_algs(OBJ_obj2nid(algorithm->algorithm), &digest, &key);
  if (digest == NID_sha1 || digest == NID_md5) return false;

  const StorePtr store(X509_STORE_new());
  if (!store || X509_STORE_add_cert(store.get(), issuer) != 1) throw std::bad_alloc();
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM* parameters = X509_STORE_get0_param(store.get());
  X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(time));
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  STACK_OF(X509)* issuers = sk_X509_new_null();
  if (issuers == nullptr) throw std::bad_alloc();
  sk_X509_push(issuers, issuer);
  const bool good = OCSP_basic_verify(basic, issuers, store.get(), 0) == 1;
  sk_X509_free(issuers);
  return good;
}

/// Whether `time` lies between the two, of which the second may be missing.
bool is_current(const ASN1_GENERALIZEDTIME* from, const ASN1_GENERALIZEDTIME* until, int64_t time) {
  const auto now = static_cast<time_t>(time);
  if (from == nullptr || ASN1_TIME_cmp_time_t(from, now + kSkewSeconds) > 0) return false;
  if (until != nullptr) return ASN1_TIME_cmp_time_t(until, now - kSkewSeconds) >= 0;
  return ASN1_TIME_cmp_time_t(from, now - kOpenEndSeconds) >= 0;
}

OcspStatus status_in(OCSP_BASICRESP* basic, OCSP_CERTID* id, int64_t time) {
  int status = V_OCSP_CERTSTATUS_UNKNOWN;
  ASN1_GENERALIZEDTIME *revoked_at = nullptr, *from = nullptr, *until = nullptr;
  if (OCSP_resp_find_status(basic, id, &status, nullptr, &revoked_at, &from, &until) != 1) {
    return unknown("the OCSP response is about another certificate");
  }
  if (status == V_OCSP_CERTSTATUS_REVOKED) return {X509_V_ERR_CERT_REVOKED, ""};
  if (!is_current(from, until, time)) return unknown("the OCSP response is over, or yet to come");
  if (status == V_OCSP_CERTSTATUS_GOOD) return {X509_V_OK, ""};
  return unknown("the OCSP responder does not know the certificate");
}

}  // namespace

Bytes ocsp_request(X509* certificate, X509* issuer) {
  const RequestPtr request(OCSP_REQUEST_new());
  CertIdPtr id = certificate_id(certificate, issuer);
  if (!request || !id || OCSP_request_add0_id(request.get(), id.get()) == nullptr) {
    throw std::bad_alloc();
  }
  id.release();
  return encoded(request.get(), i2d_OCSP_REQUEST);
}

OcspStatus ocsp_status(Der response, X509* certificate, X509* issuer, int64_t time) {
  const ResponsePtr parsed(parse_whole<OCSP_RESPONSE, d2i_OCSP_RESPONSE>(response));
  if (!parsed) return unknown("the OCSP responder has sent something else than a response");
  const int outcome = OCSP_response_status(parsed.get());
  if (outcome != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return unknown(OCSP_response_status_str(outcome));
  }
  const BasicPtr basic(OCSP_response_get1_basic(parsed.get()));
  const CertIdPtr id = certificate_id(certificate, issuer);
  OcspStatus status = unknown("the OCSP response is of an unknown type");
  if (basic && id) {
    status = is_authentic(basic.get(), issuer, time)
                 ? status_in(basic.get(), id.get(), time)
                 : unknown("the OCSP response is not signed by whom the issuer has appointed");
  }
  ERR_clear_error();
  return status;
}

}  // namespace esplane::pki
