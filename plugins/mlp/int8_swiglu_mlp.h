// Int8SwiGLUMLP: SwiGLUMLP with weights of 8 bits, see common/int8_weight.h. What lies between is float, in
// the workspace. No backward.
#pragma once

#include <graft/plugin.hpp>
#include <optional>

#include "../common/blocks.h"
#include "../common/dtype.h"
#include "../common/int8_weight.h"
#include "../common/math.h"
#include "../common/reals.h"
#include "../common/rows.h"

namespace graft {

class Int8SwiGLUMLP {
 public:
  explicit Int8SwiGLUMLP(const plugin::Attributes&) {}

  // What backward would read is asked for by nobody else.
  static bool supports(const plugin::Attributes&, plugin::Arguments arguments) {
    return !arguments.has(kGateOut) && !arguments.has(kUpOut);
  }

  void prepare(plugin::Arguments arguments) {
    with_float_dtype(arguments.tensor(kGate).dtype(), [&]<class T>(T) {
      const auto packed = [&](int input) {
        const plugin::Tensor weight = arguments.tensor(input);
        return Int8Weight(weight.data<T>(), weight.size(0), weight.size(1));
      };
      gate_ = packed(kGate), up_ = packed(kUp), down_ = packed(kDown);
    });
  }

  size_t workspace_size(plugin::Arguments arguments, uint32_t threads) const {
    const plugin::Tensor x = arguments.tensor(kX);
    const int64_t rows = row_count(x);
    Workspace workspace;
    workspace.take<float>(reals_needed(x));
    workspace.take<float>(size_t(rows * gate_.columns()));
    workspace.take<float>(size_t(kFewRows * gate_.columns()));
    workspace.take<float>(threads * scratch_size());
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, std::optional<plugin::Tensor>,
               std::optional<plugin::Tensor>, std::optional<plugin::Tensor>, plugin::Tensor out,
               std::optional<plugin::Tensor>, std::optional<plugin::Tensor>) const {
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Matrix<float> rows = as_reals<T>(call, x, workspace.take<float>(reals_needed(x)));
      if (rows.rows == 0) return;
      const int64_t inner = gate_.columns();
      float* hidden = workspace.take<float>(size_t(rows.rows * inner));
      float* ups = workspace.take<float>(size_t(kFewRows * inner));
      if (rows.rows <= kFewRows)
        stream(call, rows, hidden, ups, out.data<T>());
      else
        multiply(call, rows, hidden, workspace.take<float>(call.thread_count() * scratch_size()),
                 out.data<T>());
    });
  }

 private:
  enum { kX, kGate, kUp, kDown, kOut, kGateOut, kUpOut };
  static constexpr int64_t kFewRows = 16;  // up to here streaming is faster than unpacking

  // For one thread: a block's columns each of gate and up (or of down), and their products.
  size_t scratch_size() const { return 2 * (packed_size() + kProducts); }
  size_t packed_size() const {
    return PackedColumns<float>::size(kBlockColumns, std::max(gate_.depth(), down_.depth()));
  }
  static constexpr size_t kProducts = size_t(kBlockRows * kBlockColumns);

  // hidden = silu(gate) * up for a stretch of a row. `hidden` may be `gate`.
  static void combine(const float* gate, const float* up, float* hidden, int64_t count) {
    using namespace simd;
    for_lanes(count,
              [&](int64_t i, auto n) { store(hidden + i, silu(load(gate + i, n)) * load(up + i, n), n); });
  }

  template <class T>
  static void copy(const float* from, T* to, int64_t count) {
    simd::for_lanes(count, [&](int64_t i, auto n) { simd::store(to + i, simd::load(from + i, n), n); });
  }

  template <class T>
  void stream(const plugin::Call& call, const Matrix<float>& x, float* hidden, float* ups, T* out) const {
    const int64_t inner = gate_.columns(), width = down_.columns();
    stream_tiles(call, gate_, [&](int64_t begin, int64_t end) {
      const auto into = [&](float* to) {
        return [=](int64_t row, int64_t column, int64_t count, const float* products) {
          copy(products, to + row * inner + column, count);
        };
      };
      few_rows_times(x, gate_, begin, end, into(hidden));
      few_rows_times(x, up_, begin, end, into(ups));
      const int64_t column = begin * kTileColumns, count = std::min(inner, end * kTileColumns) - column;
      for (int64_t row = 0; row < x.rows; ++row) {
        float* gates = hidden + row * inner + column;
        combine(gates, ups + row * inner + column, gates, count);
      }
    });
    const Matrix<float> between{hidden, x.rows, inner, inner};
    stream_tiles(call, down_, [&](int64_t begin, int64_t end) {
      few_rows_times(between, down_, begin, end,
                     [&](int64_t row, int64_t column, int64_t count, const float* products) {
                       copy(products, out + row * width + column, count);
                     });
    });
  }

  template <class T>
  void multiply(const plugin::Call& call, const Matrix<float>& x, float* hidden, float* scratch,
                T* out) const {
    const int64_t inner = gate_.columns(), width = down_.columns();
    for_blocks(call, x.rows, inner, [&](const Block& block) {
      float* memory = scratch + block.worker * scratch_size();
      float* gates = memory + 2 * packed_size();
      float* ups = gates + kProducts;
      const PackedColumns<float> gate = gate_.unpack(block.column, block.columns, memory);
      const PackedColumns<float> up = up_.unpack(block.column, block.columns, memory + packed_size());
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        gate.multiply(x, row, rows, gates, gate.width());
        up.multiply(x, row, rows, ups, up.width());
        for (int64_t r = 0; r < rows; ++r)
          combine(gates + r * gate.width(), ups + r * up.width(), hidden + (row + r) * inner + block.column,
                  block.columns);
      });
    });
    const Matrix<float> between{hidden, x.rows, inner, inner};
    for_blocks(call, x.rows, width, [&](const Block& block) {
      float* memory = scratch + block.worker * scratch_size();
      float* products = memory + 2 * packed_size();
      const PackedColumns<float> down = down_.unpack(block.column, block.columns, memory);
      for_row_blocks(block, [&](int64_t row, int64_t rows) {
        down.multiply(between, row, rows, products, down.width());
        for (int64_t r = 0; r < rows; ++r)
          copy(products + r * down.width(), out + (row + r) * width + block.column, block.columns);
      });
    });
  }

  Int8Weight gate_, up_, down_;
};

}  // namespace graft
