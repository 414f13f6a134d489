#include "decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "alone.h"
#include "file_pages.h"
#include "graft/activation_checkpoint.h"
#include "graft/error.h"
#include "graft/rope.h"
#include "on_device.h"
#include "packed_attention.h"
#include "slot_state.h"

namespace graft {

namespace {

constexpr int64_t kFewTokens = 16;  // whose products wait for memory: a token less saves nothing

/// op(to, from) of contiguous numbers, on the CPU in pieces so small that torch gives none to OpenMP, whose
/// threads stay awake for some milliseconds, on cores that the kernels want that come next.
template <class Op>
at::Tensor on_this_thread(const Op& op, const at::Tensor& from) {
  at::Tensor to = at::empty_like(from);
  if (!from.is_cpu()) return op(to, from);
  constexpr int64_t kPiece = 1024;  // torch shares out 2048
  const at::Tensor flat_from = from.view(-1), flat_to = to.view(-1);
  for (int64_t begin = 0; begin < from.numel(); begin += kPiece) {
    const int64_t count = std::min(kPiece, from.numel() - begin);
    at::Tensor piece = flat_to.narrow(0, begin, count);
    op(piece, flat_from.narrow(0, begin, count));
  }
  return to;
}

}  // namespace

void DecoderContext::move_to(c10::Device device) {
  for (at::Tensor* tensor : {&cos, &sin, &mask}) *tensor = on(device, *tensor);
  for (std::optional<Packing>* packed : {&packed_queries, &packed_keys}) {
    if (*packed) *packed = (*packed)->to(device);
  }
}

Attention::Attention(Weights& weights, const std::string& prefix, const ModelConfig& config, size_t layer)
    : layer_(layer),
      head_dim_(config.head_dim),
      window_(config.attention_windows.empty() ? 0 : config.attention_windows[layer]),
      scale_(1.0 / std::sqrt(double(config.head_dim))),
      rotary_slot_(register_kernel_layer(*this, "rotary_pos_emb/1")),
      attention_slot_(register_kernel_layer(*this, "attention/1", attributes())),
      varlen_slot_(register_kernel_layer(*this, "varlen_attention/1", attributes())),
      paged_slot_(register_kernel_layer(*this, "paged_attention/1", attributes())) {
  const int64_t hidden = config.hidden_size;
  const int64_t queries = config.num_attention_heads * head_dim_, keys = config.num_key_value_heads * head_dim_;
  const auto linear = [&](const std::string& name, int64_t in, int64_t out) {
    return register_module(name,
                           std::make_shared<Linear>(weights, prefix + name + ".", in, out, config.attention_bias));
  };
  q_proj_ = linear("q_proj", hidden, queries);
  k_proj_ = linear("k_proj", hidden, keys);
  v_proj_ = linear("v_proj", hidden, keys);
  o_proj_ = linear("o_proj", queries, hidden);
  if (config.model_type == ModelType::qwen3) {
    const auto norm = [&](const std::string& name) {
      return register_module(name, std::make_shared<RMSNorm>(weights, prefix + name + ".", head_dim_, config.rms_norm_eps));
    };
    q_norm_ = norm("q_norm");
    k_norm_ = norm("k_norm");
  }
}

at::Tensor Attention::forward(const at::Tensor& x, const DecoderContext& context) const {
  const int64_t batch = x.size(0), tokens = x.size(1);
  const auto heads = [&](const Linear& projection, const RMSNorm* norm) {
    const at::Tensor projected = projection.forward(x);
    const int64_t count = projected.size(2) / head_dim_;
    // [B, heads, T, D]: of one token without the transposing.
    if (tokens == 1) {
      const at::Tensor y = projected.view({batch, count, 1, head_dim_});
      return norm != nullptr ? norm->forward(y) : y;
    }
    const at::Tensor y = projected.view({batch, tokens, count, head_dim_});
    return (norm != nullptr ? norm->forward(y) : y).transpose(1, 2);
  };
  at::Tensor q = heads(*q_proj_, q_norm_.get());
  at::Tensor k = heads(*k_proj_, k_norm_.get());
  at::Tensor v = heads(*v_proj_, nullptr);
  std::tie(q, k) = rotary_slot_({q, k, context.cos, context.sin},
                                [&] { return apply_rotary_pos_emb(q, k, context.cos, context.sin); });
  const at::Tensor out = context.pages != nullptr   ? attend_pages(q.squeeze(2), k.squeeze(2), v.squeeze(2), context)
                         : context.packed_queries   ? attend_packed(q.squeeze(2), k.squeeze(2), v.squeeze(2), context)
                                                    : attend(q, k, v, context);
  return o_proj_->forward(context.asked_of(out.reshape({batch, tokens, q.size(1) * head_dim_})));
}

at::Tensor Attention::attend(const at::Tensor& q, at::Tensor k, at::Tensor v, const DecoderContext& context) const {
  if (context.cache != nullptr) {
    const Alone alone(attention_slot_.bound());
    std::tie(k, v) = context.cache->append(layer_, k, v);
  }
  return attention_slot_({q, k, v, context.mask}, [&] {
    return attention_forward(q, k, v, context.mask, scale_, window_, context.fused_attention);
  });
}

at::Tensor Attention::attend_packed(const at::Tensor& q, at::Tensor k, at::Tensor v, const DecoderContext& context) const {
  const Packing &queries = *context.packed_queries, &keys = *context.packed_keys;
  if (context.cache != nullptr) {
    const Alone alone(varlen_slot_.bound());
    const auto [all_k, all_v] = context.cache->append(layer_, queries.unpack(k).transpose(1, 2), queries.unpack(v).transpose(1, 2));
    if (context.cache->length() > 0) {  // else these are all
      k = keys.pack(all_k.transpose(1, 2));
      v = keys.pack(all_v.transpose(1, 2));
    }
  }
  return varlen_slot_({q, k, v, queries.cu_seqlens(), keys.cu_seqlens()}, [&] {
    const auto padded = [](const Packing& packing, const at::Tensor& x) { return packing.unpack(x).transpose(1, 2); };
    return queries.pack(attention_forward(padded(queries, q), padded(keys, k), padded(keys, v), context.mask, scale_, window_,
                                          context.fused_attention));
  });
}

at::Tensor Attention::attend_pages(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const DecoderContext& context) const {
  const at::Tensor& cu_seqlens = context.packed_queries->cu_seqlens();
  PagedKVCache& cache = *context.pages;
  {
    const Alone alone(paged_slot_.bound());
    cache.append(layer_, k, v);
  }
  return paged_slot_({q, cache.keys(layer_), cache.values(layer_), cache.block_table(layer_), cache.seqlens_k(layer_), cu_seqlens}, [&] {
    return paged_attention_forward(q, cache.keys(layer_), cache.values(layer_), cache.block_table(layer_), cache.seqlens_k(layer_),
                                   cu_seqlens, scale_, window_, context.fused_attention);
  });
}

KernelLayerOptions Attention::attributes() const {
  return {.attributes = {{"scale", scale_}, {"sliding_window", window_}}};
}

DecoderLayer::DecoderLayer(Weights& weights, const std::string& prefix, const ModelConfig& config, size_t layer)
    : self_attn_(
          register_module("self_attn", std::make_shared<Attention>(weights, prefix + "self_attn.", config, layer))),
      mlp_(register_module("mlp", std::make_shared<SwiGLUMLP>(weights, prefix + "mlp.", config))),
      input_layernorm_(register_module("input_layernorm",
                                       std::make_shared<RMSNorm>(weights, prefix + "input_layernorm.",
                                                                 config.hidden_size, config.rms_norm_eps))),
      post_attention_layernorm_(
          register_module("post_attention_layernorm",
                          std::make_shared<RMSNorm>(weights, prefix + "post_attention_layernorm.", config.hidden_size,
                                                    config.rms_norm_eps))),
      add_norm_slot_(register_kernel_layer(*this, "AddRMSNorm/1",
                                           {.attributes = {{"eps", config.rms_norm_eps}},
                                            .weights = {{"weight", "post_attention_layernorm.weight"}},
                                            .covers = {"post_attention_layernorm"}})),
      layer_slot_(config.attention_bias || config.mlp_bias
                      ? std::nullopt
                      : std::optional(register_kernel_layer(*this, "DecoderLayer/1", options_of(config, layer)))) {}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const DecoderContext& context) const {
  const at::Tensor attended = self_attn_->forward(input_layernorm_->forward(x), context),
                   asked = context.asked_of(x);
  const auto [normed, sum] = add_norm_slot_({attended, asked}, [&] {
    const at::Tensor residual = asked + attended;
    return std::tuple(post_attention_layernorm_->forward(residual), residual);
  });
  const at::Tensor out = mlp_->forward(normed);
  const Alone alone(mlp_->bound());
  return sum + out;
}

