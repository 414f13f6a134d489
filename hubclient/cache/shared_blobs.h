// Blobs that huggingface_hub shares between the repos of one cache (since 1.33): <cache>/blobs/<2>/<xet hash>.
#pragma once

#include <filesystem>
#include <stop_token>

#include "graft/hub.h"

namespace graft {

/// Makes `blob` (<cache>/<repo>/blobs/<etag>) a link to the shared one of file.xet_hash, if there is one and
/// its bytes are those of the listing; notes the link in the shared blob's list of references first, so that
/// Python does not clear it away. False, and nothing changed, if there is none, or where linking fails: the
/// file is then downloaded. Nothing is put into the store: that is for downloads by Xet alone, there as here.
/// Throws Error(cancelled).
bool link_shared_blob(const std::filesystem::path& cache, const std::filesystem::path& blob, const HubFile& file,
                      std::stop_token stop);

/// Where in the cache's shared store a blob that is a link leads; empty for other blobs, and where there is no
/// such store.
std::filesystem::path shared_blob_of(const std::filesystem::path& cache, const std::filesystem::path& blob);

/// Removes a shared blob to which, by its list of references, no blob leads any more; the bytes freed. Without a
/// list that can be read it stays, as in Python. Throws Error(io) if its lock cannot be taken.
std::uint64_t sweep_shared_blob(const std::filesystem::path& cache, const std::filesystem::path& shared);

}  // namespace graft
