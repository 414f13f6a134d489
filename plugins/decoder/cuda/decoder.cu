// DecoderLayer: a layer of Llama or Qwen3 in decode, one new token for each of a few rows, as five kernels that overlap (chain.cuh):
// norm and q, k, v; attention; o and the residual connection; norm, gate and up; down and the residual connection.
#include <graft/contracts/decoder_layer.h>

#include <algorithm>
#include <graft/plugin.hpp>

#include "../../common/cuda/pack.cuh"
#include "../../common/cuda/pieces.h"
#include "../../common/cuda/project.cuh"
#include "attend.cuh"

namespace graft {
namespace {

using namespace plugin;
using namespace gpu;

enum Position {
  kX, kInputNorm, kQ, kK, kV, kO, kQNorm, kKNorm, kPostNorm, kGate, kUp, kDown, kCos, kSin, kLength, kKeyCache, kValueCache, kOut
};

constexpr int kMostBatch = 64;            // rows; with many more a product that reads weights once for all of them wins
constexpr size_t kMostNormed = 96 << 10;  // bytes of shared memory that every device of capability 8.0 has for a block

struct Sizes {
  int rows, hidden, inner, heads, key_heads, dim, capacity;

  Sizes(const Tensor& x, const Tensor& q, const Tensor& gate, const Tensor& keys)
      : rows(int(x.size(0))),
        hidden(int(x.size(2))),
        inner(int(gate.size(0))),
        heads(int(q.size(0) / keys.size(3))),
        key_heads(int(keys.size(1))),
        dim(int(keys.size(3))),
        capacity(int(keys.size(2))) {}
  explicit Sizes(const Arguments& a) : Sizes(a.tensor(kX), a.tensor(kQ), a.tensor(kGate), a.tensor(kKeyCache)) {}

  int qkv() const { return (heads + 2 * key_heads) * dim; }
};

// What the five kernels hand to one another.
template <class T>
struct Between {
  T *qkv, *attended, *sum, *inner;
  size_t size;

  Between(const Sizes& s, void* memory) {
    Pieces pieces(memory);
    const auto rows_of = [&](int width) { return pieces.take<T>(size_t(s.rows) * size_t(width)); };
    qkv = rows_of(s.qkv());
    attended = rows_of(s.heads * s.dim);
    sum = rows_of(s.hidden);
    inner = rows_of(s.inner);
    size = pieces.used();
  }
};

struct DecoderLayer {
  float eps, scale;
  int window;
  bool chained;
  int processors;

  explicit DecoderLayer(const Attributes& attributes)
      : eps(float(attributes.number("eps"))),
        scale(float(attributes.number("scale"))),
        window(int(attributes.integer("sliding_window"))),
        chained(chains()),
        processors(multiprocessors()) {
    each_normed<bf16>();
    each_normed<half>();
    allow_shared_memory(project_float<After::store>, kMostNormed);
    allow_shared_memory(project_float<After::silu_and_mul>, kMostNormed);
  }

  static bool supports(const Attributes&, const Arguments& a) {
    if (a.tensor(kX).size(1) != 1) return false;  // a prompt's tokens are another work
    const Tensor keys = a.tensor(kKeyCache), values = a.tensor(kValueCache);
    const Sizes s(a);
    const size_t item = a.tensor(kX).dtype().bits / 8;
    const auto aligned = [&](const Tensor& t) { return t.stride(0) % 8 == 0 && t.stride(1) % 8 == 0 && t.stride(2) % 8 == 0; };
    return s.rows >= 1 && s.rows <= kMostBatch && (s.dim == 64 || s.dim == 128) && s.heads % s.key_heads == 0 && s.heads / s.key_heads <= 8 &&
           s.hidden % 8 == 0 && s.inner % 8 == 0 && s.hidden > 0 && s.inner > 0 && s.capacity > 0 && aligned(keys) && aligned(values) &&
           size_t(std::min(s.rows, kMostRows) + 1) * size_t(normed_stride(s.hidden)) * item <= kMostNormed;
  }

