// OpenSSL's objects with owners, and DER into them.
#pragma once

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/freer.h"

namespace esplane::pki {

using Der = std::span<const uint8_t>;
using Bytes = std::vector<uint8_t>;

using base::Freer;

using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

inline void free_certificates(STACK_OF(X509) * all) { sk_X509_pop_free(all, X509_free); }
inline void free_crls(STACK_OF(X509_CRL) * all) { sk_X509_CRL_pop_free(all, X509_CRL_free); }
using CertificatesPtr = std::unique_ptr<STACK_OF(X509), Freer<free_certificates>>;
using CrlsPtr = std::unique_ptr<STACK_OF(X509_CRL), Freer<free_crls>>;

/// What stands in these octets, all of them; null where that is something else. OpenSSL keeps what
/// it has complained about in a queue of the thread, which would mislead whoever reads it next.
template <typename T, auto Parse>
T* parse_whole(Der der) {
  const uint8_t* at = der.data();
  T* parsed = Parse(nullptr, &at, static_cast<long>(der.size()));
  ERR_clear_error();
  return parsed;
}

inline X509Ptr parse_certificate(Der der) {
  X509Ptr certificate(parse_whole<X509, d2i_X509>(der));
  const bool whole = certificate && i2d_X509(certificate.get(), nullptr) == static_cast<int>(der.size());
  return whole ? std::move(certificate) : nullptr;
}

inline CrlPtr parse_crl(Der der) { return CrlPtr(parse_whole<X509_CRL, d2i_X509_CRL>(der)); }

/// An object as DER; `encode` is one of the i2d functions.
template <typename T, typename Encode>
Bytes encoded(T* object, Encode encode) {
  uint8_t* memory = nullptr;
  const int length = encode(object, &memory);
  if (length < 0) return {};
  Bytes bytes(memory, memory + length);
  OPENSSL_free(memory);
  return bytes;
}

}  // namespace esplane::pki