bool DecoderLayer::steps_alone() const {
  return steps() && layer_slot_->state().prepacks();
}

KernelLayerOptions DecoderLayer::options_of(const ModelConfig& config, size_t layer) {
  const int64_t window = config.attention_windows.empty() ? 0 : config.attention_windows[layer];
  return {.attributes = {{"eps", config.rms_norm_eps}, {"scale", 1.0 / std::sqrt(double(config.head_dim))}, {"sliding_window", window}},
          .weights = {{"input_norm", "input_layernorm.weight"},
                      {"q_proj", "self_attn.q_proj.weight"},
                      {"k_proj", "self_attn.k_proj.weight"},
                      {"v_proj", "self_attn.v_proj.weight"},
                      {"o_proj", "self_attn.o_proj.weight"},
                      {"q_norm", "self_attn.q_norm.weight"},
                      {"k_norm", "self_attn.k_norm.weight"},
                      {"post_norm", "post_attention_layernorm.weight"},
                      {"gate", "mlp.gate_proj.weight"},
                      {"up", "mlp.up_proj.weight"},
                      {"down", "mlp.down_proj.weight"}},
          .covers = {"input_layernorm", "self_attn", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                     "self_attn.q_norm", "self_attn.k_norm", "post_attention_layernorm", "mlp", "mlp.gate_proj", "mlp.up_proj",
                     "mlp.down_proj", "mlp.act_fn"},
          .covers_all_calls = false,
          .has_own_forward = false};
}

