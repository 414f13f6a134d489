// Hasher: SHA-1, SHA-256 and SHA-512 as a stream, over OpenSSL.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// One message's hash. Not shared between threads.
class Hasher {
 public:
  /// `algorithm`: "sha1", "sha256" or "sha512". Throws Error(unsupported) for another one.
  explicit Hasher(std::string_view algorithm);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(const void* bytes, std::size_t count);
  void update(std::string_view text) { update(text.data(), text.size()); }

  /// The hash of all that was given. Once.
  std::vector<unsigned char> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Lower-case hex digits; base64 with padding, on one line.
std::string to_hex(const std::vector<unsigned char>& bytes);
std::string to_base64(const std::vector<unsigned char>& bytes);

/// The bytes of canonical base64 (RFC 4648, with padding, no blanks, no stray bits); nullopt for anything else.
std::optional<std::string> from_base64(std::string_view text);

/// The hash of a regular file's bytes. Throws Error(io).
std::vector<unsigned char> hash_file(const std::filesystem::path& file, std::string_view algorithm);

/// The SHA-1 by which Git knows a file of these bytes: that of "blob <size>\0" and the bytes. Throws Error(io).
std::vector<unsigned char> hash_git_blob(const std::filesystem::path& file);

}  // namespace graft
