// Makes certificates and CRLs (RFC 5280 §4, §5), for `esplane pki`.
#pragma once

#include <string>

#include "pki/openssl.h"

namespace esplane::pki {

/// An extension in the words of OpenSSL's x509v3_config(5), such as `basicConstraints`, `CA:TRUE`.
struct ExtensionText {
  std::string name;
  std::string value;
};

struct CertificateOrder {
  Der subject;  ///< Name in DER
  Der public_key;  ///< SubjectPublicKeyInfo in DER
  X509* issuer;    ///< null: it is self-signed
  Der signing_key;  ///< the issuer's, PKCS #8 in DER
  Der serial;       ///< 1 to 20 octets, positive
  int64_t not_before;  ///< seconds since 1970
  int64_t not_after;
  std::vector<ExtensionText> extensions;
};

struct RevokedCertificate {
  Der serial;
  int64_t time;  ///< seconds since 1970
};

struct CrlOrder {
  X509* issuer;
  Der signing_key;
  uint64_t number;
  int64_t this_update;
  int64_t next_update;
  std::vector<RevokedCertificate> revoked;
};

/// Both return DER, and throw std::invalid_argument for what OpenSSL does not take.
Bytes make_certificate(const CertificateOrder& order);
Bytes make_crl(const CrlOrder& order);

}  // namespace esplane::pki
