#include "http_hub.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "../hub_json.h"
#include "download.h"
#include "graft/error.h"
#include "graft/tree.h"
#include "url.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxFiles = 1'000'000;  // of a commit
constexpr int kMaxPages = 10'000;             // of its listing
// Asked again after that long, if the cache has an answer meanwhile: each of a model's kernels would wait for
// the same timeout otherwise.
constexpr std::chrono::seconds kUnreachableFor{60};

HubOptions checked(HubOptions options) {
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  origin_of(options.endpoint);
  if (options.cache_dir.empty() || options.kernels_cache_dir.empty()) {
    HubOptions defaults = HubOptions::from_environment();
    if (options.cache_dir.empty()) options.cache_dir = defaults.cache_dir;
    if (options.kernels_cache_dir.empty()) options.kernels_cache_dir = defaults.kernels_cache_dir;
  }
  options.connections = std::clamp(options.connections, 1, 64);
  // Fetches may go on at once, and no two of them are to tell at once.
  if (options.progress) {
    options.progress = [tell = std::move(options.progress),
                        mutex = std::make_shared<std::mutex>()](const Progress& progress) {
      const std::lock_guard lock(*mutex);
      tell(progress);
    };
  }
  return options;
}

/// The Hub cannot be asked now; it has not said no.
bool is_out_of_reach(const Error& e) {
  return e.code() == ErrorCode::offline || e.code() == ErrorCode::timed_out || e.code() == ErrorCode::unavailable ||
         e.code() == ErrorCode::untrusted;
}

void check_commit(const RepoId& repo, const std::string& commit) {
  if (!is_commit(commit))
    throw Error(ErrorCode::invalid_argument, label(repo) + "@" + commit, "is not a commit (40 hex digits)");
}

std::vector<HubFile> below(const std::vector<HubFile>& files, std::string_view prefix) {
  if (prefix.empty()) return files;
  std::vector<HubFile> chosen;
  std::string folder = std::string(prefix) + "/";
  std::copy_if(files.begin(), files.end(), std::back_inserter(chosen),
               [&](const HubFile& file) { return file.path.starts_with(folder); });
  return chosen;
}

std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

}  // namespace

HttpHub::HttpHub(HubOptions options) : options_(checked(std::move(options))), client_(options_) {}

std::vector<std::string> HttpHub::repos(RepoKind kind) {
  return cached_repos(options_, kind);
}

bool HttpHub::has(const RepoId& repo) try {
  refs(repo);
  return true;
} catch (const Error& e) {
  if (e.code() == ErrorCode::not_found) return false;
  throw;
}

Refs HttpHub::refs(const RepoId& repo) {
  Refs cached{{}, RepoCache(options_, repo).refs(), {}};
  const bool known = !cached.branches.empty();
  if (!options_.offline && (reachable() || !known)) {
    try {
      std::string url = api::refs_url(options_.endpoint, repo);
      return parse_refs(ask(url, label(repo), known).body, url);
    } catch (const Error& e) {
      if (!known || !is_out_of_reach(e)) throw;
      cached.stale = e.what();
    }
  } else {
    cached.stale = options_.offline ? "HF_HUB_OFFLINE is set" : "the Hub was out of reach a moment ago";
  }
  if (!known) throw not_cached(label(repo));
  return cached;
}

RepoInfo HttpHub::info(const RepoId& repo, const std::string& revision) {
  check_repo_name(repo.name);
  if (options_.offline) throw not_cached(label(repo));
  std::string url = api::info_url(options_.endpoint, repo, revision);
  return parse_info(ask(url, label(repo) + "@" + revision, false).body, url);
}

std::vector<HubFile> HttpHub::list(const RepoId& repo, const std::string& commit, std::string_view prefix) {
  check_inside(prefix);
  check_commit(repo, commit);
  if (auto files = known_tree(repo, commit)) return below(*files, prefix);
  RepoCache cache(options_, repo);
  auto here = [&] { return below(cache.files_here(commit), prefix); };
  if (!reachable())
    if (auto files = here(); !files.empty()) return files;
  if (options_.offline) throw not_cached(label(repo) + "@" + commit + ": its list of files");
  try {
    std::vector<HubFile> files = ask_tree(repo, commit, prefix);
    if (prefix.empty()) cache.write_tree(commit, files);
    return files;
  } catch (const Error& e) {
    if (!is_out_of_reach(e)) throw;
    if (auto files = here(); !files.empty()) return files;
    throw;
  }
}

fs::path HttpHub::fetch(const RepoId& repo, const Revision& revision, const std::vector<HubFile>& files,
                        const FetchOptions& options) {
  check_commit(repo, revision.commit);
  RepoCache cache(options_, repo);
  std::vector<HubFile> missing;
  for (const HubFile& file : files) {
    check_inside(file.path);
    if (etag_of(file).empty())
      throw Error(ErrorCode::invalid_argument, "file " + file.path, "has no hash to hold it against",
                  "take the files to fetch from list()");
    if (!cache.has(revision.commit, file)) missing.push_back(file);
  }
  if (!missing.empty()) {
    if (options_.offline) throw not_cached(label(repo) + "@" + revision.name + ", file " + missing.front().path);
    Download(client_, options_, repo, revision.commit, options).run(missing);
  }
  // Now that all is there: who comes offline finds the commit of the newest whole fetch.
  if (!is_commit(revision.name)) cache.write_ref(revision.name, revision.commit);
  return cache.snapshot(revision.commit);
}

