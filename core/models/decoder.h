// The decoder of Llama and Qwen3: embeddings, decoder layers, final norm.
#pragma once

#include <torch/nn/module.h>

#include <optional>
#include <string>
#include <vector>

#include "kv_cache.h"
#include "layers.h"
#include "paged_kv_cache.h"
#include "packing.h"

namespace graft {

/// What kernels for a whole layer share, see contracts/decoder_layer.h. In decode on a device a captured graph reads it again in each
/// step.
struct DecodeState {
  KVCache* cache = nullptr;
  at::Tensor cos = {}, sin = {};  // [capacity, D], by position
  at::Tensor length = {};         // [B] int32: tokens in the cache
};

/// What all layers of one forward share; its tensors are on the device of the layer that runs.
struct DecoderContext {
  at::Tensor cos = {}, sin = {};  // [1 or B, T, D]; [N, 1, D] of packed tokens
  at::Tensor mask = {};  // [B, 1, 1, S] bool, true: a real token; undefined if none is padding
  KVCache* cache = nullptr; // null: no past
  std::optional<DecodeState> whole = {};  // where a kernel for a whole layer may run
  PagedKVCache* pages = nullptr;  // in the place of `cache`
  /// Where the real tokens are: with them the layers see those alone, as a batch of N rows of one token. For a mask that is padding
  /// alone, and more than one token: packing the keys of a cache costs more than the padding of one query. With `pages`, always, for
  /// the queries alone.
  std::optional<Packing> packed_queries = {}, packed_keys = {};
  bool fused_attention = true;
  bool checkpoint = false;  // activations of a layer are computed again in backward
  /// So many tokens at a row's end are all that anyone asks of the last layer; 0: all of them. Not of packed
  /// tokens.
  int64_t last_tokens = 0;

  /// Those of x [B, T, …] that somebody asks for.
  at::Tensor asked_of(const at::Tensor& x) const {
    return last_tokens == 0 ? x : x.narrow(1, x.size(1) - last_tokens, last_tokens).contiguous();
  }
  void move_to(c10::Device device);
};

class Attention : public torch::nn::Module {
 public:
  Attention(Weights& weights, const std::string& prefix, const ModelConfig& config, size_t layer);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) const;
  /// Whether attention over packed tokens has a kernel.
  bool packs() const { return varlen_slot_.bound(); }

 private:
  /// q [B, Q, T, D], k and v [B, K, T, D] → [B, T, Q, D].
  at::Tensor attend(const at::Tensor& q, at::Tensor k, at::Tensor v, const DecoderContext& context) const;
  // Of packed tokens, q [N, Q, D], k and v [N, K, D] → [N, Q, D].
  at::Tensor attend_packed(const at::Tensor& q, at::Tensor k, at::Tensor v, const DecoderContext& context) const;
  at::Tensor attend_pages(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const DecoderContext& context) const;

  KernelLayerOptions attributes() const;

  size_t layer_;
  int64_t head_dim_, window_;
  double scale_;
  std::shared_ptr<Linear> q_proj_, k_proj_, v_proj_, o_proj_;
  std::shared_ptr<RMSNorm> q_norm_, k_norm_;  // Qwen3 alone
  KernelSlot rotary_slot_, attention_slot_, varlen_slot_, paged_slot_;
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(Weights& weights, const std::string& prefix, const ModelConfig& config, size_t layer);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) const;
  /// New tokens x [B, T, H] by a kernel for all of the layer; undefined if there is none that serves it, or a layer without a place for
  /// one.
  at::Tensor step(const at::Tensor& x, const DecodeState& state, size_t layer) const;
  bool packs() const { return self_attn_->packs(); }
  bool steps() const { return layer_slot_ && layer_slot_->bound(); }
  /// Whether that kernel alone has the weights: its parts would have to read them again.
  bool steps_alone() const;
  c10::Device device() const { return input_layernorm_->weight().device(); }

 private:
  static KernelLayerOptions options_of(const ModelConfig& config, size_t layer);

  std::shared_ptr<Attention> self_attn_;
  std::shared_ptr<SwiGLUMLP> mlp_;
  std::shared_ptr<RMSNorm> input_layernorm_, post_attention_layernorm_;
  KernelSlot add_norm_slot_;  // residual connection and post_attention_layernorm in one
  std::optional<KernelSlot> layer_slot_;  // all of it, in decode; none if projections have biases, which the contract does not
};

class Decoder : public torch::nn::Module {
 public:
  Decoder(Weights& weights, const std::string& prefix, const ModelConfig& config);

  /// input_ids [B, T] int64; positions [1 or B, T] int64, these and the context's on the embedding's device; returns hidden states
  /// [B, T, H] after the final norm, on that one's device; of packed tokens [N, 1, H].
  at::Tensor forward(const at::Tensor& input_ids, const at::Tensor& positions, DecoderContext context) const;

  /// One new token of each row, input_ids [B, 1]: hidden states [B, 1, H] after the final norm; undefined if a layer has no kernel for
  /// that. The cache's own length stays.
  at::Tensor step(const at::Tensor& input_ids, const DecodeState& state) const;

  /// Cosines and sines [1 or B, T, D] of positions [1 or B, T], for a sequence of `length` tokens.
  std::pair<at::Tensor, at::Tensor> rotary(const at::Tensor& positions, int64_t length) const;
  /// Of each layer, in their order.
  std::vector<c10::Device> layer_devices() const;
  /// Whether embedding, layers and final norm are all on one.
  bool on_one_device() const;
  /// For forward() with this cache and `tokens` more of each row at the positions that follow, none of them padding; none where no
  /// kernel for a whole layer may run. On the CPU.
  std::optional<DecodeState> whole_layers(KVCache& cache, int64_t batch, int64_t tokens) const;
  /// Whether each layer has a kernel for packed tokens.
  bool packs() const;
  /// Whether step() has a kernel for each layer.
  bool steps_on_device() const;
  /// Whether those of a position stay what they are while a sequence grows to `length` tokens.
  bool rotary_is_fixed(int64_t length) const;

  const at::Tensor& embedding() const { return embed_tokens_->weight; }
  /// Gives back what looking `ids` up has left in memory of a table that nothing else reads: see
  /// release_pages().
  void release_embeddings(const at::Tensor& ids) const;

 private:
  struct Embedding : torch::nn::Module {
    Embedding(Weights& weights, const std::string& prefix, const ModelConfig& config);
    at::Tensor weight;  // [vocab, H]
  };

  ModelConfig config_;
  std::shared_ptr<Embedding> embed_tokens_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  std::shared_ptr<RMSNorm> norm_;
};

}  // namespace graft
