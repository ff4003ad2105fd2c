#include "pki/issue.h"

#include <stdexcept>

namespace esplane::pki {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using NamePtr = std::unique_ptr<X509_NAME, Freer<X509_NAME_free>>;
using IntegerPtr = std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using RevokedPtr = std::unique_ptr<X509_REVOKED, Freer<X509_REVOKED_free>>;

void require(bool ok, const char* what) {
  if (ok) return;
  ERR_clear_error();
  throw std::invalid_argument(what);
}

KeyPtr private_key(Der pkcs8) {
  const uint8_t* at = pkcs8.data();
  KeyPtr key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(pkcs8.size())));
  require(key != nullptr, "the signing key is no PKCS #8 in DER");
  return key;
}

/// The hash that suits a key's strength; Edwards curves bring their own.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  const int type = EVP_PKEY_get_base_id(key);
  if (type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448) return nullptr;
  const int bits = EVP_PKEY_get_security_bits(key);
  return bits > 192 ? EVP_sha512() : bits > 128 ? EVP_sha384() : EVP_sha256();
}

IntegerPtr integer(Der octets) {
  const NumberPtr number(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
  return IntegerPtr(BN_to_ASN1_INTEGER(number.get(), nullptr));
}

TimePtr time_at(int64_t seconds) {
  return TimePtr(ASN1_TIME_set(nullptr, static_cast<time_t>(seconds)));
}

ExtensionPtr extension(X509V3_CTX& context, const ExtensionText& text) {
  const int nid = OBJ_txt2nid(text.name.c_str());
  require(nid != NID_undef, "an extension has an unknown name");
  ExtensionPtr made(X509V3_EXT_nconf_nid(nullptr, &context, nid, text.value.c_str()));
  require(made != nullptr, ("the extension " + text.name + " has a wrong value").c_str());
  return made;
}

}  // namespace

Bytes make_certificate(const CertificateOrder& order) {
  const X509Ptr made(X509_new());
  if (!made) throw std::bad_alloc();
  const uint8_t* at = order.subject.data();
  const NamePtr subject(d2i_X509_NAME(nullptr, &at, static_cast<long>(order.subject.size())));
  require(subject != nullptr, "the subject is no name in DER");
  at = order.public_key.data();
  const KeyPtr public_key(d2i_PUBKEY(nullptr, &at, static_cast<long>(order.public_key.size())));
  require(public_key != nullptr, "the public key is no SubjectPublicKeyInfo in DER");

  X509* issuer = order.issuer == nullptr ? made.get() : order.issuer;
  X509_set_version(made.get(), X509_VERSION_3);
  X509_set_serialNumber(made.get(), integer(order.serial).get());
  X509_set_subject_name(made.get(), subject.get());
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
  X509_set1_notBefore(made.get(), time_at(order.not_before).get());
  X509_set1_notAfter(made.get(), time_at(order.not_after).get());
  X509_set_pubkey(made.get(), public_key.get());

  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, made.get(), nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  for (const ExtensionText& text : order.extensions) {
    X509_add_ext(made.get(), extension(context, text).get(), -1);
  }
  const KeyPtr key = private_key(order.signing_key);
  require(X509_sign(made.get(), key.get(), digest_for(key.get())) > 0, "the key does not sign");
  return encoded(made.get(), i2d_X509);
}

Bytes make_crl(const CrlOrder& order) {
  const CrlPtr made(X509_CRL_new());
  if (!made) throw std::bad_alloc();
  X509_CRL_set_version(made.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(made.get(), X509_get_subject_name(order.issuer));
  X509_CRL_set1_lastUpdate(made.get(), time_at(order.this_update).get());
  X509_CRL_set1_nextUpdate(made.get(), time_at(order.next_update).get());
  for (const RevokedCertificate& each : order.revoked) {
    RevokedPtr revoked(X509_REVOKED_new());
    X509_REVOKED_set_serialNumber(revoked.get(), integer(each.serial).get());
    X509_REVOKED_set_revocationDate(revoked.get(), time_at(each.time).get());
    if (X509_CRL_add0_revoked(made.get(), revoked.get()) == 1) revoked.release();
  }
  X509_CRL_sort(made.get());

  X509V3_CTX context;
  X509V3_set_ctx(&context, order.issuer, nullptr, nullptr, made.get(), 0);
  X509V3_set_ctx_nodb(&context);
  X509_CRL_add_ext(made.get(), extension(context, {"authorityKeyIdentifier", "keyid"}).get(), -1);
  const IntegerPtr number(ASN1_INTEGER_new());
  ASN1_INTEGER_set_uint64(number.get(), order.number);
  X509_CRL_add1_ext_i2d(made.get(), NID_crl_number, number.get(), 0, 0);
  const KeyPtr key = private_key(order.signing_key);
  require(X509_CRL_sign(made.get(), key.get(), digest_for(key.get())) > 0, "the key does not sign");
  return encoded(made.get(), i2d_X509_CRL);
}

}  // namespace esplane::pki
