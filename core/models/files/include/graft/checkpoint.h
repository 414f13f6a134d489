// A model's weights in a folder: model.safetensors, or model.safetensors.index.json and its shards.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "graft/safetensors.h"

namespace graft {

/// All tensors of a checkpoint by name, whichever file holds them.
/// Thread-safe: immutable after open_checkpoint(). Views live as long as the shared_ptr.
class Checkpoint {
 public:
  /// Shard after shard, each in the order of its data.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return files_by_tensor_.count(name) != 0; }
  /// The file that holds the tensor. Errors: not_found, naming the folder and the tensor.
  const SafetensorsFile& file_of(const std::string& name) const;
  const TensorView& tensor(const std::string& name) const { return file_of(name).tensor(name); }
  const std::vector<std::shared_ptr<const SafetensorsFile>>& files() const { return files_; }

  /// See SafetensorsFile.
  void will_need() const;

 private:
  friend std::shared_ptr<const Checkpoint> open_checkpoint(const std::filesystem::path&,
                                                           SafetensorsFile::Access);
  Checkpoint() = default;

  std::filesystem::path folder_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, const SafetensorsFile*> files_by_tensor_;
};

inline constexpr const char* kSingleFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";

/// The shards that an index names, sorted. Errors as open_checkpoint's.
std::vector<std::string> shards_of(const std::filesystem::path& index);

/// model.safetensors if it is there, else the index. The index's weight_map decides which tensors exist; one
/// that its shard lacks is an error, one that it does not list is left out. Errors: not_found (folder, both
/// files, a shard), corrupt (index, a tensor missing from its shard, a shard named by anything but a plain
/// *.safetensors file name), and those of SafetensorsFile::open.
std::shared_ptr<const Checkpoint> open_checkpoint(
    const std::filesystem::path& folder, SafetensorsFile::Access access = SafetensorsFile::Access::read_only);

}  // namespace graft