at::Tensor DecoderLayer::step(const at::Tensor& x, const DecodeState& state, size_t layer) const {
  if (!layer_slot_) return {};
  return (*layer_slot_)({x, state.cos, state.sin, state.length, state.cache->keys(layer), state.cache->values(layer)},
                        [] { return at::Tensor(); });
}

Decoder::Embedding::Embedding(Weights& weights, const std::string& prefix, const ModelConfig& config)
    : weight(register_parameter("weight", weights.take(prefix + "weight", {config.vocab_size, config.hidden_size}))) {}

Decoder::Decoder(Weights& weights, const std::string& prefix, const ModelConfig& config) : config_(config) {
  embed_tokens_ = register_module("embed_tokens",
                                  std::make_shared<Embedding>(weights, prefix + "embed_tokens.", config));
  // A module list of torch's would hide the type; a plain module gives the same names, "layers.0.…".
  auto list = register_module("layers", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string name = std::to_string(i);
    layers_.push_back(list->register_module(
        name, std::make_shared<DecoderLayer>(weights, prefix + "layers." + name + ".", config, size_t(i))));
  }
  norm_ = register_module(
      "norm", std::make_shared<RMSNorm>(weights, prefix + "norm.", config.hidden_size, config.rms_norm_eps));
}

at::Tensor Decoder::forward(const at::Tensor& input_ids, const at::Tensor& positions, DecoderContext context) const {
  const int64_t past = context.pages != nullptr ? context.pages->length() : context.cache != nullptr ? context.cache->length() : 0;
  const auto packed = [&](const at::Tensor& x) {
    return context.packed_queries ? context.packed_queries->pack(x.expand_as(input_ids)).unsqueeze(1) : x;
  };
  at::Tensor x = at::embedding(embed_tokens_->weight, packed(input_ids));
  const int64_t asked_of_the_last = std::exchange(context.last_tokens, 0);

  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::shared_ptr<DecoderLayer>& layer = layers_[i];
    if (i + 1 == layers_.size()) context.last_tokens = asked_of_the_last;
    // Of a prompt's last token alone the parts of the last layer compute less than a kernel for all of it.
    const bool by_parts = context.last_tokens > 0 && input_ids.size(1) > kFewTokens && !layer->steps_alone();
    if (context.whole && !by_parts) {
      if (at::Tensor y = layer->step(x, *context.whole, i); y.defined()) {
        x = std::move(y);
        continue;
      }
    }
    if (!context.cos.defined()) std::tie(context.cos, context.sin) = rotary(packed(positions), past + input_ids.size(1));
    if (const c10::Device device = layer->device(); device != x.device()) {
      x = x.to(device);
      context.move_to(device);
    }
    // Backward runs it again after this forward has returned: what it needs goes along.
    const auto block = [layer, context](const at::Tensor& input) { return layer->forward(input, context); };
    x = context.checkpoint ? checkpoint(block, x) : block(x);
  }
  if (context.cache != nullptr) context.cache->advance(input_ids.size(1));
  if (context.pages != nullptr) context.pages->advance(input_ids.size(1));
  return norm_->forward(on(norm_->weight().device(), x));
}

