// Int8Linear: Linear with a weight of 8 bits, see common/int8_weight.h. Few rows stream it as it is; for many
// rows, which wait for arithmetic, blocks of it are unpacked to float and multiplied as Linear does. No
// backward.
#pragma once

#include <graft/plugin.hpp>
#include <optional>
#include <vector>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/int8_weight.h"
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
    Workspace workspace;
    workspace.take<float>(reals_needed(arguments.tensor(kX)));
    workspace.take<float>(threads * scratch_size());
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, std::optional<plugin::Tensor>,
               std::optional<plugin::Tensor>, plugin::Tensor out) const {
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Matrix<float> rows = as_reals<T>(call, x, workspace.take<float>(reals_needed(x)));
      if (rows.rows <= kFewRows)
        stream(call, rows, out.data<T>());
      else
        multiply(call, rows, out.data<T>(), workspace.take<float>(call.thread_count() * scratch_size()));
    });
  }

 private:
  enum { kX, kWeight, kBias };
  static constexpr int64_t kFewRows = 16;  // up to here streaming is faster than unpacking

  // A block's columns and their products, for one thread.
  size_t scratch_size() const {
    return PackedColumns<float>::size(kBlockColumns, weight_.depth()) + size_t(kBlockRows * kBlockColumns);
  }

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
  void stream(const plugin::Call& call, const Matrix<float>& x, T* out) const {
    if (x.rows == 0) return;
    stream_tiles(call, weight_, [&](int64_t begin, int64_t end) {
      few_rows_times(x, weight_, begin, end,
                     [&](int64_t row, int64_t column, int64_t count, const float* products) {
                       write(out, row, column, count, products);
                     });
    });
  }

  template <class T>
  void multiply(const plugin::Call& call, const Matrix<float>& x, T* out, float* scratch) const {
    for_blocks(call, x.rows, weight_.columns(), [&](const Block& block) {
      float* memory = scratch + block.worker * scratch_size();
      float* products = memory + PackedColumns<float>::size(kBlockColumns, weight_.depth());
      const PackedColumns<float> packed = weight_.unpack(block.column, block.columns, memory);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        packed.multiply(x, row, rows, products, packed.width());
        for (int64_t r = 0; r < rows; ++r)
          write(out, row + r, block.column, block.columns, products + r * packed.width());
      });
    });
  }

  Int8Weight weight_;
  std::vector<float> bias_;  // empty: none
};

}  // namespace graft