  // Vectors of 16 bytes are read from all of them.
  void prepare(const Arguments& weights) {
    for (int i = kInputNorm; i <= kDown; ++i)
      if (weights.has(i) && !aligned16(weights.tensor(i).data<char>()))
        throw Unsupported("a weight is not aligned to 16 bytes");
  }

  size_t workspace_size(const Arguments& a, uint32_t) const {
    size_t size = 0;
    with_dtype(a.tensor(kX).dtype(), [&]<class T>(T) { size = Between<T>(Sizes(a), nullptr).size; });
    return size;
  }

  void forward(const Call& call, Tensor x, Tensor input_norm, Tensor q, Tensor k, Tensor v, Tensor o, std::optional<Tensor> q_norm,
               std::optional<Tensor> k_norm, Tensor post_norm, Tensor gate, Tensor up, Tensor down, Tensor cos, Tensor sin, Tensor length,
               Tensor keys, Tensor values, Tensor out) const {
    const Sizes s(x, q, gate, keys);
    with_dtype(x.dtype(), [&]<class T>(T) {
      const auto [qkv, attended, sum, inner, size] = Between<T>(s, call.workspace<void>());
      const int queries = s.heads * s.dim, one = s.key_heads * s.dim;
      const auto data = [](const Tensor& t) { return t.data<const T>(); };

      run_qkv<T>(call, {.x = data(x), .gain = data(input_norm), .eps = eps,
                                            .weights = {data(q), data(k), data(v)}, .ends = {queries, queries + one, queries + 2 * one},
                                            .residual = nullptr, .out = qkv, .rows = s.rows, .inputs = s.hidden, .outputs = s.qkv()});
      run_attention<T>(call, s, {.qkv = qkv, .q_gain = q_norm ? data(*q_norm) : nullptr, .k_gain = k_norm ? data(*k_norm) : nullptr,
                                 .cos = data(cos), .sin = data(sin), .length = length.data<const int>(),
                                 .keys = keys.data<T>(), .values = values.data<T>(),
                                 .key_strides = {keys.stride(0), keys.stride(1), keys.stride(2)},
                                 .value_strides = {values.stride(0), values.stride(1), values.stride(2)},
                                 .out = attended, .eps = eps, .scale = scale,
                                 .heads = s.heads, .key_heads = s.key_heads, .capacity = s.capacity, .window = window});
      run<T, After::add_residual, 1, 16, 4>(call, {.x = attended, .gain = nullptr, .eps = eps,
                                                  .weights = {data(o)}, .ends = {s.hidden, s.hidden, s.hidden},
                                                  .residual = data(x), .out = sum, .rows = s.rows, .inputs = queries, .outputs = s.hidden});
      run<T, After::silu_and_mul, 3, 8, 4>(call, {.x = sum, .gain = data(post_norm), .eps = eps,
                                                  .weights = {data(gate), data(up)}, .ends = {s.inner, 2 * s.inner, 2 * s.inner},
                                                  .residual = nullptr, .out = inner, .rows = s.rows, .inputs = s.hidden, .outputs = s.inner});
      run<T, After::add_residual, 1, 16, 6>(call, {.x = inner, .gain = nullptr, .eps = eps,
                                                   .weights = {data(down)}, .ends = {s.hidden, s.hidden, s.hidden},
                                                   .residual = sum, .out = out.data<T>(), .rows = s.rows, .inputs = s.inner, .outputs = s.hidden});
    });
  }

 private:
  // Blocks and warps were chosen on an H200 for layers of Qwen3-0.6B: what is measured there is how well a kernel's start overlaps with
  // the one before. Small blocks find a place sooner; with several rows each of them norms all of them, so that fewer blocks win.
  template <class T>
  void run_qkv(const Call& call, const Projection<T>& p) const {
    p.rows <= 2 ? run<T, After::store, 1, 4, 8, 4>(call, p) : run<T, After::store, 2, 8, 4>(call, p);
  }