at::Tensor Decoder::step(const at::Tensor& input_ids, const DecodeState& state) const {
  at::Tensor x = at::embedding(embed_tokens_->weight, input_ids);
  for (size_t layer = 0; layer < layers_.size() && x.defined(); ++layer) x = layers_[layer]->step(x, state, layer);
  return x.defined() ? norm_->forward(x) : x;
}

void Decoder::release_embeddings(const at::Tensor& ids) const {
  constexpr int64_t kFew = 16;  // more are faster found by one look at the whole table
  const at::Tensor& table = embedding();
  if (!table.is_cpu()) return;  // nor are ids in the host's memory
  if (ids.numel() > kFew) return void(release_pages(table));
  // Linux brings 64 KiB into memory at a fault, wherever in them the row lies.
  const int64_t around = (1 << 16) / std::max<int64_t>(1, table.size(1) * table.element_size()) + 1,
                rows = table.size(0);
  const at::Tensor each = ids.flatten().contiguous();
  for (const int64_t id : at::IntArrayRef(each.const_data_ptr<int64_t>(), size_t(each.numel()))) {
    const int64_t first = std::max<int64_t>(0, id - around), last = std::min(rows, id + around + 1);
    release_pages(table.narrow(0, first, last - first));
  }
}

// Source: transformers' LlamaRotaryEmbedding; in float32, then rounded to the model's dtype.
std::pair<at::Tensor, at::Tensor> Decoder::rotary(const at::Tensor& positions, int64_t length) const {
  const at::Tensor& weight = embed_tokens_->weight;
  const RopeFrequencies rope = rope_inverse_frequencies(config_, length);
  const at::Tensor inv_freq = at::tensor(at::ArrayRef<float>(rope.inv_freq)).to(weight.device());
  const at::Tensor angles =
      positions.to(weight.device(), at::kFloat).unsqueeze(-1) * inv_freq;  // [1 or B, T, D/2]
  const auto both_halves = [&](const at::Tensor& half) {
    const at::Tensor scaled = (half * rope.attention_scaling).to(weight.scalar_type());
    return at::cat({scaled, scaled}, -1);
  };
  return {both_halves(on_this_thread(at::cos_out, angles)), both_halves(on_this_thread(at::sin_out, angles))};
}

std::vector<c10::Device> Decoder::layer_devices() const {
  std::vector<c10::Device> devices;
  for (const auto& layer : layers_) devices.push_back(layer->device());
  return devices;
}

bool Decoder::on_one_device() const {
  const c10::Device first = embed_tokens_->weight.device();
  return norm_->weight().device() == first &&
         std::all_of(layers_.begin(), layers_.end(), [&](const auto& layer) { return layer->device() == first; });
}

std::optional<DecodeState> Decoder::whole_layers(KVCache& cache, int64_t batch, int64_t tokens) const {
  const bool any = std::any_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->steps(); });
  // Its cache is written in place, which autograd does not see.
  if (!any || at::GradMode::is_enabled() || !on_one_device() || !embedding().is_cpu()) return std::nullopt;
  cache.reserve(tokens);
  const int64_t capacity = cache.capacity();
  if (!cache.cos.defined() || cache.cos.size(0) != capacity) {
    if (!rotary_is_fixed(capacity)) return std::nullopt;
    std::tie(cache.cos, cache.sin) = rotary(at::arange(capacity, at::kLong), capacity);
  }
  return DecodeState{&cache, cache.cos, cache.sin, at::full({batch}, cache.length(), at::kInt)};
}

bool Decoder::packs() const {
  return std::all_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->packs(); });
}

bool Decoder::steps_on_device() const {
  return std::all_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->steps(); });
}

bool Decoder::rotary_is_fixed(int64_t length) const {
  const RopeFrequencies first = rope_inverse_frequencies(config_, 1), last = rope_inverse_frequencies(config_, length);
  return first.inv_freq == last.inv_freq && first.attention_scaling == last.attention_scaling;
}

}  // namespace graft
