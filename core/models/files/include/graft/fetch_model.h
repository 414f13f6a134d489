// A model's folder, from a Hub if need be.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/hub.h"

namespace graft {

struct FetchedModel {
  std::filesystem::path folder;
  std::string commit;  // 40 hex digits; empty for a folder that was named itself
  std::string note;    // not empty: this is from the cache, which may be behind the Hub, and why
};

/// `name`: a folder, taken as it is, or "org/name" of a model repo, of which configuration, tokenizer and
/// safetensors files are fetched unless they are cached: the index of a sharded checkpoint first, then the
/// shards that it names. `revision`: a branch, tag or commit. Throws Error, as Hub (hub.h).
FetchedModel fetch_model(const std::string& name, const std::string& revision = "main",
                         const HubOptions& hub = HubOptions::from_environment(), const FetchOptions& options = {});

/// The same of config.json alone: what a model is made of, without its weights. The cache's branch stays where the last
/// whole model is.
FetchedModel fetch_model_config(const std::string& name, const std::string& revision = "main",
                                const HubOptions& hub = HubOptions::from_environment(), const FetchOptions& options = {});

/// Which of a model repo's `files` (of list()) Graft reads: those of fetch_model. The index of a sharded checkpoint is
/// fetched to know its shards.
std::vector<HubFile> model_files(Hub& hub, const RepoId& repo, const std::string& commit,
                                 const std::vector<HubFile>& files, const FetchOptions& options = {});

}  // namespace graft
