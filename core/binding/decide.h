// Decider: what each layer of a module is to run. kernelize() then puts it in force, plan_kernels() only
// tells it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "fused_blocks.h"
#include "graft/error.h"
#include "graft/kernelize.h"
#include "layer_slot.h"
#include "mapped_kernels.h"

namespace graft {

/// What is to become of a layer: the same whether it is then bound or only told.
struct Decision {
  LayerLine line;
  std::shared_ptr<const BoundKernel> kernel = nullptr;  // null: the layer's own forward, or nobody wanted it made
  std::optional<Error> refused = {};                    // set for a fallback
  std::shared_ptr<FusedChain> chain = nullptr;          // not null: another layer's kernel does this one's work
};

/// Decides for one layer after the other; what it was made from must outlive it. Not thread-safe.
class Decider {
 public:
  enum class Make { kernels, report_alone };

  /// Throws Error(invalid_argument) for options that contradict each other.
  Decider(const torch::nn::Module& module, const KernelizeOptions& options, Make make);

  /// What it decides about: what decide() gets is among `modes`, the first of which says in which order
  /// layers are bound.
  const std::vector<Mode>& modes() const { return modes_; }
  /// Before any decision for these layers, all of the module's: loads the kernels that they are mapped to,
  /// and finds the blocks that the config's fusions take together.
  void survey(const torch::nn::Module& module, const std::vector<Layer>& layers);
  /// The order in which they are to be decided: as they come, or, where kernels pack weights, those with the largest weights first.
  /// A layer's own are let go once they are packed: so most memory is needed while little else is packed yet. What covers a layer
  /// has its weights and comes before it either way.
  std::vector<const Layer*> in_binding_order(const std::vector<Layer>& layers);
  /// Of fusions, as far as it was decided for them.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// A layer is to be decided before those that it covers. `other`: what was decided for it in another mode, whose kernel serves this
  /// one too if it is the same.
  Decision decide(const Layer& layer, Mode mode, const Decision* other = nullptr);

 private:
  Decision decide_layer(const Layer& layer, Mode mode, const Decision* other);
  /// Whether the kernel that `line` asks for comes to be bound, for the layer itself (`block` null) or for a
  /// block that begins with it.
  Decision decide_kernel(const LayerLine& line, const Layer& layer, Mode mode, const Decision* other,
                         const FusedBlock* block);
  /// That of the layer's weights. A layer without any is where the next ones are, below its module or above.
  c10::Device device_of(const Layer& layer) const;
  /// Layers of a name on a device are mapped alike.
  struct Kind {
    std::string_view layer;  // a slot's own
    Mode mode;
    c10::Device device;
    bool operator==(const Kind&) const = default;
  };
  struct KindHash {
    size_t operator()(const Kind& kind) const {
      return std::hash<std::string_view>()(kind.layer) + size_t(kind.mode);
    }
  };
  Kind kind_of(const Layer& layer, Mode mode) const;
  /// A kernel, or a line that says why none is asked for.
  using Mapping = std::variant<LayerLine, MappedKernels::Asked>;
  Mapping mapping_of(const Layer& layer, Mode mode) const;
  Mapping mapping_of(const LayerMapping& mapping, Mode mode, const std::string& contract,
                     c10::Device device) const;
  /// As far as the mapping says it: its state is open where a kernel is asked for.
  const LayerLine& mapped_line(const Layer& layer, Mode mode) const {
    return lines_.at(kind_of(layer, mode));
  }
  void find_fusions(const torch::nn::Module& module, const std::vector<Layer>& layers);
  /// Notes that layers below a bound one do not run.
  void cover(const Layer& layer, const Decision& decision);
  std::shared_ptr<const BoundKernel> bind(const Layer& layer, const std::shared_ptr<const Kernel>& found, LayerFacts facts);
  const std::optional<Error>& objection(const MappedKernel& found, Mode mode, const graft_contract& contract, const LayerFacts& facts);

  const KernelizeOptions& options_;
  /// What fusions make of a mode's layers, each of which is then not decided by itself.
  struct Fused {
    std::map<const SlotState*, Decision> decisions;
    std::map<const SlotState*, std::string> left_out;  // members of a block that stays as it is, and why
  };
  const Fused& fused(Mode mode);
  void decide_block(const FusedBlock& block, const LayerLine& line, Mode mode, Fused& fused);
  /// Of its layers as one.
  LayerFacts facts_of(const FusedBlock& block, const Kernel& kernel) const;
  void leave_covering_layers(const FusedBlock& block, Mode mode, Fused& fused);

  KernelConfig config_;
  Make make_;
  std::shared_ptr<const Policy> policy_;  // null: this machine's
  bool self_check_;
  MappedKernels kernels_;
  std::vector<Mode> modes_;
  c10::Device device_ = c10::kCPU;  // of layers for which nothing else is known
  std::map<std::string, c10::Device> parameter_devices_;  // by path, where they are not all on one
  at::ScalarType dtype_ = at::kFloat;
  std::string mapping_off_;         // not empty: why no layer is mapped
  std::vector<Layer> layers_;       // of a module with fusions
  std::vector<FusedBlock> blocks_;  // which point into config_
  std::map<Mode, Fused> fused_;
  std::map<std::pair<const SlotState*, const MappedKernel*>, Decision> fused_kernels_;  // of first members, decided in another mode
  std::vector<std::string> warnings_;
  bool packs_ = false;  // whether a kernel packs weights: as far as in_binding_order() has seen
  std::set<std::string> covered_;  // then: paths of layers whose work a kernel above them does, in some mode
  // What holds for all layers of a kind is found once.
  std::unordered_map<Kind, LayerLine, KindHash> lines_;
  std::map<std::tuple<const MappedKernel*, Mode, const graft_contract*, at::ScalarType>, std::optional<Error>> objections_;
  std::map<std::tuple<const MappedKernel*, const graft_contract*, at::ScalarType>, std::optional<Error>>
      wrong_results_;
};

}  // namespace graft
