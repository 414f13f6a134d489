// What a bundle is about: a file's digests.
#include <openssl/evp.h>

#include <array>
#include <fstream>

#include "encoding.h"
#include "graft/error.h"
#include "graft/sigstore.h"

namespace graft {
namespace {

constexpr std::size_t kMaxContent = std::size_t{64} << 20;
constexpr std::array kHashes = {sigstore::Hash::sha256, sigstore::Hash::sha384, sigstore::Hash::sha512};

/// The three digests in one pass.
class Digests {
 public:
  Digests() {
    const EVP_MD* digests[] = {EVP_sha256(), EVP_sha384(), EVP_sha512()};
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      contexts_[i].reset(EVP_MD_CTX_new());
      check(contexts_[i] && EVP_DigestInit_ex(contexts_[i].get(), digests[i], nullptr) == 1);
    }
  }
  void update(const char* bytes, std::size_t count) {
    for (auto& context : contexts_) check(EVP_DigestUpdate(context.get(), bytes, count) == 1);
  }
  std::map<std::string, std::vector<unsigned char>, std::less<>> finish() {
    std::map<std::string, std::vector<unsigned char>, std::less<>> all;
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      auto& digest = all[name(kHashes[i])];
      unsigned int size = 0;
      digest.resize(EVP_MAX_MD_SIZE);
      check(EVP_DigestFinal_ex(contexts_[i].get(), digest.data(), &size) == 1);
      digest.resize(size);
    }
    return all;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  static void check(bool done) {
    if (!done) throw Error(ErrorCode::internal, "hashing", "OpenSSL refused it");
  }
  std::array<std::unique_ptr<EVP_MD_CTX, Free>, 3> contexts_;
};

}  // namespace

Artifact Artifact::of_file(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) throw Error(ErrorCode::not_found, file.string(), "no such file");
  std::ifstream in(file, std::ios::binary);
  if (!in || !std::filesystem::is_regular_file(file, error))
    throw Error(ErrorCode::io, file.string(), "cannot be read",
                "check that it is a file, and its permissions");
  Digests digests;
  std::string content;
  bool is_small = true;
  std::vector<char> buffer(std::size_t{1} << 16);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    const auto count = static_cast<std::size_t>(in.gcount());
    digests.update(buffer.data(), count);
    is_small = is_small && content.size() + count <= kMaxContent;
    if (is_small) content.append(buffer.data(), count);
  }
  if (in.bad()) throw Error(ErrorCode::io, file.string(), "reading it failed");
  Artifact artifact;
  artifact.digests_ = digests.finish();
  if (is_small) artifact.content_ = std::move(content);
  return artifact;
}

Artifact Artifact::of_bytes(std::string content) {
  Artifact artifact;
  Digests digests;
  digests.update(content.data(), content.size());
  artifact.digests_ = digests.finish();
  artifact.content_ = std::move(content);
  return artifact;
}

Artifact Artifact::of_digest(std::string_view digest) {
  constexpr std::string_view prefix = "sha256:";
  std::optional<std::vector<unsigned char>> bytes;
  if (digest.starts_with(prefix)) bytes = sigstore::decode_hex(digest.substr(prefix.size()));
  if (!bytes || bytes->size() != 32)
    throw Error(ErrorCode::invalid_argument, "digest \"" + std::string(digest.substr(0, 160)) + '"',
                "is not \"sha256:\" and 64 hex digits", "write it so, or give the file's path");
  Artifact artifact;
  artifact.digests_["sha256"] = *std::move(bytes);
  return artifact;
}

const std::vector<unsigned char>* Artifact::digest(std::string_view algorithm) const {
  auto found = digests_.find(algorithm);
  return found == digests_.end() ? nullptr : &found->second;
}

}  // namespace graft
