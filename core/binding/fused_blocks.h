// FusedBlock: where in a model a fusion finds its members.
#pragma once

#include <string>
#include <vector>

#include "graft/kernel_config.h"
#include "layer_slot.h"

namespace graft {

struct FusedBlock {
  const KernelConfig::Pair* fusion;  // of the config that was searched for
  std::vector<Layer> members;  // in the fusion's order; those that were found, if not all
  std::string missing;  // why the block is left as it is; empty if all members are there
};

/// Whether it names any kernel: with "" alone there is nothing to look for.
bool is_given(const LayerMapping& mapping);

/// Blocks in the order of the config's fusions, then of the model's modules. A fusion that no module belongs to has none.
std::vector<FusedBlock> find_fused_blocks(const KernelConfig& config, const torch::nn::Module& module, const std::vector<Layer>& layers);

}  // namespace graft
