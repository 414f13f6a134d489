// What fusions make of a model's layers, one mode at a time.
#include <algorithm>

#include "decide.h"
#include "module_tree.h"

namespace graft {
namespace {

std::string at(const Layer& layer) { return layer.path + " (" + layer.slot->layer() + ")"; }

}  // namespace

void Decider::find_fusions(const torch::nn::Module& module, const std::vector<Layer>& layers) {
  if (config_.fusions().empty() || !mapping_off_.empty()) return;
  layers_ = layers;
  blocks_ = find_fused_blocks(config_, module, layers);
  for (const KernelConfig::Pair& fusion : config_.fusions()) {
    const bool found = std::any_of(blocks_.begin(), blocks_.end(), [&](const FusedBlock& block) { return block.fusion == &fusion; });
    if (!found && is_given(fusion.second)) warnings_.push_back("this model has no layer that is in the fusion '" + fusion.first.str() + "'");
  }
}

const Decider::Fused& Decider::fused(Mode mode) {
  const auto [known, fresh] = fused_.try_emplace(mode);
  if (!fresh) return known->second;
  std::map<std::pair<const KernelConfig::Pair*, std::string>, LayerLine> lines;
  for (const FusedBlock& block : blocks_) {
    const c10::Device device = block.members.empty() ? device_ : device_of(block.members.front());
    const auto [line, unknown] = lines.try_emplace({block.fusion, device.str()});
    if (unknown) {
      const Mapping mapping = mapping_of(block.fusion->second, mode, "", device);
      if (const auto* asked = std::get_if<MappedKernels::Asked>(&mapping))
        line->second.mapped = kernels_.find({*asked}).front();
    }
    if (line->second.mapped != nullptr) decide_block(block, line->second, mode, known->second);
  }
  return known->second;
}

void Decider::decide_block(const FusedBlock& block, const LayerLine& line, Mode mode, Fused& fused) {
  const std::string fusion = "fusion '" + block.fusion->first.str() + "'";
  const auto leave = [&](const std::string& why) {
    for (const Layer& member : block.members) fused.left_out[member.slot.get()] = "not in the " + fusion + ": " + why;
    const std::string warning = "the " + fusion + " leaves blocks as they are: " + folded(why);
    if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) warnings_.push_back(warning);
  };
  if (!block.missing.empty()) return leave(block.missing);
  for (const Layer& member : block.members) {
    if (fused.decisions.contains(member.slot.get())) return leave(at(member) + " is in another fusion, or covered by it");
  }

  const Layer& first = block.members.front();
  Decision& other = fused_kernels_[{first.slot.get(), line.mapped.get()}];
  Decision decision = decide_kernel(line, first, mode, &other, &block);
  if (decision.kernel != nullptr) other = decision;

  const bool bound = decision.line.state == LayerState::bound;
  if (!bound) decision.line.reason = fusion + ": " + decision.line.reason;
  Decision further = {.line = decision.line, .refused = decision.refused};
  if (decision.kernel != nullptr) further.chain = decision.kernel->facts().chain;
  if (bound) {
    further.line.covered_by = at(first);
    std::string also;
    for (size_t i = 1; i < block.members.size(); ++i) {
      const FusionMember& member = block.fusion->first.members()[i];
      also += (also.empty() ? "does the work of " : " and ") + member.module + " (" + member.layer + ")";
    }
    decision.line.reason += (decision.line.reason.empty() ? "" : "; ") + also + " as well";
  }
  for (size_t i = 1; i < block.members.size(); ++i) fused.decisions[block.members[i].slot.get()] = further;
  fused.decisions[first.slot.get()] = std::move(decision);
  if (bound) leave_covering_layers(block, mode, fused);
}

LayerFacts Decider::facts_of(const FusedBlock& block, const Kernel& kernel) const {
  std::vector<FusedChain::Member> members;
  for (const Layer& member : block.members) members.push_back({member.path, member.slot});
  const auto chain = std::make_shared<FusedChain>(std::move(members), *kernel.entry);
  return chain->facts(chain, device_of(block.members.front()), dtype_);
}

/// A kernel of theirs would do a member's work before the fusion's comes to it.
void Decider::leave_covering_layers(const FusedBlock& block, Mode mode, Fused& fused) {
  for (const Layer& layer : layers_) {
    if (layer.slot->options().covers.empty() || mapped_line(layer, mode).mapped == nullptr) continue;
    const std::string prefix = layer.path.empty() ? "" : layer.path + ".";
    for (const std::string& below : layer.slot->options().covers) {
      const bool covers = std::any_of(block.members.begin(), block.members.end(), [&](const Layer& member) { return member.path == prefix + below; });
      if (!covers) continue;
      const std::string why = "not bound: a kernel here would do the work of " + below + ", which the fusion '" + block.fusion->first.str() + "' does";
      fused.decisions.try_emplace(layer.slot.get(), Decision{.line = {LayerState::own, nullptr, why}});
    }
  }
}

}  // namespace graft
