// RMSNorm and AddRMSNorm: one pass over a row for the sum of squares, one to scale it, the row being in the
// L1 cache by then.
#include <graft/contracts/add_rms_norm.h>
#include <graft/contracts/rms_norm.h>

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/rows.h"
#include "../common/variant.h"

namespace graft {
namespace {

using namespace plugin;
using namespace simd;

// Rows for one task: about 16k elements, some microseconds, well above what waking a thread costs.
int64_t rows_per_task(int64_t width) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width));
}

// Four accumulators hide the latency of the FMA. value(i, n) gives the row's lanes at i.
template <class Value>
float sum_of_squares(int64_t width, const Value& value) {
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) {
      const Vec x = value(i + j * kLanes, std::integral_constant<int, kLanes>{});
      sums[j] = fma(x, x, sums[j]);
    }
  }
  for_lanes(width - i, [&](int64_t at, auto n) {
    const Vec x = value(i + at, n);
    sums[0] = fma(x, x, sums[0]);
  });
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class T>
void scale(const T* x, float rstd, const T* weight, T* out, int64_t width) {
  const Vec factor = broadcast(rstd);
  for_lanes(width,
            [&](int64_t i, auto n) { store(out + i, load(x + i, n) * factor * load(weight + i, n), n); });
}

float reciprocal_root(float sum_of_squares, int64_t width, float eps) {
  return 1.0f / std::sqrt(sum_of_squares / float(width) + eps);
}

struct RMSNorm {
  float eps;

  explicit RMSNorm(const Attributes& attributes) : eps(float(attributes.number("eps"))) {}

  void forward(const Call& call, Tensor x, Tensor weight, Tensor out, std::optional<Tensor> rstd) const {
    with_dtype(x.dtype(), [&]<class T>(T) {
      const Rows<T> in(x);
      const T* gain = weight.data<T>();
      T* to = out.data<T>();
      float* saved = rstd ? rstd->data<float>() : nullptr;
      const int64_t width = in.width();
      call.parallel_for(in.count(), rows_per_task(width), [&](int64_t begin, int64_t end, uint32_t) {
        for (int64_t row = begin; row < end; ++row) {
          const T* values = in[row];
          const float squares = sum_of_squares(width, [&](int64_t i, auto n) { return load(values + i, n); });
          const float r = reciprocal_root(squares, width, eps);
          scale(values, r, gain, to + row * width, width);
          if (saved != nullptr) saved[row] = r;
        }
      });
    });
  }
};

struct AddRMSNorm {
  float eps;

  explicit AddRMSNorm(const Attributes& attributes) : eps(float(attributes.number("eps"))) {}

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
          const float squares = sum_of_squares(width, [&](int64_t i, auto n) {
            store(added + i, load(a + i, n) + load(b + i, n), n);
            return load(added + i, n);  // the norm sees the sum as rounded to T
          });
          const float r = reciprocal_root(squares, width, eps);
          scale(added, r, gain, to + row * width, width);
          if (saved != nullptr) saved[row] = r;
        }
      });
    });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::RMSNorm>("RMSNorm", "RMSNorm/1")),
             graft::for_this_cpu(graft::plugin::entry<graft::AddRMSNorm>("AddRMSNorm", "AddRMSNorm/1")))
