// Int8DecoderLayer: DecoderLayer with weights of 8 bits, see common/int8_weight.h, for any number of new
// tokens: a prompt, too, needs no other form of them.
#pragma once

#include <graft/plugin.hpp>
#include <optional>
#include <vector>

#include "../common/dtype.h"
#include "run_layer.h"

namespace graft {

class Int8DecoderLayer {
 public:
  explicit Int8DecoderLayer(const plugin::Attributes& attributes) : options_(attributes) {}

  // As far as it can be said without the weights.
  static bool supports(const plugin::Attributes&, plugin::Arguments arguments) {
    return LayerSizes(arguments.tensor(layer_argument::x), arguments.tensor(layer_argument::k_cache), 0, 0)
        .cache_fits();
  }

  void prepare(plugin::Arguments arguments) {
    namespace at = layer_argument;
    with_float_dtype(arguments.tensor(at::q).dtype(), [&]<class T>(T) {
      const auto packed = [&](int input) {
        const plugin::Tensor weight = arguments.tensor(input);
        return Int8Weight(weight.data<T>(), weight.size(0), weight.size(1));
      };
      const auto floats = [&](int input) {
        std::vector<float> values;
        const std::optional<plugin::Tensor> norm = arguments.optional(input);
        for (int64_t i = 0; norm && i < norm->numel(); ++i)
          values.push_back(simd::to_real(norm->data<T>()[i]));
        return values;
      };
      q_ = packed(at::q), k_ = packed(at::k), v_ = packed(at::v), o_ = packed(at::o);
      gate_ = packed(at::gate), up_ = packed(at::up), down_ = packed(at::down);
      input_norm_ = floats(at::input_norm), post_norm_ = floats(at::post_norm);
      q_norm_ = floats(at::q_norm), k_norm_ = floats(at::k_norm);
    });
  }

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const LayerSizes sizes =
        sizes_of(arguments.tensor(layer_argument::x), arguments.tensor(layer_argument::k_cache));
    size_t bytes = 0;
    with_float_dtype(arguments.tensor(layer_argument::x).dtype(),
                     [&]<class T>(T) { bytes = layer_workspace<T, PackedWeight>(sizes, threads); });
    return bytes;
  }

  // Weights are in prepare()'s form alone.
  using Weight = std::optional<plugin::Tensor>;
  void forward(const plugin::Call& call, plugin::Tensor x, Weight, Weight, Weight, Weight, Weight, Weight,
               Weight, Weight, Weight, Weight, Weight, plugin::Tensor cos, plugin::Tensor sin,
               plugin::Tensor length, plugin::Tensor k_cache, plugin::Tensor v_cache,
               plugin::Tensor out) const {
    const LayerSizes sizes = sizes_of(x, k_cache);
    if (!sizes.fit(q_.columns(), k_.columns()))
      throw plugin::Unsupported("the cache's heads are not those of the weights");
    if (sizes.rows() == 0) return;
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      run_layer(call, sizes, weights(), options_,
                LayerTensors<T>(x, cos, sin, length, k_cache, v_cache, out));
    });
  }

 private:
  LayerSizes sizes_of(const plugin::Tensor& x, const plugin::Tensor& cache) const {
    return LayerSizes(x, cache, q_.columns(), gate_.columns());
  }

  LayerWeights<PackedWeight, float> weights() const {
    using W = PackedWeight;
    const auto norm = [](const std::vector<float>& values) {
      return values.empty() ? nullptr : values.data();
    };
    return {W(&q_),        W(&k_),        W(&v_),          W(&o_),
            W(&gate_),     W(&up_),       W(&down_),       norm(input_norm_),
            norm(q_norm_), norm(k_norm_), norm(post_norm_)};
  }

  LayerOptions options_;
  Int8Weight q_, k_, v_, o_, gate_, up_, down_;
  std::vector<float> input_norm_, post_norm_, q_norm_, k_norm_;  // the latter empty if there are none
};

}  // namespace graft
