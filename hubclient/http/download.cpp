#include "download.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "../cache/file_lock.h"
#include "../cache/shared_blobs.h"
#include "api.h"
#include "parted_file.h"

namespace graft {
namespace {

constexpr std::uint64_t kLarge = 32 << 20;  // bytes, from which on a file comes in parts
constexpr std::chrono::milliseconds kTellEvery{100};

}  // namespace

Download::Download(HttpClient& client, const HubOptions& options, const RepoId& repo, const std::string& commit,
                   const FetchOptions& fetch)
    : client_(client),
      options_(options),
      repo_(repo),
      commit_(commit),
      cache_(options, repo),
      tell_(fetch.progress ? fetch.progress : options.progress),
      when_asked_(fetch.stop, [this] { stop_.request_stop(); }) {}

void Download::run(const std::vector<HubFile>& files) {
  std::uint64_t bytes = 0;
  for (const HubFile& file : files) bytes += file.size;
  cache_.make_folders();
  cache_.check_space(bytes);
  progress_ = {.label = repo_.name, .total_bytes = bytes, .total_files = files.size()};

  std::vector<const HubFile*> small, large;
  for (const HubFile& file : files) (file.size >= kLarge ? large : small).push_back(&file);
  std::atomic<std::size_t> next = 0;
  in_threads(std::min<std::size_t>(static_cast<std::size_t>(options_.connections), small.size()), [&] {
    for (std::size_t i; (i = next++) < small.size();) get(*small[i]);
  });
  in_threads(large.empty() ? 0 : 1, [&] {
    for (const HubFile* file : large) get(*file);
  });

  progress_.done = true;
  if (tell_) tell_(progress_);
  if (failure_) std::rethrow_exception(failure_);
}

/// Runs `work` in `count` threads, this one among them, unless something has failed already.
void Download::in_threads(std::size_t count, const std::function<void()>& work) {
  auto guarded = [&] {
    try {
      work();
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stop_.request_stop();
    }
  };
  if (count == 0 || failure_) return;
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < count; ++i) others.emplace_back(guarded);
  guarded();
}

void Download::get(const HubFile& file) {
  if (stop_.stop_requested()) throw Error(ErrorCode::cancelled, "file " + file.path, "was cancelled");
  const std::string& etag = etag_of(file);
  FileLock lock(cache_.lock(etag), stop_.get_token());
  if (cache_.has_blob(file) ||  // another repo file's, another process's
      (options_.shared_blobs && options_.symlinks &&
       link_shared_blob(cache_.root(), cache_.blob(etag), file, stop_.get_token()))) {
    progress(static_cast<std::int64_t>(file.size));
  } else {
    try {
      get_blob(file, lock.held());
    } catch (const Error& e) {
      // What an earlier try left may have been bad, or what came now; or graft rm cleared the repo away just before: once
      // more, from the beginning.
      const bool cleared = e.code() == ErrorCode::io && !std::filesystem::exists(cache_.folder() / "blobs");
      if (e.code() != ErrorCode::corrupt && !cleared) throw;
      get_blob(file, false);
    }
  }
  cache_.link(commit_, file);
  progress(0, 0, true);
}

void Download::get_blob(const HubFile& file, bool shared) {
  cache_.make_folders();  // where graft rm cleared the repo away since run() made them
  BlobWriter writer(cache_.blob(etag_of(file)), file, shared);
  progress(static_cast<std::int64_t>(writer.written()));
  try {
    if (file.size - writer.written() < kLarge || !in_parts(file, writer)) stream(file, writer);
    writer.publish();
  } catch (...) {
    progress(-static_cast<std::int64_t>(writer.written()));
    throw;
  }
}

bool Download::in_parts(const HubFile& file, BlobWriter& writer) {
  auto received = [this](std::int64_t bytes) { progress(bytes, bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0); };
  return PartedFile(client_, options_, api::file_url(options_.endpoint, repo_, commit_, file.path),
                    label(repo_) + ", file " + file.path, received, stop_.get_token())
      .get(file, writer);
}

/// From where the writer stands to the end, in one answer, or several if the connection breaks.
void Download::stream(const HubFile& file, BlobWriter& writer) {
  Retry retry(options_, options_.retries, stop_.get_token());
  while (writer.written() < file.size || file.size == 0) {
    const std::uint64_t begin = writer.written();
    HttpRequest request{.url = api::file_url(options_.endpoint, repo_, commit_, file.path),
                        .timeout = options_.download_timeout,
                        .max_body = std::numeric_limits<std::uint64_t>::max(),  // the writer knows better
                        .retries = options_.retries,
                        .stop = stop_.get_token()};
    if (begin > 0) request.headers.push_back(api::range_header(begin, file.size));
    request.accept = [&](const HttpResponse& response) {
      if (response.status < 200 || response.status >= 300 || begin == 0 || api::begins_at(response, begin)) return true;
      progress(-static_cast<std::int64_t>(begin));
      writer.restart();
      return response.status == 200;
    };
    request.on_body = [&](std::string_view bytes) {
      writer.append(bytes);
      progress(static_cast<std::int64_t>(bytes.size()), bytes.size());
    };
    try {
      HttpResponse response = client_.get(request);
      if (response.status == 416) {  // what is there is more than the server has
        progress(-static_cast<std::int64_t>(writer.written()));
        writer.restart();
        if (!retry.again(ErrorCode::unavailable)) api::check_status(response, "file " + file.path, !options_.token.empty());
        continue;
      }
      api::check_status(response, label(repo_) + ", file " + file.path, !options_.token.empty());
      return;  // publish() sees whether it was all
    } catch (const Error& e) {
      if (writer.written() > begin) retry.reset();
      if (!retry.again(e.code())) throw;
    }
  }
}

/// `bytes` more (or fewer) of what is to come are here; `received` of them came over the network just now.
void Download::progress(std::int64_t bytes, std::uint64_t received, bool file_done) {
  if (!tell_) return;
  std::lock_guard lock(mutex_);
  progress_.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, static_cast<std::int64_t>(progress_.bytes) + bytes));
  progress_.received += received;
  progress_.files += file_done;
  auto now = std::chrono::steady_clock::now();
  if (now - told_ < kTellEvery) return;
  told_ = now;
  tell_(progress_);
}

}  // namespace graft
