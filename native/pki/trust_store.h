// Paths of certificates (RFC 5280 §6), built and validated by OpenSSL's X509_verify_cert: signatures,
// validity, basic constraints, path length, key usage, name constraints, critical extensions, and
// what CRLs say. What a missing CRL means is for the caller.
#pragma once

#include <openssl/x509_vfy.h>

#include <string>

#include "pki/openssl.h"

namespace esplane::pki {

/// What CRLs say of one certificate of a path.
struct Revocation {
  /// X509_V_OK: in a CRL's scope and not revoked. X509_V_ERR_CERT_REVOKED. Else why nothing is known.
  int code = X509_V_OK;
  /// The CRL in question is not the issuer's: it proves nothing.
  bool forged = false;
};

struct PathResult {
  /// X509_V_OK, or what is wrong with the certificate at `depth`; 0 is the leaf.
  int code = X509_V_OK;
  std::string reason;
  int depth = 0;
  /// Leaf first, the trust anchor last; as far as it was built where it is no good.
  std::vector<Bytes> path;
  /// Of each certificate of the path but the anchor.
  std::vector<Revocation> revocation;
};

/// Trust anchors and CRLs. Several threads need one each.
class TrustStore {
 public:
  /// Anchors need not be self-signed. Throws std::invalid_argument for what does not parse.
  TrustStore(std::span<const Der> anchors, std::span<const Der> crls);

  /// @param certificates  the one in question first; at least one, and in any order behind it
  /// @param time          seconds since 1970
  PathResult verify(std::span<const Der> certificates, int64_t time) const;

 private:
  StorePtr store_;
};

}  // namespace esplane::pki
