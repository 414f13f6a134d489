// Decider: what each layer of a module is to run. kernelize() then puts it in force, plan_kernels() only
// tells it.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>

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
  LayerReport report;
  std::shared_ptr<const BoundKernel> kernel;  // null: the layer's own forward, or nobody wanted it made
  std::exception_ptr refused;           // set for a fallback
};

/// A decision without a kernel.
Decision leave_own(const Layer& layer, LayerState state, std::string reason);

/// Decides for one layer after the other; what it was made from must outlive it. Not thread-safe.
class Decider {
 public:
  enum class Make { kernels, report_alone };

  /// Throws Error(invalid_argument) for options that contradict each other.
  Decider(const torch::nn::Module& module, const KernelizeOptions& options, Make make);

  /// `other`: what was decided for the layer in another mode, whose kernel serves this one too if it is the same.
  Decision decide(const Layer& layer, Mode mode, const Decision* other = nullptr);

 private:
  Decision with_kernel(const Layer& layer, const std::string& reference, Mode mode, const Decision* other);
  const Kernel& kernel(const std::string& reference);
  void check_results(const Kernel& found, const std::string& reference, const graft_contract& contract, const LayerFacts& facts);

  const KernelizeOptions& options_;
  KernelConfig config_;
  Make make_;
  c10::Device device_ = c10::kCPU;
  at::ScalarType dtype_ = at::kFloat;
  int capability_ = 0;        // of a CUDA device, major * 10 + minor
  std::string mapping_off_;   // not empty: why no layer is mapped
  std::shared_ptr<const Policy> policy_;  // null: this machine's
  // By reference, each asked for once: what failed for one layer fails for all of them.
  std::map<std::string, Kernel> loaded_;
  std::map<std::string, Error> failed_;
  bool self_check_ = true;
  std::map<std::string, std::string> complaints_;  // of the self-check, by reference, contract and dtype
};

}  // namespace graft
