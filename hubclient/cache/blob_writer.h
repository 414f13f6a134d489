// BlobWriter: bytes on their way into the cache, which get their name when they are whole and right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "graft/hash.h"
#include "graft/hub.h"

namespace graft {

/// Writes "<blob>.incomplete" beside the blob, hashing as it goes. What an earlier, broken download left
/// there is gone on from (its bytes are hashed first), so the caller holds the blob's lock. Not shared
/// between threads.
class BlobWriter {
 public:
  /// `shared`: the lock is held, and an earlier try's bytes are worth having; else the file gets a name of
  /// its own, as in Python, and goes with this object. Throws Error: io, disk_full.
  BlobWriter(const std::filesystem::path& blob, const HubFile& file, bool shared);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;

  std::uint64_t written() const { return written_; }
  bool resumed() const { return resumed_; }

  /// The next bytes. Throws Error: corrupt if they are more than the file has, io, disk_full.
  void append(std::string_view bytes);

  /// Begins anew: the server did not go on from where this stood.
  void restart();

  /// Holds size and hash (SHA-256 of an LFS file, else git's SHA-1) against the listing's, syncs and renames.
  /// Throws Error: corrupt, and what was written is gone; io, disk_full.
  void publish();

 private:
  void begin_hash();
  void rehash();
  void write_all(std::string_view bytes);
  void remove();

  std::filesystem::path blob_, partial_;
  HubFile file_;
  int fd_ = -1;
  std::uint64_t written_ = 0, flushed_ = 0;
  bool resumed_ = false, shared_ = false, published_ = false;
  std::optional<Hasher> hasher_;
};

/// The name of a file's blob: its ETag, which is the SHA-256 of an LFS file, else git's SHA-1.
const std::string& etag_of(const HubFile& file);

/// A file of these bytes hashes to what the listing says. Throws Error(io).
bool matches(const std::filesystem::path& path, const HubFile& file);

/// Git's SHA-1 of a file's bytes as a blob, in hex. Throws Error(io).
std::string git_sha1(const std::filesystem::path& path);

}  // namespace graft
