// RMSNorm and AddRMSNorm: one pass over a row for the sum of squares, one to scale it, the row being in the
// L1 cache by then. Gradients are in backward.h.
#include <graft/contracts/add_rms_norm.h>
#include <graft/contracts/rms_norm.h>

#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/gradients.h"
#include "../common/rows.h"
#include "../common/variant.h"
#include "backward.h"
#include "rms.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

struct RMSNorm {
  double eps;

  explicit RMSNorm(const Attributes& attributes) : eps(attributes.number("eps")) {}

  void forward(const Call& call, Tensor x, Tensor weight, Tensor out, std::optional<Tensor> rstd) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      norm_rows(call, Rows<const T>(x), weight.data<T>(), eps, out.data<T>(),
                rstd ? rstd->data<float>() : nullptr);
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t) const {
    return norm_backward_workspace(arguments.tensor(kX));
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    const Tensor x = arguments.tensor(kX), weight = arguments.tensor(kWeight);
    with_dtype(x.dtype(), [&]<class T>(T) {
      norm_backward<T>(call, Rows<const T>(x), weight.data<T>(), saved_rstd(arguments.optional(kRstd)), eps,
                       {.out = incoming<T>(grad_outputs, 0),
                        .x = wanted<T>(grad_inputs, needs, kX),
                        .weight = wanted<T>(grad_inputs, needs, kWeight)});
    });
  }

 private:
  enum { kX, kWeight, kOut, kRstd };
};

struct AddRMSNorm {
  double eps;

  explicit AddRMSNorm(const Attributes& attributes) : eps(attributes.number("eps")) {}

  void forward(const Call& call, Tensor x, Tensor residual, Tensor weight, Tensor out, Tensor sum,
               std::optional<Tensor> rstd) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      const Rows<T> left(x), right(residual);
      const T* gain = weight.data<T>();
      T* to = out.data<T>();
      T* sums = sum.data<T>();
      float* saved = rstd ? rstd->data<float>() : nullptr;
      const int64_t width = left.width();
      call.parallel_for(left.count(), rows_per_task(width), [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T *a = left[row], *b = right[row];
          T* added = sums + row * width;
          const Real<T> squares = sum_of_squares<Real<T>>(width, [&](int64_t i, auto n) {
            store(added + i, load(a + i, n) + load(b + i, n), n);
            return load(added + i, n);  // the norm sees the sum as rounded to T
          });
          const Real<T> r = reciprocal_root(squares, width, eps);
          scale_row(added, r, gain, to + row * width, width);
          if (saved != nullptr) saved[row] = float(r);
        }
      });
    });
  }

  size_t backward_workspace_size(Arguments arguments, uint32_t) const {
    return norm_backward_workspace(arguments.tensor(kSum));
  }

  void backward(const Call& call, Arguments arguments, Arguments grad_outputs, uint64_t needs,
                Arguments grad_inputs) const {
    const Tensor sum = arguments.tensor(kSum), weight = arguments.tensor(kWeight);
    with_dtype(sum.dtype(), [&]<class T>(T) {
      norm_backward<T>(call, Rows<const T>(sum), weight.data<T>(), saved_rstd(arguments.optional(kRstd)), eps,
                       {.out = incoming<T>(grad_outputs, 0),
                        .sum = incoming<T>(grad_outputs, 1),
                        .x = wanted<T>(grad_inputs, needs, kX),
                        .residual = wanted<T>(grad_inputs, needs, kResidual),
                        .weight = wanted<T>(grad_inputs, needs, kWeight)});
    });
  }

 private:
  enum { kX, kResidual, kWeight, kOut, kSum, kRstd };
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::RMSNorm>("RMSNorm", "RMSNorm/1")),
             graft::for_this_cpu(graft::plugin::entry<graft::AddRMSNorm>("AddRMSNorm", "AddRMSNorm/1")))
