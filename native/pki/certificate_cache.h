// Certificates as OpenSSL has parsed them before. Parsing one takes it several times as long as
// checking its signature, because it looks for somebody who reads the key each time; and peers come
// back with the same ones.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "pki/openssl.h"

namespace esplane::pki {

/// Of one thread. What peers send is kept in bounded memory: none that is long, and none at all
/// when there are too many.
class CertificateCache {
 public:
  static CertificateCache& of_thread();

  /// Null where it is no certificate.
  X509Ptr read(Der der);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view octets) const {
      return std::hash<std::string_view>{}(octets);
    }
  };

  std::unordered_map<std::string, X509Ptr, Hash, std::equal_to<>> known_;
};

}  // namespace esplane::pki
