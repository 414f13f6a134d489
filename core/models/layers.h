// The layers of Llama and Qwen3 that kernels can be bound onto. Each keeps its own forward in plain LibTorch.
#pragma once

#include <torch/nn/module.h>

#include <tuple>

#include "graft/kernel_slot.h"
#include "graft/model_config.h"
#include "weights.h"

namespace graft {

/// x [..., H] → [..., H]. Source: transformers' LlamaRMSNorm.
class RMSNorm : public torch::nn::Module {
 public:
  RMSNorm(Weights& weights, const std::string& prefix, int64_t hidden_size, double eps);
  at::Tensor forward(const at::Tensor& x) const;
  const at::Tensor& weight() const { return weight_; }

 private:
  double eps_;
  at::Tensor weight_;
  KernelSlot slot_;
};

/// x [..., in] → [..., out].
class Linear : public torch::nn::Module {
 public:
  Linear(Weights& weights, const std::string& prefix, int64_t in, int64_t out, bool bias);
  /// A layer that shares another module's weight [out, in], as lm_head does with tied embeddings.
  explicit Linear(const at::Tensor& shared_weight);
  at::Tensor forward(const at::Tensor& x) const;
  const at::Tensor& weight() const { return weight_; }
  /// Whether a kernel has the weight in a form of its own, so that nothing here reads it.
  bool prepacked() const;

 private:
  at::Tensor weight_, bias_;
  KernelSlot slot_;
};

class SiLU : public torch::nn::Module {
 public:
  SiLU();
  at::Tensor forward(const at::Tensor& x) const;

 private:
  KernelSlot slot_;
};

/// down(silu(gate(x)) * up(x)); x [..., H]. Source: transformers' LlamaMLP.
class SwiGLUMLP : public torch::nn::Module {
 public:
  SwiGLUMLP(Weights& weights, const std::string& prefix, const ModelConfig& config);
  at::Tensor forward(const at::Tensor& x) const;
  /// Whether a kernel does the work of all of it.
  bool bound() const { return slot_ && slot_->bound(); }

 private:
  std::shared_ptr<Linear> gate_proj_, up_proj_, down_proj_;
  std::shared_ptr<SiLU> act_fn_;
  std::optional<KernelSlot> slot_;  // none if the projections have biases, which the contract does not
};

/// q, k [B, heads, T, D]; cos, sin [1 or B, T, D].
std::tuple<at::Tensor, at::Tensor> apply_rotary_pos_emb(const at::Tensor& q, const at::Tensor& k, const at::Tensor& cos,
                                                        const at::Tensor& sin);

/// The attention contract in plain LibTorch: q [B, Q, T, D], k and v [B, K, S, D], causal with the last query aligned
/// with the last key; mask (may be undefined) [1 or B, 1, 1 or T, S] bool, true where the query may see the key;
/// window 0: none. Returns [B, T, Q, D]. `fused`: torch's scaled_dot_product_attention, else matmul and softmax.
at::Tensor attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                             double scale, int64_t window, bool fused);

}  // namespace graft
