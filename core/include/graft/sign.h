// Signing: a publisher's Ed25519 signature over what a kernel's variants hold.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace graft {

struct SignOptions {
  std::filesystem::path folder;             // a repo with build/<variant>/, or one variant's folder
  std::vector<std::filesystem::path> keys;  // private keys in PEM; each signs
  bool plain = false;                       // metadata.json.sig by one key, instead of metadata.json.dsse
};

/// Writes a signature beside each variant's metadata.json; the variants' folders that were signed. Throws Error:
/// not_found (no variant, no key), invalid_argument (a key that is none; several with `plain`), corrupt (a metadata.json
/// that is none, or without the digest that a signature would be of), io.
std::vector<std::string> sign_variants(const SignOptions& options);

/// Makes a private key in `file`, readable by its owner alone; its public half, SubjectPublicKeyInfo in PEM. Throws
/// Error(io), also if there is such a file already.
std::string make_key(const std::filesystem::path& file);

}  // namespace graft
