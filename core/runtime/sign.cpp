#include "graft/sign.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "graft/error.h"
#include "keys/ed25519.h"
#include "keys/key_signature.h"
#include "graft/metadata.h"
#include "variant_digest.h"
#include "whole_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> variants_of(const fs::path& folder) {
  if (fs::exists(folder / "metadata.json")) return {folder};
  std::vector<fs::path> variants;
  if (fs::is_directory(folder / "build"))
    for (const fs::directory_entry& item : fs::directory_iterator(folder / "build"))
      if (fs::exists(item.path() / "metadata.json")) variants.push_back(item.path());
  if (variants.empty())
    throw Error(ErrorCode::not_found, "folder " + folder.string(), "has no metadata.json, nor any in build/<variant>/",
                "pack the kernel first: graft pack writes the digests that a signature is over");
  std::sort(variants.begin(), variants.end());
  return variants;
}

std::vector<std::string> read_keys(const SignOptions& options) {
  if (options.keys.empty() || (options.plain && options.keys.size() > 1))
    throw Error(ErrorCode::invalid_argument, "signing " + options.folder.string(),
                options.keys.empty() ? "needs a key" : "a plain signature file has room for one key",
                options.keys.empty() ? "make one: graft sign --new-key FILE" : "leave --plain out");
  std::vector<std::string> keys;
  for (const fs::path& file : options.keys) {
    if (!fs::is_regular_file(file))
      throw Error(ErrorCode::not_found, "key " + file.string(), "there is no such file",
                  "make one: graft sign --new-key FILE");
    keys.push_back(read_whole(file));
  }
  return keys;
}

}  // namespace

std::vector<std::string> sign_variants(const SignOptions& options) {
  const std::vector<std::string> keys = read_keys(options);
  std::vector<std::string> done;
  for (const fs::path& variant : variants_of(options.folder)) {
    const std::string metadata = read_metadata(variant);
    if (parse_metadata(metadata).algorithm.empty())
      throw Error(ErrorCode::corrupt, "variant " + variant.string(),
                  "its metadata.json has no digest, so that a signature would cover none of its files",
                  "pack the kernel first: graft pack");
    if (options.plain)
      write_whole(variant / kPlainFile, sign_plain(metadata, keys.front()));
    else
      write_whole(variant / kDsseFile, sign_dsse(metadata, keys));
    done.push_back(variant.string());
  }
  return done;
}

std::string make_key(const fs::path& file) {
  const std::string key = ed25519::make_private_key();
  int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, key.data(), key.size()) == static_cast<ssize_t>(key.size());
  int number = errno;
  if (fd >= 0) close(fd);
  if (!written)
    throw Error(ErrorCode::io, "key " + file.string(), std::strerror(number), "name a file that is not there yet");
  return ed25519::public_key_of(key);
}

}  // namespace graft
