#include "graft/checkpoint.h"

#include <algorithm>
#include <map>

#include "graft/error.h"
#include "json_text.h"

namespace graft {
namespace {

// An index comes from the Hub: a shard's name must not reach out of the folder.
bool is_plain_shard_name(const std::string& name) {
  return name.ends_with(".safetensors") && !name.starts_with('.') &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

/// Shard file name → the tensors it must hold.
std::map<std::string, std::vector<std::string>> read_index(const std::filesystem::path& path) {
  const detail::Json json = detail::parse_object(detail::read_text(path), path.string());
  const detail::Fields weight_map = detail::Fields(json, path.string()).object("weight_map");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : weight_map.items()) {
    if (!shard.is_string() || !is_plain_shard_name(shard.get_ref<const std::string&>())) {
      weight_map.fail(tensor, "is not in a plain *.safetensors file beside the index: " + shard.dump());
    }
    shards[shard.get<std::string>()].push_back(tensor);
  }
  return shards;
}

}  // namespace

std::vector<std::string> shards_of(const std::filesystem::path& index) {
  std::vector<std::string> names;
  for (const auto& [shard, tensors] : read_index(index)) names.push_back(shard);
  return names;
}

std::shared_ptr<const Checkpoint> open_checkpoint(const std::filesystem::path& folder,
                                                  SafetensorsFile::Access access) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->folder_ = folder;
  const auto add = [&](const std::string& file_name) -> const SafetensorsFile& {
    checkpoint->files_.push_back(SafetensorsFile::open(folder / file_name, access));
    return *checkpoint->files_.back();
  };

  std::error_code error;
  if (std::filesystem::exists(folder / kSingleFile, error)) {
    const SafetensorsFile& file = add(kSingleFile);
    checkpoint->names_ = file.names();
    for (const std::string& name : file.names()) checkpoint->files_by_tensor_.emplace(name, &file);
    return checkpoint;
  }
  if (!std::filesystem::exists(folder / kIndexFile, error)) {
    throw Error(ErrorCode::not_found, folder.string(),
                std::string("holds neither ") + kSingleFile + " nor " + kIndexFile,
                "give the folder of a model in safetensors format");
  }
  for (const auto& [shard, tensors] : read_index(folder / kIndexFile)) {
    const SafetensorsFile& file = add(shard);
    for (const std::string& tensor : tensors) {
      if (!file.contains(tensor)) {
        throw Error(ErrorCode::corrupt, "tensor \"" + tensor + '"',
                    "missing from " + file.path().string() + ", where " + kIndexFile + " says it is",
                    "download the model again");
      }
      checkpoint->files_by_tensor_.emplace(tensor, &file);
    }
    std::copy_if(file.names().begin(), file.names().end(), std::back_inserter(checkpoint->names_),
                 [&](const std::string& name) {
                   const auto found = checkpoint->files_by_tensor_.find(name);
                   return found != checkpoint->files_by_tensor_.end() && found->second == &file;
                 });
  }
  return checkpoint;
}

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto found = files_by_tensor_.find(name);
  if (found == files_by_tensor_.end()) {
    throw Error(ErrorCode::not_found, "tensor \"" + name + '"', "not in the checkpoint " + folder_.string(),
                "check that config.json and the weights are of the same model");
  }
  return *found->second;
}

void Checkpoint::will_need() const {
  for (const auto& file : files_) file->will_need();
}

}  // namespace graft
