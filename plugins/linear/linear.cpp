// Linear: out = x @ weight^T + bias. Few rows wait for memory: the weight is streamed once
// (common/products.h). Many rows wait for arithmetic: packed, blocked product (common/gemm.h).
#include <graft/contracts/linear.h>

#include <graft/plugin.hpp>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/floats.h"
#include "../common/gemm.h"
#include "../common/variant.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

// Up to here streaming is faster than packing.
constexpr int64_t kFewRows = 16;
struct Linear {
  explicit Linear(const Attributes&) {}

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    Workspace workspace;
    workspace.floats(floats_needed(arguments.tensor(0)));
    workspace.floats(threads * scratch_size(arguments.tensor(0).size(-1)));
    return workspace.used();
  }

  void forward(const Call& call, Tensor x, Tensor weight, std::optional<Tensor> bias, Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Matrix rows = as_floats<T>(call, x, workspace.floats(floats_needed(x)));
      const T* offset = bias ? bias->data<T>() : nullptr;
      if (rows.rows <= kFewRows)
        stream(call, rows, weight.data<T>(), weight.size(0), offset, out.data<T>());
      else
        multiply(call, rows, weight.data<T>(), weight.size(0), offset, out.data<T>(), workspace);
    });
  }

 private:
  // A packed block and its products, for one thread.
  static size_t scratch_size(int64_t depth) {
    return PackedColumns::size(kBlockColumns, depth) + size_t(kBlockRows * kBlockColumns);
  }

  template <class T>
  static void stream(const Call& call, const Matrix& x, const T* weight, int64_t columns, const T* bias,
                     T* out) {
    stream_columns(call, columns, x.width, [&](int64_t begin, int64_t end) {
      few_rows_times(x, weight, x.width, begin, end, [&](int64_t row, int64_t column, float value) {
        from_float(bias != nullptr ? value + to_float(bias[column]) : value, out + row * columns + column);
      });
    });
  }

  template <class T>
  static void multiply(const Call& call, const Matrix& x, const T* weight, int64_t columns, const T* bias,
                       T* out, Workspace& workspace) {
    const size_t scratch_each = scratch_size(x.width);
    float* scratch = workspace.floats(scratch_each * call.thread_count());
    for_blocks(call, x.rows, columns, [&](const Block& block) {
      float* memory = scratch + block.worker * scratch_each;
      float* products = memory + PackedColumns::size(kBlockColumns, x.width);
      const PackedColumns packed(memory, weight + block.column * x.width, x.width, block.columns, x.width);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        packed.multiply(x, row, rows, products, packed.width());
        for (int64_t r = 0; r < rows; ++r) {
          const float* from = products + r * packed.width();
          T* to = out + (row + r) * columns + block.column;
          for_lanes(block.columns, [&](int64_t i, auto n) {
            const Vec value = load(from + i, n);
            store(to + i, bias != nullptr ? value + load(bias + block.column + i, n) : value, n);
          });
        }
      });
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::Linear>("Linear", "Linear/1")))
