// Int8Linear: Linear with a weight of 8 bits, see common/int8_weight.h. Few rows stream it as it is; many
// rows, which wait for arithmetic, unpack blocks of it, see common/many_rows.h. No backward.
#pragma once

#include <graft/plugin.hpp>
#include <optional>
#include <vector>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/int8_few_rows.h"
#include "../common/many_rows.h"
#include "../common/reals.h"

namespace graft {

class Int8Linear {
 public:
  explicit Int8Linear(const plugin::Attributes&) {}

  void prepare(plugin::Arguments arguments) {
    const plugin::Tensor weight = arguments.tensor(kWeight);
    const std::optional<plugin::Tensor> bias = arguments.optional(kBias);
    with_float_dtype(weight.dtype(), [&]<class T>(T) {
      weight_ = Int8Weight(weight.data<T>(), weight.size(0), weight.size(1));
      bias_.clear();
      for (int64_t i = 0; bias && i < bias->numel(); ++i) bias_.push_back(simd::to_real(bias->data<T>()[i]));
    });
  }

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX);
    Workspace workspace;
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      workspace.take<float>(reals_needed(x));
      workspace.take<Int8Rows::Group>(Int8Rows::needed(kFewRows, weight_.depth()));
      workspace.take<std::byte>(RowsFor<T, Int8Weight>::needed(row_count(x), weight_.depth()));
      workspace.take<float>(threads * many_rows_scratch(weight_.depth()));
    });
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, std::optional<plugin::Tensor>,
               std::optional<plugin::Tensor>, plugin::Tensor out) const {
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Matrix<float> rows = as_reals<T>(call, x, workspace.take<float>(reals_needed(x)));
      auto* groups = workspace.take<Int8Rows::Group>(Int8Rows::needed(kFewRows, weight_.depth()));
      if (rows.rows <= kFewRows) return stream(call, Int8Rows(rows, groups), out.data<T>());
      auto* parts = workspace.take<std::byte>(RowsFor<T, Int8Weight>::needed(rows.rows, weight_.depth()));
      many_rows_times(call, RowsFor<T, Int8Weight>(call, rows, parts), weight_,
                      workspace.take<float>(call.thread_count() * many_rows_scratch(weight_.depth())),
                      [&](int64_t row, int64_t column, int64_t count, const float* products) {
                        write(out.data<T>(), row, column, count, products);
                      });
    });
  }

 private:
  enum { kX, kWeight, kBias };

  template <class T>
  void write(T* out, int64_t row, int64_t column, int64_t count, const float* products) const {
    using namespace simd;
    T* to = out + row * weight_.columns() + column;
    for_lanes(count, [&](int64_t i, auto n) {
      const Vec value = load(products + i, n);
      store(to + i, bias_.empty() ? value : value + load(bias_.data() + column + i, n), n);
    });
  }

  template <class T>
  void stream(const plugin::Call& call, const Int8Rows& x, T* out) const {
    if (x.x().rows == 0) return;
    stream_tiles(call, weight_, [&](int64_t begin, int64_t end) {
      few_rows_times(x, weight_, begin, end,
                     [&](int64_t row, int64_t column, int64_t count, const float* products) {
                       write(out, row, column, count, products);
                     });
    });
  }

  Int8Weight weight_;
  std::vector<float> bias_;  // empty: none
};

}  // namespace graft
