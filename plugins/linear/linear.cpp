// Linear: out = x @ weight^T + bias. Few rows wait for memory: the weight is streamed once
// (common/products.h). Many rows wait for arithmetic: packed, blocked product (common/gemm.h). Gradients are
// products of the same kind (common/matmul.h).
#include <graft/contracts/linear.h>

#include <graft/plugin.hpp>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/gemm.h"
#include "../common/gradients.h"
#include "../common/matmul.h"
#include "../common/reals.h"
#include "../common/variant.h"
#include "int8_linear.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

// Up to here streaming is faster than packing.
constexpr int64_t kFewRows = 16;
struct Linear {
  explicit Linear(const Attributes&) {}

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const Tensor x = arguments.tensor(0);
    Workspace workspace;
    with_dtype(x.dtype(), [&]<class T>(T) {
      workspace.take<Real<T>>(reals_needed(x));
      workspace.take<Real<T>>(
          threads * std::max(scratch_size<Real<T>>(x.size(-1)), BlockMultiplier<Real<T>>::kSize));
    });
    return workspace.used();
  }

  void forward(const Call& call, Tensor x, Tensor weight, std::optional<Tensor> bias, Tensor out) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      if constexpr (std::is_same_v<T, bf16>) {
        if (const Rows<const T> rows(x); amx::available() && rows.count() > kFewRows)
          return multiply_tiles(call, rows, Rows<const T>(weight), bias ? bias->data<T>() : nullptr,
                                Rows<T>(out), call.workspace<float>());
      }
      const Matrix rows = as_reals<T>(call, x, workspace.take<Real<T>>(reals_needed(x)));
      const T* offset = bias ? bias->data<T>() : nullptr;
      if (rows.rows <= kFewRows)
        stream(call, rows, weight.data<T>(), weight.size(0), offset, out.data<T>());
      else
        multiply(call, rows, weight.data<T>(), weight.size(0), offset, out.data<T>(), workspace);
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t threads) const {
    Workspace workspace;
    with_dtype(arguments.tensor(kX).dtype(),
               [&]<class T>(T) { workspace.take<Real<T>>(threads * BlockMultiplier<Real<T>>::kSize); });
    return workspace.used();
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    const Tensor x = arguments.tensor(kX), weight = arguments.tensor(kWeight);
    with_dtype(x.dtype(), [&]<class T>(T) {
      const auto grad_x = wanted<T>(grad_inputs, needs, kX),
                 grad_weight = wanted<T>(grad_inputs, needs, kWeight),
                 grad_bias = wanted<T>(grad_inputs, needs, kBias);
      const auto grad_out = incoming<T>(grad_outputs, 0);
      if (!grad_out) return clear(grad_x), clear(grad_weight), clear(grad_bias);
      Real<T>* scratch = call.workspace<Real<T>>();
      const View<T> out{*grad_out};
      if (grad_x) graft::multiply(call, scratch, Product<T, T>{out, {Rows<const T>(weight)}}, into(*grad_x));
      if (grad_weight)
        graft::multiply(call, scratch, Product<T, T>{transposed(*grad_out), {Rows<const T>(x)}},
                        into(*grad_weight));
      if (grad_bias) sum_rows(call, *grad_out, (*grad_bias)[0]);
    });
  }

 private:
  enum { kX, kWeight, kBias };

  // Columns are summed from the first row to the last, whichever thread has them.
  template <class T>
  static void sum_rows(const Call& call, const Rows<const T>& rows, T* sums) {
    constexpr int64_t kColumns = 8 * kLanes;
    const int64_t width = rows.width();
    call.parallel_for((width + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t column = begin * kColumns; column < std::min(width, end * kColumns); column += kColumns) {
        const int64_t count = std::min(kColumns, width - column);
        Real<T> totals[kColumns] = {};
        for (int64_t row = 0; row < rows.count(); ++row) {
          const T* values = rows[row] + column;
          for_lanes(count, [&](int64_t i, auto n) {
            store(totals + i, load(totals + i, n) + load(values + i, n), n);
          });
        }
        for_lanes(count, [&](int64_t i, auto n) { store(sums + column + i, load(totals + i, n), n); });
      }
    });
  }

  // A packed block and its products, for one thread.
  template <class R>
  static size_t scratch_size(int64_t depth) {
    return PackedColumns<R>::size(kBlockColumns, depth) + size_t(kBlockRows * kBlockColumns);
  }

  template <class T, class R = Real<T>>
  static void stream(const Call& call, const Matrix<R>& x, const T* weight, int64_t columns, const T* bias,
                     T* out) {
    stream_columns(call, columns, x.width, [&](int64_t begin, int64_t end) {
      few_rows_times(x, weight, x.width, begin, end, [&](int64_t row, int64_t column, R value) {
        from_real(bias != nullptr ? value + to_real(bias[column]) : value, out + row * columns + column);
      });
    });
  }

  static void multiply_tiles(const Call& call, const Rows<const bf16>& x, const Rows<const bf16>& weight,
                             const bf16* bias, const Rows<bf16>& out, float* scratch) {
    graft::multiply(call, scratch, Product<bf16, bf16>{{x}, transposed(weight)},
                    [&](int64_t row, int64_t column, int64_t count, const float* products) {
                      bf16* to = out[row] + column;
                      for_lanes(count, [&](int64_t i, auto n) {
                        const Vec value = load(products + i, n);
                        store(to + i, bias != nullptr ? value + load(bias + column + i, n) : value, n);
                      });
                    });
  }

  template <class T, class R = Real<T>>
  static void multiply(const Call& call, const Matrix<R>& x, const T* weight, int64_t columns, const T* bias,
                       T* out, Workspace& workspace) {
    const size_t scratch_each = scratch_size<R>(x.width);
    R* scratch = workspace.take<R>(scratch_each * call.thread_count());
    for_blocks(call, x.rows, columns, [&](const Block& block) {
      R* memory = scratch + block.worker * scratch_each;
      R* products = memory + PackedColumns<R>::size(kBlockColumns, x.width);
      const PackedColumns packed(memory, weight + block.column * x.width, x.width, block.columns, x.width);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        packed.multiply(x, row, rows, products, packed.width());
        for (int64_t r = 0; r < rows; ++r) {
          const R* from = products + r * packed.width();
          T* to = out + (row + r) * columns + block.column;
          for_lanes(block.columns, [&](int64_t i, auto n) {
            const VecOf<R> value = load(from + i, n);
            store(to + i, bias != nullptr ? value + load(bias + block.column + i, n) : value, n);
          });
        }
      });
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::Linear>("Linear", "Linear/1")),
             graft::in_8_bits(graft::plugin::entry<graft::Int8Linear>("Int8Linear", "Linear/1")))
