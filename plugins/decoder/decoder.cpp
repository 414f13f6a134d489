// DecoderLayer: a layer of Llama or Qwen3 for the tokens that are new.
#include <graft/contracts/decoder_layer.h>

#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/variant.h"
#include "int8_decoder_layer.h"
#include "run_layer.h"

namespace graft {
namespace {

using namespace plugin;
namespace at = layer_argument;

struct DecoderLayer {
  LayerOptions options;

  explicit DecoderLayer(const Attributes& attributes) : options(attributes) {}

  static bool supports(const Attributes&, Arguments arguments) {
    const LayerSizes sizes = sizes_of(arguments);
    return sizes.fit(arguments.tensor(at::q).size(0), arguments.tensor(at::k).size(0)) &&
           (serves_step(sizes) || sizes.tokens > kMostRows);
  }

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    size_t bytes = 0;
    with_dtype(arguments.tensor(at::x).dtype(),
               [&]<class T>(T) { bytes = layer_workspace<T, PlainWeight<T>>(sizes_of(arguments), threads); });
    return bytes;
  }

  void forward(const Call& call, Tensor x, Tensor input_norm, Tensor q, Tensor k, Tensor v, Tensor o,
               std::optional<Tensor> q_norm, std::optional<Tensor> k_norm, Tensor post_norm, Tensor gate,
               Tensor up, Tensor down, Tensor cos, Tensor sin, Tensor length, Tensor k_cache, Tensor v_cache,
               Tensor out) const {
    const LayerSizes sizes(x, k_cache, q.size(0), gate.size(0));
    if (sizes.rows() == 0) return;
    with_dtype(x.dtype(), [&]<class T>(T) {
      using W = PlainWeight<T>;
      const LayerWeights<W, T> weights{W(q),
                                       W(k),
                                       W(v),
                                       W(o),
                                       W(gate),
                                       W(up),
                                       W(down),
                                       input_norm.data<T>(),
                                       q_norm ? q_norm->data<T>() : nullptr,
                                       k_norm ? k_norm->data<T>() : nullptr,
                                       post_norm.data<T>()};
      run_layer(call, sizes, weights, options, LayerTensors<T>(x, cos, sin, length, k_cache, v_cache, out));
    });
  }

 private:
  static LayerSizes sizes_of(const Arguments& arguments) {
    return LayerSizes(arguments.tensor(at::x), arguments.tensor(at::k_cache), arguments.tensor(at::q).size(0),
                      arguments.tensor(at::gate).size(0));
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::DecoderLayer>("DecoderLayer", "DecoderLayer/1")),
             graft::in_8_bits(graft::plugin::entry<graft::Int8DecoderLayer>("Int8DecoderLayer",
                                                                            "DecoderLayer/1")))
