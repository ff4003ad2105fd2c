#include "pki/certificate.h"

#include <algorithm>
#include <cstring>

namespace esplane::pki {
namespace {

/// A peer's certificate may hold any number of each.
constexpr int kMostEntries = 64;

template <typename T, int Nid, auto Free>
std::unique_ptr<T, Freer<Free>> extension(const X509* certificate) {
  return std::unique_ptr<T, Freer<Free>>(
      static_cast<T*>(X509_get_ext_d2i(certificate, Nid, nullptr, nullptr)));
}

Bytes octets_of(const ASN1_STRING* string) {
  const uint8_t* data = ASN1_STRING_get0_data(string);
  return Bytes(data, data + ASN1_STRING_length(string));
}

std::vector<AltName> alt_names_of(X509* certificate) {
  const auto names = extension<GENERAL_NAMES, NID_subject_alt_name, GENERAL_NAMES_free>(certificate);
  std::vector<AltName> found;
  const int count = names ? std::min(sk_GENERAL_NAME_num(names.get()), kMostEntries) : 0;
  for (int i = 0; i < count; i++) {
    int tag = 0;
    void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &tag);
    if (tag == GEN_EMAIL || tag == GEN_DNS || tag == GEN_URI || tag == GEN_IPADD) {
      found.push_back({tag, octets_of(static_cast<ASN1_STRING*>(value))});
    } else if (tag == GEN_DIRNAME) {
      found.push_back({tag, encoded(static_cast<X509_NAME*>(value), i2d_X509_NAME)});
    }
  }
  return found;
}

std::vector<std::string> extended_key_usage_of(X509* certificate) {
  const auto usage =
      extension<EXTENDED_KEY_USAGE, NID_ext_key_usage, EXTENDED_KEY_USAGE_free>(certificate);
  std::vector<std::string> found;
  const int count = usage ? std::min(sk_ASN1_OBJECT_num(usage.get()), kMostEntries) : 0;
  for (int i = 0; i < count; i++) {
    char text[80];
    OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(usage.get(), i), 1);
    found.emplace_back(text);
  }
  return found;
}

void keep_http(std::vector<std::string>& urls, std::string url) {
  if (url.starts_with("http://") && urls.size() < kMostEntries) urls.push_back(std::move(url));
}

std::vector<std::string> crl_urls_of(X509* certificate) {
  const auto points =
      extension<CRL_DIST_POINTS, NID_crl_distribution_points, CRL_DIST_POINTS_free>(certificate);
  std::vector<std::string> found;
  for (int i = 0; points && i < sk_DIST_POINT_num(points.get()); i++) {
    const DIST_POINT* point = sk_DIST_POINT_value(points.get(), i);
    if (point->distpoint == nullptr || point->distpoint->type != 0) continue;
    const GENERAL_NAMES* names = point->distpoint->name.fullname;
    for (int j = 0; j < sk_GENERAL_NAME_num(names); j++) {
      int tag = 0;
      void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, j), &tag);
      if (tag != GEN_URI) continue;
      const Bytes url = octets_of(static_cast<ASN1_STRING*>(value));
      keep_http(found, std::string(url.begin(), url.end()));
    }
  }
  return found;
}

std::vector<std::string> ocsp_urls_of(X509* certificate) {
  std::vector<std::string> found;
  STACK_OF(OPENSSL_STRING)* urls = X509_get1_ocsp(certificate);
  for (int i = 0; i < sk_OPENSSL_STRING_num(urls); i++) {
    keep_http(found, sk_OPENSSL_STRING_value(urls, i));
  }
  X509_email_free(urls);
  return found;
}

std::string serial_of(X509* certificate) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t octet : octets_of(X509_get0_serialNumber(certificate))) {
    text += kDigits[octet >> 4];
    text += kDigits[octet & 15];
  }
  return text;
}

}  // namespace

CertificateFacts facts_of(X509* certificate) {
  CertificateFacts facts{
      .subject = encoded(X509_get_subject_name(certificate), i2d_X509_NAME),
      .issuer = encoded(X509_get_issuer_name(certificate), i2d_X509_NAME),
      .serial = serial_of(certificate),
      .alt_names = alt_names_of(certificate),
      .is_ca = X509_check_ca(certificate) != 0,
      .key_usage = std::nullopt,
      .extended_key_usage = extended_key_usage_of(certificate),
      .crl_urls = crl_urls_of(certificate),
      .ocsp_urls = ocsp_urls_of(certificate),
  };
  const uint32_t usage = X509_get_key_usage(certificate);
  if (usage != UINT32_MAX) facts.key_usage = usage;
  ERR_clear_error();
  return facts;
}

}  // namespace esplane::pki
