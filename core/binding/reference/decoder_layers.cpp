// A whole decoder layer, for tokens that join a KV cache.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>

#include "layer.h"

namespace graft::reference {
namespace {

constexpr double kEps = 1e-6;

/// In the contract's order: weights input_norm, q, k, v, o, q_norm, k_norm, post_norm, gate, up, down; inputs x, cos, sin, length and
/// the caches. The own forward leaves the caches alone: only what comes out is looked at.
class DecoderLayerReference final : public Layer {
 public:
  explicit DecoderLayerReference(const LayerData& data) : in_(data.inputs) {
    const char* const names[] = {"input_norm", "q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "post_norm", "gate", "up", "down"};
    for (size_t i = 0; i < std::size(names); ++i) w_.push_back(register_parameter(names[i], data.weights[i], /*requires_grad=*/false));
    slot_.emplace(register_kernel_layer(*this, "DecoderLayer/1", {.attributes = {{"eps", kEps}, {"scale", scale()}}}));
  }

  Outputs forward() const override {
    return {(*slot_)({in_[0], in_[1], in_[2], in_[3], in_[4], in_[5]}, [&] {
      count_own_call();
      std::vector<at::Tensor> rows;
      const at::Tensor lengths = in_[3].cpu();
      for (int64_t row = 0; row < in_[0].size(0); ++row) rows.push_back(own(row, lengths.const_data_ptr<int32_t>()[row]));
      return at::cat(rows, 0);
    })};
  }

 private:
  int64_t dim() const { return in_[4].size(3); }
  double scale() const { return 1 / std::sqrt(double(dim())); }

  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const { return at::rms_norm(x, weight.sizes(), weight, kEps); }

  /// x [heads, T, D] at positions from `length` on.
  at::Tensor turned(const at::Tensor& x, int64_t length) const {
    const int64_t half = dim() / 2, tokens = x.size(1);
    const at::Tensor rotated = at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
    return x * in_[1].narrow(0, length, tokens) + rotated * in_[2].narrow(0, length, tokens);
  }

  at::Tensor own(int64_t row, int64_t length) const {
    const at::Tensor x = in_[0].narrow(0, row, 1), normed = norm(x, w_[0]);
    const int64_t tokens = x.size(1);
    const auto heads = [&](const at::Tensor& weight) { return at::linear(normed, weight).view({tokens, -1, dim()}).transpose(0, 1); };
    const at::Tensor q = turned(norm(heads(w_[1]), w_[5]), length);
    const at::Tensor k = at::cat({in_[4][row].narrow(1, 0, length), turned(norm(heads(w_[2]), w_[6]), length)}, 1);
    const at::Tensor v = at::cat({in_[5][row].narrow(1, 0, length), heads(w_[3])}, 1);
    const int64_t group = q.size(0) / k.size(0);
    at::Tensor scores = at::matmul(q, k.repeat_interleave(group, 0).transpose(1, 2)) * scale();
    const at::Tensor place = at::arange(length + tokens, in_[3].options());
    const at::Tensor hidden_from_it = place.unsqueeze(0) > place.narrow(0, length, tokens).unsqueeze(1);
    scores = scores.masked_fill(hidden_from_it, -std::numeric_limits<double>::infinity());
    const at::Tensor attended = at::matmul(at::softmax(scores, -1), v.repeat_interleave(group, 0)).transpose(0, 1).reshape({1, tokens, -1});
    const at::Tensor sum = x + at::linear(attended, w_[4]);
    const at::Tensor second = norm(sum, w_[7]);
    return sum + at::linear(at::silu(at::linear(second, w_[8])) * at::linear(second, w_[9]), w_[10]);
  }

  std::vector<at::Tensor> in_, w_;
  std::optional<KernelSlot> slot_;
};

/// shape: BxLxHxQxKxDxI, L tokens in the cache; the last row of a batch has none.
LayerData decoder_data(const Sizes& shape, Draw& draw) {
  const int64_t batch = shape[0], tokens = shape[1], hidden = shape[2], dim = shape[5], inner = shape[6];
  const int64_t queries = shape[3] * dim, keys = shape[4] * dim, capacity = tokens + 3;
  const auto weight = [&](int64_t out, int64_t in) { return draw.normal({out, in}, 1 / std::sqrt(double(in))); };
  const auto gain = [&](int64_t size) { return draw.normal({size}, /*deviation=*/0.2, /*mean=*/1); };
  const at::Tensor half = draw.normal({capacity, dim / 2}, /*deviation=*/3), angles = at::cat({half, half}, -1);
  std::vector<int32_t> lengths;
  for (int64_t row = 0; row < batch; ++row) lengths.push_back(int32_t(tokens * (batch - 1 - row) / std::max<int64_t>(batch - 1, 1)));
  if (batch == 1) lengths[0] = int32_t(tokens);
  return {.weights = {gain(hidden), weight(queries, hidden), weight(keys, hidden), weight(keys, hidden), weight(hidden, queries), gain(dim),
                      gain(dim), gain(hidden), weight(inner, hidden), weight(inner, hidden), weight(hidden, inner)},
          .inputs = {draw.normal({batch, 1, hidden}), angles.cos(), angles.sin(), at::tensor(lengths, at::kInt).to(half.device()),
                     draw.normal({batch, shape[4], capacity, dim}), draw.normal({batch, shape[4], capacity, dim})}};
}

std::string decoder_complaint(const Sizes& shape) {
  if (shape[5] % 2 != 0) return "the head dimension D must be even";
  return shape[3] % shape[4] == 0 ? "" : "the query heads Q must be a multiple of the key heads K";
}

// Layers of Qwen3-0.6B and Llama 3 8B.
const std::vector<Sizes> kGrid = {{1, 256, 1024, 16, 8, 128, 3072}, {8, 256, 1024, 16, 8, 128, 3072}, {1, 2048, 4096, 32, 8, 128, 14336}};

}  // namespace

std::vector<LayerKind> decoder_layers() {
  return {{"DecoderLayer/1", kGrid, {{1, 5, 48, 3, 3, 64, 56}, {2, 70, 64, 4, 2, 128, 96}}, decoder_data, make_layer<DecoderLayerReference>, decoder_complaint}};
}

}  // namespace graft::reference
