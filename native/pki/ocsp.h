// OCSP (RFC 6960): what is asked of a responder, and what its response says of one certificate.
// Without nonces, which responders that answer from a cache do not know (RFC 5019 §2.1.1).
#pragma once

#include <string>

#include "pki/openssl.h"

namespace esplane::pki {

struct OcspStatus {
  /// X509_V_OK, X509_V_ERR_CERT_REVOKED, or another code: nothing is known.
  int code;
  /// Why nothing is known.
  std::string reason;
};

/// An OCSPRequest in DER about one certificate.
Bytes ocsp_request(X509* certificate, X509* issuer);

/// @param time  seconds since 1970
/// @note        the response has to be signed by the issuer, or by whom it has delegated that to
///              (RFC 6960 §4.2.2.2), and its times have to fit
OcspStatus ocsp_status(Der response, X509* certificate, X509* issuer, int64_t time);

}  // namespace esplane::pki
