#include "graft/hash.h"

#include <openssl/evp.h>

#include <fstream>

#include "graft/error.h"

namespace graft {

struct Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher(std::string_view algorithm) : state_(std::make_unique<State>()) {
  const EVP_MD* digest = algorithm == "sha256"   ? EVP_sha256()
                         : algorithm == "sha512" ? EVP_sha512()
                         : algorithm == "sha1"   ? EVP_sha1()
                                                 : nullptr;
  if (!digest)
    throw Error(ErrorCode::unsupported, "digest algorithm \"" + std::string(algorithm) + "\"",
                "this Graft does not know it", "use sha256 or sha512");
  if (!state_->context || EVP_DigestInit_ex(state_->context, digest, nullptr) != 1)
    throw Error(ErrorCode::internal, "hashing", "OpenSSL refused to start " + std::string(algorithm));
}

Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(const void* bytes, std::size_t count) {
  if (EVP_DigestUpdate(state_->context, bytes, count) != 1)
    throw Error(ErrorCode::internal, "hashing", "OpenSSL refused an update");
}

std::vector<unsigned char> Hasher::finish() {
  std::vector<unsigned char> hash(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(state_->context, hash.data(), &size) != 1)
    throw Error(ErrorCode::internal, "hashing", "OpenSSL refused to finish");
  hash.resize(size);
  return hash;
}

std::string to_hex(const std::vector<unsigned char>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string to_base64(const std::vector<unsigned char>& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends with a NUL
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                             static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                             reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  bytes.resize(bytes.size() - (text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0));
  // OpenSSL takes blanks around it, padding within and bits that stand for nothing: one text alone is right.
  if (to_base64({bytes.begin(), bytes.end()}) != text) return std::nullopt;
  return bytes;
}

namespace {

std::vector<unsigned char> finish_with(Hasher hasher, const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || !std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::io, "file " + file.string(), "cannot be read",
                "check that it exists and its permissions");
  std::vector<char> buffer(1 << 16);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    hasher.update(buffer.data(), static_cast<std::size_t>(in.gcount()));
  if (in.bad()) throw Error(ErrorCode::io, "file " + file.string(), "reading it failed");
  return hasher.finish();
}

}  // namespace

std::vector<unsigned char> hash_file(const std::filesystem::path& file, std::string_view algorithm) {
  return finish_with(Hasher(algorithm), file);
}

std::vector<unsigned char> hash_git_blob(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) throw Error(ErrorCode::io, "file " + file.string(), "cannot be read", "check that it exists and its permissions");
  Hasher hasher("sha1");
  hasher.update("blob " + std::to_string(size) + std::string(1, '\0'));
  return finish_with(std::move(hasher), file);
}

}  // namespace graft
