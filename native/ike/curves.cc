#include "ike/curves.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/freer.h"

namespace esplane::ike {
namespace {

using base::Freer;

using ManagementPtr = std::unique_ptr<EVP_KEYMGMT, Freer<EVP_KEYMGMT_free>>;

/// What a provider has under this name for an operation (provider(7)).
const OSSL_DISPATCH* implementation(const OSSL_PROVIDER* provider, int operation,
                                    std::string_view name) {
  int volatile_answer = 0;
  const OSSL_ALGORITHM* one = OSSL_PROVIDER_query_operation(provider, operation, &volatile_answer);
  for (; one != nullptr && one->algorithm_names != nullptr; one++) {
    const std::string_view names = one->algorithm_names;
    if (names.substr(0, names.find(':')) == name) return one->implementation;
  }
  require(false);
  return nullptr;
}

template <typename Function>
void find(const OSSL_DISPATCH* functions, int id, Function*& found) {
  while (functions->function_id != 0 && functions->function_id != id) functions++;
  found = reinterpret_cast<Function*>(functions->function);
  require(found != nullptr);
}

/// One curve as its provider has it (provider-keymgmt(7), provider-keyexch(7)). By way of EVP_PKEY
/// each key costs as much as a multiplication does: libcrypto looks through the names of all
/// algorithms then.
class Provided {
 public:
  explicit Provided(const char* name) : management_(EVP_KEYMGMT_fetch(nullptr, name, nullptr)) {
    require(management_ != nullptr);
    const OSSL_PROVIDER* provider = EVP_KEYMGMT_get0_provider(management_.get());
    context_ = OSSL_PROVIDER_get0_provider_ctx(provider);
    const OSSL_DISPATCH* keys = implementation(provider, OSSL_OP_KEYMGMT, name);
    find(keys, OSSL_FUNC_KEYMGMT_NEW, new_key_);
    find(keys, OSSL_FUNC_KEYMGMT_FREE, free_key_);
    find(keys, OSSL_FUNC_KEYMGMT_IMPORT, import_);
    find(keys, OSSL_FUNC_KEYMGMT_GET_PARAMS, get_);
    const OSSL_DISPATCH* exchange = implementation(provider, OSSL_OP_KEYEXCH, name);
    find(exchange, OSSL_FUNC_KEYEXCH_NEWCTX, new_exchange_);
    find(exchange, OSSL_FUNC_KEYEXCH_FREECTX, free_exchange_);
    find(exchange, OSSL_FUNC_KEYEXCH_INIT, init_);
    find(exchange, OSSL_FUNC_KEYEXCH_SET_PEER, set_peer_);
    find(exchange, OSSL_FUNC_KEYEXCH_DERIVE, derive_);
  }

  void public_value(Bytes private_key, Room out) const {
    const Owned key = make_key(private_key, {});
    OSSL_PARAM wanted[] = {octets(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out), OSSL_PARAM_construct_end()};
    require(get_(key.get(), wanted) == 1);
  }

  /// False where libcrypto refuses a secret of zeros.
  bool derive(Bytes private_key, Bytes peer_public, Room out) const {
    // Where a private key comes without its public value, libcrypto works that out, at the cost of a
    // derivation, and does not use it then: so it is given one, whichever.
    const Owned own = make_key(private_key, peer_public);
    const Owned peer = make_key({}, peer_public);
    const Owned exchange(new_exchange_(context_), free_exchange_);
    require(exchange != nullptr && init_(exchange.get(), own.get(), nullptr) == 1);
    require(set_peer_(exchange.get(), peer.get()) == 1);
    size_t bytes = 0;
    const bool derived = derive_(exchange.get(), out.data(), &bytes, out.size()) == 1;
    if (!derived) ERR_clear_error();
    return derived && bytes == out.size();
  }

 private:
  using Owned = std::unique_ptr<void, void (*)(void*)>;

  static OSSL_PARAM octets(const char* name, Bytes value) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(value.data()), value.size());
  }

  /// One half may be empty. The key is overwritten when it goes.
  Owned make_key(Bytes private_key, Bytes public_key) const {
    Owned key(new_key_(context_), free_key_);
    OSSL_PARAM parts[3];
    size_t count = 0;
    int selection = 0;
    if (!private_key.empty()) {
      parts[count++] = octets(OSSL_PKEY_PARAM_PRIV_KEY, private_key);
      selection |= OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
    }
    if (!public_key.empty()) {
      parts[count++] = octets(OSSL_PKEY_PARAM_PUB_KEY, public_key);
      selection |= OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    }
    parts[count] = OSSL_PARAM_construct_end();
    require(key != nullptr && import_(key.get(), selection, parts) == 1);
    return key;
  }

  ManagementPtr management_;  ///< keeps its provider
  void* context_;
  OSSL_FUNC_keymgmt_new_fn* new_key_;
  OSSL_FUNC_keymgmt_free_fn* free_key_;
  OSSL_FUNC_keymgmt_import_fn* import_;
  OSSL_FUNC_keymgmt_get_params_fn* get_;
  OSSL_FUNC_keyexch_newctx_fn* new_exchange_;
  OSSL_FUNC_keyexch_freectx_fn* free_exchange_;
  OSSL_FUNC_keyexch_init_fn* init_;
  OSSL_FUNC_keyexch_set_peer_fn* set_peer_;
  OSSL_FUNC_keyexch_derive_fn* derive_;
};

const Provided& provided(Curve curve) {
  thread_local std::unique_ptr<const Provided> made[kCurves];
  auto& one = made[static_cast<size_t>(curve)];
  if (one == nullptr) one = std::make_unique<Provided>(curve == Curve::kX25519 ? "X25519" : "X448");
  return *one;
}

}  // namespace

void public_value(Curve curve, Bytes private_key, Room out) {
  provided(curve).public_value(private_key, out);
}

bool shared_secret(Curve curve, Bytes private_key, Bytes peer_public, Room out) {
  uint8_t secret[key_bytes(Curve::kX448)];
  const size_t bytes = key_bytes(curve);
  const bool derived = provided(curve).derive(private_key, peer_public, {secret, bytes});
  // OpenSSL refuses an all-zero result too; that is not relied upon.
  uint8_t any = 0;
  for (size_t i = 0; derived && i < bytes; i++) any = static_cast<uint8_t>(any | secret[i]);
  if (any != 0) std::memcpy(out.data(), secret, bytes);
  base::wipe(secret, sizeof secret);
  return any != 0;
}

}  // namespace esplane::ike
