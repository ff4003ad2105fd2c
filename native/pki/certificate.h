// What a certificate says, as far as IKE asks (RFC 4945 §5, RFC 5280 §4).
#pragma once

#include <optional>
#include <string>

#include "pki/openssl.h"

namespace esplane::pki {

/// A subject alternative name: tag of GeneralName (RFC 5280 §4.2.1.6), and its octets. Of the tags
/// 1 (mail), 2 (host), 6 (URI) the text, of 4 a Name in DER, of 7 the address; others are left out.
struct AltName {
  int tag;
  Bytes value;
};

struct CertificateFacts {
  Bytes subject;  ///< Name in DER
  Bytes issuer;
  std::string serial;  ///< hexadecimal digits
  std::vector<AltName> alt_names;
  bool is_ca;
  std::optional<uint32_t> key_usage;           ///< bits of OpenSSL's KU_ constants
  std::vector<std::string> extended_key_usage;  ///< object identifiers
  std::vector<std::string> crl_urls;            ///< http only
  std::vector<std::string> ocsp_urls;
};

CertificateFacts facts_of(X509* certificate);

}  // namespace esplane::pki
