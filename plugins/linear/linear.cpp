// Linear: out = x @ weight^T + bias. Few rows wait for memory: the weight is streamed once
// (common/products.h). Many rows wait for arithmetic: blocks of the weight are packed (common/many_rows.h),
// or of both factors where they are bfloat16 and the processor multiplies that (common/tiles.h), as for
// gradients (common/matmul.h).
#include <graft/contracts/linear.h>

#include <graft/plugin.hpp>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/many_rows.h"
#include "../common/matmul.h"
#include "../common/plain_weight.h"
#include "../common/reals.h"
#include "../common/variant.h"
#include "int8_linear.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

struct Linear {
  explicit Linear(const Attributes&) {}

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const Tensor x = arguments.tensor(kX);
    Workspace workspace;
    with_dtype(x.dtype(), [&]<class T>(T) { Memory<T>(workspace, x, threads); });
    return workspace.used();
  }

  void forward(const Call& call, Tensor x, Tensor weight, std::optional<Tensor> bias, Tensor out) const {
    with_dtype(
        x.dtype(), [&]<class T, class R = Real<T>>(T) {
          Workspace workspace(call.workspace<void>());
          const Memory<T> memory(workspace, x, call.thread_count());
          const T* offset = bias ? bias->data<T>() : nullptr;
          const auto write = [offset, to = Rows<T>(out)](int64_t row, int64_t column, int64_t count,
                                                         const R* products) {
            T* target = to[row] + column;
            const T* added = offset != nullptr ? offset + column : nullptr;
            for_lanes(count, [=](int64_t i, auto n) {
              const VecOf<R> value = load(products + i, n);
              store(target + i, added != nullptr ? value + load(added + i, n) : value, n);
            });
          };
          const bool few = row_count(x) <= kFewRows;
          if constexpr (std::is_same_v<T, bf16>) {
            if (tiles::available() && !few) {
              const Product<T, T> product{{Rows<const T>(x)}, transposed(Rows<const T>(weight))};
              return multiply(call, memory.scratch, product, write);
            }
          }
          const Matrix<R> rows = as_reals<T>(call, x, memory.reals);
          if (few)
            stream(call, rows, weight.data<T>(), weight.size(0), offset, out.data<T>());
          else
            many_rows_times(call, ManyRows<R, 0, false>(call, rows, nullptr), PlainWeight<T>(weight),
                            memory.scratch, write);
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
      if (grad_x) multiply(call, scratch, Product<T, T>{out, {Rows<const T>(weight)}}, into(*grad_x));
      if (grad_weight)
        multiply(call, scratch, Product<T, T>{transposed(*grad_out), {Rows<const T>(x)}}, into(*grad_weight));
      if (grad_bias) sum_rows(call, *grad_out, (*grad_bias)[0]);
    });
  }

 private:
  enum { kX, kWeight, kBias };

  template <class T, class R = Real<T>>
  struct Memory {
    R *reals, *scratch;  // scratch: of each thread, for any of the products
    Memory(Workspace& workspace, const Tensor& x, uint32_t threads)
        : reals(workspace.take<R>(reals_needed(x))),
          scratch(workspace.take<R>(threads *
                                    std::max(many_rows_scratch(x.size(-1)), BlockMultiplier<R>::kSize))) {}
  };

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

  template <class T, class R = Real<T>>
  static void stream(const Call& call, const Matrix<R>& x, const T* weight, int64_t columns, const T* bias,
                     T* out) {
    stream_columns(call, columns, x.width, [&](int64_t begin, int64_t end) {
      few_rows_times(x, weight, x.width, begin, end, [&](int64_t row, int64_t column, R value) {
        from_real(bias != nullptr ? value + to_real(bias[column]) : value, out + row * columns + column);
      });
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::Linear>("Linear", "Linear/1")),
             graft::in_8_bits(graft::plugin::entry<graft::Int8Linear>("Int8Linear", "Linear/1")))
