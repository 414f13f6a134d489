// Decider: what each layer of a module is to run. kernelize() then puts it in force, plan_kernels() only
// tells it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "graft/error.h"
#include "graft/kernelize.h"
#include "slot_state.h"

namespace graft {

struct Layer {
  std::string path;  // of the module: "model.layers.0.mlp"
  std::shared_ptr<SlotState> slot;
};

/// What is to become of a layer: the same whether it is then bound or only told.
struct Decision {
  LayerLine line;
  std::shared_ptr<const BoundKernel> kernel = nullptr;  // null: the layer's own forward, or nobody wanted it made
  std::optional<Error> refused = {};                    // set for a fallback
};

/// Decides for one layer after the other; what it was made from must outlive it. Not thread-safe.
class Decider {
 public:
  enum class Make { kernels, report_alone };

  /// Throws Error(invalid_argument) for options that contradict each other.
  Decider(const torch::nn::Module& module, const KernelizeOptions& options, Make make);

  /// `other`: what was decided for the layer in another mode, whose kernel serves this one too if it is the same.
  Decision decide(const Layer& layer, Mode mode, const Decision* other = nullptr);

 private:
  const LayerLine& mapping_of(const std::string& layer, Mode mode);
  std::shared_ptr<const MappedKernel> mapped(const std::string& reference);
  std::shared_ptr<const BoundKernel> bind(const Layer& layer, const std::shared_ptr<const Kernel>& found, LayerFacts facts);
  const std::optional<Error>& objection(const MappedKernel& found, Mode mode, const graft_contract& contract, const LayerFacts& facts);

  const KernelizeOptions& options_;
  KernelConfig config_;
  Make make_;
  c10::Device device_ = c10::kCPU;
  at::ScalarType dtype_ = at::kFloat;
  int capability_ = 0;        // of a CUDA device, major * 10 + minor
  std::string mapping_off_;   // not empty: why no layer is mapped
  std::shared_ptr<const Policy> policy_;  // null: this machine's
  bool self_check_ = true;
  // What holds for all layers of a name, a reference, a kind, is found once.
  std::map<std::pair<std::string, Mode>, LayerLine> mappings_;
  std::map<std::string, std::shared_ptr<const MappedKernel>> mapped_;
  std::map<std::tuple<const MappedKernel*, Mode, const graft_contract*, at::ScalarType>, std::optional<Error>> objections_;
};

}  // namespace graft
