// X25519 and X448 (RFC 7748, RFC 8031), by the functions of libcrypto's provider.
#pragma once

#include "ike/libcrypto.h"

namespace esplane::ike {

enum class Curve : uint8_t { kX25519, kX448 };
constexpr size_t kCurves = 2;
/// Octets of private keys, public values and secrets.
constexpr size_t key_bytes(Curve curve) { return curve == Curve::kX25519 ? 32 : 56; }

/// The public value of a private key, which may be any octets.
/// @note all of key_bytes(curve)
void public_value(Curve curve, Bytes private_key, Room out);

/// The shared secret; false where it is all zero (RFC 8031 §3), and then nothing is written.
/// @note all of key_bytes(curve)
bool shared_secret(Curve curve, Bytes private_key, Bytes peer_public, Room out);

}  // namespace esplane::ike
