// Linear for few rows, as in decode: they wait for memory, and torch's own product leaves some of it unused. More rows wait for
// arithmetic, where torch's own is cuBLAS already: they are not served.
#include <graft/contracts/linear.h>

#include <graft/plugin.hpp>
#include <optional>

#include "../../common/cuda/few_rows.cuh"
#include "../../common/cuda/project.cuh"
#include "../../common/rows.h"

namespace graft {
namespace {

using namespace plugin;

struct Linear {
  explicit Linear(const Attributes&) {}

  static bool supports(const Attributes&, Arguments arguments) {
    const Tensor x = arguments.tensor(0), weight = arguments.tensor(1);
    return gpu::fits_few_rows(row_count(x), weight.size(1), weight.size(0));
  }

  void forward(const Call& call, Tensor x, Tensor weight, std::optional<Tensor> bias, Tensor out) const {
    gpu::with_dtype(x.dtype(), [&]<class T>(T) {
      const Rows<const T> rows(x);
      if constexpr (sizeof(T) == 2)
        if (!bias && on_tensor_cores(call, rows, weight, out.data<T>())) return;
      gpu::FewRows<T> few{.row = {}, .count = int(rows.count())};
      for (int i = 0; i < few.count; ++i) few.row[i] = rows[i];
      gpu::multiply_few_rows(gpu::gpu_stream(call), few, weight.size(1), weight.size(0),
                             gpu::WriteLinear<T>{{weight.data<T>()}, bias ? bias->data<T>() : nullptr, out.data<T>()});
    });
  }

 private:
  // False: it does not take these.
  template <class T>
  static bool on_tensor_cores(const Call& call, const Rows<const T>& x, const Tensor& weight, T* out) {
    const int64_t depth = weight.size(1), columns = weight.size(0);
    const bool takes = x.count() > 0 && columns > 0 && columns < (1 << 30) && x.evenly_spaced() && (x.count() == 1 || x.stride() == depth) &&
                       gpu::aligned16(x[0], weight.data<T>());
    if (!takes) return false;
    const int n = int(columns);
    const gpu::Projection<T> p = {.x = x[0], .gain = nullptr, .eps = 0, .weights = {weight.data<T>()}, .ends = {n, n, n}, .residual = nullptr,
                                  .out = out, .rows = int(x.count()), .inputs = int(depth), .outputs = n};
    // Measured on an H200 for lm_head of Qwen3-0.6B.
    const auto launch = [&](auto* kernel, int outputs, unsigned warps) {
      gpu::launch(kernel, {dim3(unsigned((n + outputs - 1) / outputs)), warps * 32}, gpu::gpu_stream(call), /*chained=*/false, p);
    };
    p.rows <= 2 ? launch(gpu::project<T, gpu::After::store, 1, 4, 8, 4>, 16, 4) : launch(gpu::project<T, gpu::After::store, 2, 8, 2, 3>, 32, 8);
    return true;
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::gpu::for_gpu(graft::plugin::entry<graft::Linear>("Linear", "Linear/1"))
                 .flags(GRAFT_ENTRY_DETERMINISTIC))
