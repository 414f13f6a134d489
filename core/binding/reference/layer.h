// Reference layers: one for each standard contract, with the forward that a user's own layer has in plain LibTorch.
#pragma once

#include <torch/nn/module.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "draw.h"
#include "graft/kernel_slot.h"

namespace graft::reference {

/// What one layer computes with, in the order of its contract's arguments.
struct LayerData {
  std::vector<at::Tensor> weights, inputs;

  int64_t bytes() const;
  LayerData clone() const;
  LayerData in_double() const;  // labels stay what they are
};

/// A contract's outputs; the second is undefined where there is one.
using Outputs = std::array<at::Tensor, 2>;

class Layer : public torch::nn::Module {
 public:
  /// One call on the layer's inputs: of the kernel that is bound, else of its own forward.
  virtual Outputs forward() const = 0;
  /// How often its own forward ran: a bound kernel may leave a call to it.
  int own_calls() const { return own_calls_; }

 protected:
  void count_own_call() const { ++own_calls_; }

 private:
  mutable int own_calls_ = 0;
};

/// A contract with a layer of its own here.
struct LayerKind {
  std::string_view contract;  // "RMSNorm/1"
  std::vector<Sizes> grid;    // to time; of the form that bench_options.h gives for the contract
  std::vector<Sizes> small;   // to look at results alone: one with odd sizes, one with round ones
  LayerData (*data)(const Sizes& shape, Draw& draw);
  std::shared_ptr<Layer> (*make)(const LayerData& data);
  /// What a shape must fulfil beside being positive; "" if it does.
  std::string (*complaint)(const Sizes& shape) = [](const Sizes&) { return std::string(); };
};

/// For LayerKind::make.
template <class Made>
std::shared_ptr<Layer> make_layer(const LayerData& data) {
  return std::make_shared<Made>(data);
}

/// Null for a contract that has no layer here.
const LayerKind* find_layer_kind(std::string_view contract);

// What find_layer_kind looks through.
std::vector<LayerKind> norm_layers();
std::vector<LayerKind> activation_layers();
std::vector<LayerKind> linear_layers();
std::vector<LayerKind> attention_layers();
std::vector<LayerKind> loss_layers();
std::vector<LayerKind> fused_layers();
std::vector<LayerKind> decoder_layers();
std::vector<LayerKind> sampling_layers();

}  // namespace graft::reference
