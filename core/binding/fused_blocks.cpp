#include "fused_blocks.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "module_glob.h"

namespace graft {
namespace {

using Texts = std::vector<std::string>;  // of a path's wildcards: what tells one block from another

/// The paths of all modules, asked for where a member is missing.
class ModulePaths {
 public:
  explicit ModulePaths(const torch::nn::Module& module) : module_(module) {}
  bool has(const std::string& path) {
    if (!paths_) {
      paths_.emplace();
      for (const auto& item : module_.named_modules("", /*include_self=*/false)) paths_->insert(item.key());
    }
    return paths_->contains(path);
  }

 private:
  const torch::nn::Module& module_;
  std::optional<std::set<std::string>> paths_;
};

}  // namespace

bool is_given(const LayerMapping& mapping) {
  return std::any_of(mapping.lines().begin(), mapping.lines().end(), [](const LayerMapping::Line& line) { return !line.reference.empty(); });
}

std::vector<FusedBlock> find_fused_blocks(const KernelConfig& config, const torch::nn::Module& module, const std::vector<Layer>& layers) {
  std::vector<FusedBlock> blocks;
  ModulePaths paths(module);
  for (const KernelConfig::Pair& fusion : config.fusions()) {
    if (!is_given(fusion.second)) continue;
    const std::vector<FusionMember>& members = fusion.first.members();
    std::vector<ModuleGlob> globs;
    for (const FusionMember& member : members) globs.emplace_back(member.module);

    std::map<Texts, std::vector<const Layer*>> found;
    std::vector<Texts> order;  // as the model has its blocks: "10" comes after "9"
    for (const Layer& layer : layers) {
      for (size_t i = 0; i < members.size(); ++i) {
        if (layer.slot->layer() != members[i].layer) continue;
        const std::optional<Texts> texts = globs[i].match(layer.path);
        if (!texts) continue;
        const auto [block, fresh] = found.try_emplace(*texts, members.size());
        if (fresh) order.push_back(*texts);
        if (block->second[i] == nullptr) block->second[i] = &layer;
      }
    }

    for (const Texts& texts : order) {
      FusedBlock& block = blocks.emplace_back(FusedBlock{&fusion, {}, {}});
      for (size_t i = 0; i < members.size(); ++i) {
        if (const Layer* layer = found[texts][i]) {
          block.members.push_back(*layer);
          continue;
        }
        const std::string path = globs[i].fill(texts);
        block.missing += (block.missing.empty() ? "" : ", and ") +
                         (paths.has(path) ? path + " has no layer '" + members[i].layer + "'" : "there is no module " + path);
      }
    }
  }
  return blocks;
}

}  // namespace graft
