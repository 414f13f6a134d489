// Linear for few rows, as in decode: they wait for memory, and torch's own product leaves some of it unused. More rows wait for
// arithmetic, where torch's own is cuBLAS already: they are not served.
#include <graft/contracts/linear.h>

#include <graft/plugin.hpp>
#include <optional>

#include "../../common/cuda/few_rows.cuh"
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
      gpu::FewRows<T> few{.row = {}, .count = int(rows.count())};
      for (int i = 0; i < few.count; ++i) few.row[i] = rows[i];
      gpu::multiply_few_rows(gpu::gpu_stream(call), few, weight.size(1), weight.size(0),
                             gpu::WriteLinear<T>{{weight.data<T>()}, bias ? bias->data<T>() : nullptr, out.data<T>()});
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::plugin::entry<graft::Linear>("Linear", "Linear/1")
                 .device(graft::gpu::kDeviceType)
                 .capability(80, 999)
                 .dtypes({graft::plugin::bfloat16, graft::plugin::float16, graft::plugin::float32})
                 .flags(GRAFT_ENTRY_GRAPH_SAFE | GRAFT_ENTRY_COMPILE_SAFE | GRAFT_ENTRY_DETERMINISTIC))
