// A hub's folder served over HTTP, and a Hub that speaks to it with a cache of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hub.h"
#include "hub_server.h"

namespace graft::test {

template <class F>
ErrorCode code_of(F&& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

/// Bytes that are all over the place, the same for the same seed.
inline std::string noise(std::size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

class HubTest : public testing::Test {
 protected:
  inline static const std::string kMain = std::string(40, 'a'), kSide = std::string(40, 'b');
  inline static const std::string kLibrary = noise(5000), kText = "norm, a kernel\n";
  inline static const RepoId kNorm{RepoKind::kernel, "org/norm"}, kModel{RepoKind::model, "org/model"};

  HubTest() {
    add(kNorm, kMain, "README.md", kText);
    add(kNorm, kMain, "build/v/norm.so", kLibrary);
    add(kNorm, kMain, "build/v/metadata.json", "{}");
    add(kNorm, kMain, "build/w/norm.so", "another variant");
    add(kNorm, kSide, "README.md", "side");
    add(kModel, kMain, "config.json", "{}");
    refer(kNorm, "heads/main", kMain);
    refer(kNorm, "heads/feature/x", kSide);
    refer(kNorm, "tags/v1.0.0", kMain);
    refer(kModel, "heads/main", kMain);
  }

  std::filesystem::path repo(const RepoId& repo) const {
    return folder_.path() / "hub" / (repo.kind == RepoKind::kernel ? "kernels" : "models") / repo.name;
  }
  void add(const RepoId& id, const std::string& commit, const std::string& path, const std::string& bytes) {
    write_file(repo(id) / "commits" / commit / path, bytes);
  }
  void refer(const RepoId& id, const std::string& ref, const std::string& commit) {
    write_file(repo(id) / "refs" / ref, commit);
  }

  HubServer& serve(ServerOptions options = {}) {
    options.root = folder_.path() / "hub";
    return server_.emplace(std::move(options));
  }
  HubServer& server() { return server_ ? *server_ : serve(); }

  /// With waits short enough for tests.
  HubOptions options() {
    HubOptions options;
    options.endpoint = server().endpoint();
    options.cache_dir = options.kernels_cache_dir = cache();
    options.retry_wait = std::chrono::milliseconds(5);
    return options;
  }
  std::filesystem::path cache() const { return folder_.path() / "cache"; }
  std::filesystem::path cached(const RepoId& id) const {
    std::string name = id.name;
    name.replace(name.find('/'), 1, "--");
    return cache() / ((id.kind == RepoKind::kernel ? "kernels--" : "models--") + name);
  }

  std::filesystem::path fetch(Hub& hub, const RepoId& id, const std::string& name, const std::string& prefix = "",
                              const FetchOptions& fetching = {}) {
    Revision revision{name, name};
    if (!is_commit(name)) revision = find_revision(hub.refs(id), name).value();
    return hub.fetch(id, revision, hub.list(id, revision.commit, prefix), fetching);
  }

  /// Files below a folder whose names say that they are not done.
  std::vector<std::string> unfinished(const std::filesystem::path& below) const {
    std::vector<std::string> found;
    if (std::filesystem::exists(below))
      for (const auto& item : std::filesystem::recursive_directory_iterator(below))
        if (std::string name = item.path().filename(); name.ends_with(".incomplete") || name.starts_with(".graft-"))
          found.push_back(item.path());
    return found;
  }

  TempFolder folder_;
  std::optional<HubServer> server_;
};

}  // namespace graft::test
