#include "pki/certificate_cache.h"

namespace esplane::pki {
namespace {

constexpr size_t kMostCertificates = 256;
constexpr size_t kMostOctets = 16'384;

X509Ptr share(const X509Ptr& certificate) {
  X509_up_ref(certificate.get());
  return X509Ptr(certificate.get());
}

}  // namespace

CertificateCache& CertificateCache::of_thread() {
  thread_local CertificateCache cache;
  return cache;
}

X509Ptr CertificateCache::read(Der der) {
  const std::string_view octets(reinterpret_cast<const char*>(der.data()), der.size());
  const auto found = known_.find(octets);
  if (found != known_.end()) return share(found->second);
  X509Ptr certificate = parse_certificate(der);
  if (certificate == nullptr || der.size() > kMostOctets) return certificate;
  if (known_.size() == kMostCertificates) known_.clear();
  known_.emplace(octets, share(certificate));
  return certificate;
}

}  // namespace esplane::pki
