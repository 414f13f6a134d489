// Ed25519 keys (RFC 8032) in PEM, over OpenSSL.
#pragma once

#include <string>
#include <string_view>

namespace graft::ed25519 {

/// A new private key, PKCS #8 in PEM.
std::string make_private_key();

/// Its public key, SubjectPublicKeyInfo in PEM. Throws Error(invalid_argument) for what is no Ed25519 private key.
std::string public_key_of(const std::string& private_key);

/// "sha256:<hex>" over the key's SubjectPublicKeyInfo in DER. Throws Error(invalid_argument) for what is no Ed25519
/// public key.
std::string key_id(const std::string& public_key);

/// 64 bytes. Throws Error(invalid_argument).
std::string sign(const std::string& private_key, std::string_view message);

/// Throws Error(invalid_argument) for a key that is none; a signature that is none is false.
bool verify(const std::string& public_key, std::string_view message, std::string_view signature);

}  // namespace graft::ed25519