  template <class T>
  static void each_normed() {
    allow_shared_memory(project<T, After::store, 1, 4, 8, 4>, kMostNormed);
    allow_shared_memory(project<T, After::store, 2, 8, 4>, kMostNormed);
    allow_shared_memory(project<T, After::silu_and_mul, 3, 8, 4>, kMostNormed);
  }

  // kMostRows rows at a time: the weights of the second time come from the L2 cache, where a layer's fit.
  template <class T, After kAfter, int kTiles, int kWarps, int kHeld, int kBlocks = 1>
  void run(const Call& call, const Projection<T>& all) const {
    for (int first = 0; first < all.rows; first += kMostRows) {
      Projection<T> some = all;
      some.rows = std::min(kMostRows, all.rows - first);
      some.x += int64_t(first) * all.inputs;
      some.out += int64_t(first) * all.outputs;
      if (some.residual != nullptr) some.residual += int64_t(first) * all.outputs;
      run_some<T, kAfter, kTiles, kWarps, kHeld, kBlocks>(call, some);
    }
  }

  template <class T, After kAfter, int kTiles, int kWarps, int kHeld, int kBlocks>
  void run_some(const Call& call, const Projection<T>& p) const {
    const size_t memory = p.gain != nullptr ? size_t(p.rows + 1) * size_t(normed_stride(p.inputs)) * sizeof(T) : 0;
    const auto blocks = [&](int outputs) { return dim3(unsigned((p.outputs + outputs - 1) / outputs)); };
    if constexpr (std::is_same_v<T, float>) {
      launch(project_float<kAfter>, {blocks(8), 256, memory}, gpu_stream(call), chained, p);
    } else {
      launch(project<T, kAfter, kTiles, kWarps, kHeld, kBlocks>, {blocks(kTiles * tile_outputs(kAfter)), kWarps * 32, memory}, gpu_stream(call),
             chained, p);
    }
  }

  // As many splits, in powers of two, as give every processor a block; one without clusters. Where 8 do not, more warps help.
  template <class T>
  void run_attention(const Call& call, const Sizes& s, const Attending<T>& p) const {
    unsigned splits = 1;
    while (chained && splits < 8 && int(splits * 2) * s.key_heads * s.rows <= processors) splits *= 2;
    const bool many_warps = splits < 8 && s.heads / s.key_heads <= 4;  // more heads take the room of more warps
    many_warps ? run_attention<T, 16>(call, s, p, splits) : run_attention<T, 8>(call, s, p, splits);
  }

  template <class T, int kWarps>
  void run_attention(const Call& call, const Sizes& s, const Attending<T>& p, unsigned splits) const {
    const Launch how = {dim3(splits, unsigned(s.key_heads), unsigned(s.rows)), kWarps * 32, 0, splits};
    const auto by_group = [&]<int kDim>(std::integral_constant<int, kDim>) {
      const int group = s.heads / s.key_heads;
      if (group <= 2) return launch(attend<T, kDim, 2, kWarps>, how, gpu_stream(call), chained, p);
      if (group <= 4) return launch(attend<T, kDim, 4, kWarps>, how, gpu_stream(call), chained, p);
      if constexpr (kWarps <= 8) launch(attend<T, kDim, 8, kWarps>, how, gpu_stream(call), chained, p);
    };
    s.dim == 64 ? by_group(std::integral_constant<int, 64>()) : by_group(std::integral_constant<int, 128>());
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::plugin::entry<graft::DecoderLayer>("DecoderLayer", "DecoderLayer/1")
                 .device(GRAFT_DEVICE_CUDA)
                 .capability(80, 999)
                 .dtypes({graft::plugin::bfloat16, graft::plugin::float16, graft::plugin::float32})
                 .flags(GRAFT_ENTRY_GRAPH_SAFE | GRAFT_ENTRY_DETERMINISTIC))