fs::path HttpHub::file(const RepoId& repo, const std::string& revision, const std::string& path,
                       const FetchOptions& options) {
  check_inside(path);
  RepoCache cache(options_, repo);
  const std::string what = label(repo) + "@" + revision + ", file " + path;
  const std::string commit = is_commit(revision) ? revision : cache.ref(revision).value_or("");
  const bool cached = !commit.empty() && fs::is_regular_file(cache.snapshot(commit) / path);
  if (cached && (is_commit(revision) || !reachable())) return cache.snapshot(commit) / path;
  if (!commit.empty() && is_commit(revision) && cache.known_missing(commit, path))
    throw Error(ErrorCode::not_found, what, "is not there", "list its files, or name another revision");
  if (options_.offline) throw not_cached(what);

  std::optional<api::FileHeaders> found;
  try {
    found = ask_file(repo, revision, path, cached ? cache.linked_etag(commit, path) : "", options);
  } catch (const Error& e) {
    if (!cached || !is_out_of_reach(e)) throw;
  }
  if (!found) return cache.snapshot(commit) / path;  // as it was, or out of reach
  if (found->commit.empty())
    throw Error(ErrorCode::corrupt, what, "the answer does not name its commit (X-Repo-Commit)",
                "check HF_ENDPOINT and the proxy: what answers may be no Hub");
  return fetch(repo, {revision, found->commit}, {found->file}, options) / path;
}

HttpResponse HttpHub::ask(const std::string& url, const std::string& what, bool cached) {
  try {
    HttpResponse response = client_.get(
        {.url = url, .timeout = options_.metadata_timeout, .retries = cached ? 0 : options_.retries});
    api::check_status(response, what, !options_.token.empty());
    return response;
  } catch (const Error& e) {
    if (is_out_of_reach(e)) note_unreachable();
    throw;
  }
}

std::optional<std::vector<HubFile>> HttpHub::known_tree(const RepoId& repo, const std::string& commit) {
  RepoCache cache(options_, repo);
  const std::string key = cache.snapshot(commit).string();
  {
    std::lock_guard lock(mutex_);
    if (auto it = trees_.find(key); it != trees_.end()) return it->second;
  }
  auto files = cache.tree(commit);
  if (files) {
    std::lock_guard lock(mutex_);
    trees_.emplace(key, *files);
  }
  return files;
}

std::vector<HubFile> HttpHub::ask_tree(const RepoId& repo, const std::string& commit, std::string_view prefix) {
  const std::string what = label(repo) + "@" + commit;
  std::vector<HubFile> files;
  std::string url = api::tree_url(options_.endpoint, repo, commit, prefix);
  for (int pages = 0; !url.empty(); ++pages) {
    HttpResponse response;
    try {
      response = ask(url, what, false);
    } catch (const Error& e) {
      if (!prefix.empty() && e.code() == ErrorCode::not_found && has(repo)) return {};
      throw;
    }
    for (HubFile& file : parse_tree_page(response.body, url)) files.push_back(std::move(file));
    std::string next = api::next_page(response.header("link"));
    std::string from = std::exchange(url, next.empty() ? "" : redirected(url, next));
    if (!url.empty() && origin_of(url) != origin_of(options_.endpoint))
      throw Error(ErrorCode::corrupt, what, "its list of files goes on at another server, " + origin_of(url),
                  "check HF_ENDPOINT and the proxy");
    if (files.size() > kMaxFiles || pages >= kMaxPages || url == from)
      throw Error(ErrorCode::corrupt, what, "its list of files does not end", "name another commit");
  }
  std::sort(files.begin(), files.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  auto twice = std::adjacent_find(files.begin(), files.end(),
                                  [](const HubFile& a, const HubFile& b) { return a.path == b.path; });
  if (twice != files.end())
    throw Error(ErrorCode::corrupt, what, "lists the file " + twice->path + " twice", "name another commit");
  return files;
}

/// What the Hub says of a file; nullopt if it is still the one of `known_etag`.
std::optional<api::FileHeaders> HttpHub::ask_file(const RepoId& repo, const std::string& revision,
                                                  const std::string& path, const std::string& known_etag,
                                                  const FetchOptions& options) {
  HttpRequest request{.url = api::file_url(options_.endpoint, repo, revision, path),
                      .head = true,
                      .timeout = options_.metadata_timeout,
                      .retries = known_etag.empty() ? options_.retries : 0,
                      .stop = options.stop};
  if (!known_etag.empty()) request.headers.push_back("If-None-Match: \"" + known_etag + "\"");
  // The Hub's redirect to where a large file lies says all there is to know.
  request.accept = [](const HttpResponse& response) { return response.header("x-linked-etag").empty(); };
  HttpResponse response;
  try {
    response = client_.get(request);
  } catch (const Error& e) {
    if (is_out_of_reach(e)) note_unreachable();
    throw;
  }
  if (response.status == 304) return std::nullopt;
  if (response.header("x-error-code") == "EntryNotFound")
    if (const std::string& commit = response.header("x-repo-commit"); is_commit(commit))
      RepoCache(options_, repo).remember_missing(commit, path);
  if (!response.is_redirect())
    api::check_status(response, label(repo) + "@" + revision + ", file " + path, !options_.token.empty());
  return api::file_headers(response, path);
}

Error HttpHub::not_cached(const std::string& what) const {
  return options_.offline
             ? Error(ErrorCode::offline, what, "is not in the cache, and HF_HUB_OFFLINE is set",
                     "unset HF_HUB_OFFLINE, or fetch it where there is a network: graft download")
             : Error(ErrorCode::offline, what, "is not in the cache, and the Hub is out of reach",
                     "check the network, the proxy (https_proxy) and HF_ENDPOINT");
}

bool HttpHub::reachable() const {
  return !options_.offline && now() >= unreachable_until_;
}

void HttpHub::note_unreachable() {
  unreachable_until_ = now() + std::chrono::nanoseconds(kUnreachableFor).count();
}

}  // namespace graft
