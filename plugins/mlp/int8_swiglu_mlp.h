// Int8SwiGLUMLP: SwiGLUMLP with weights of 8 bits, see common/int8_weight.h. What lies between is float, in
// the workspace. No backward.
#pragma once

#include <graft/plugin.hpp>
#include <optional>

#include "../common/dtype.h"
#include "../common/int8_few_rows.h"
#include "../common/many_rows.h"
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
    Workspace workspace;
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      workspace.take<float>(reals_needed(x));
      Memory<T>(workspace, *this, row_count(x), threads);
    });
    return workspace.used();
  }

  void forward(const plugin::Call& call, plugin::Tensor x, std::optional<plugin::Tensor>,
               std::optional<plugin::Tensor>, std::optional<plugin::Tensor>, plugin::Tensor out,
               std::optional<plugin::Tensor>, std::optional<plugin::Tensor>) const {
    with_float_dtype(x.dtype(), [&]<class T>(T) {
      Workspace workspace(call.workspace<void>());
      const Matrix<float> rows = as_reals<T>(call, x, workspace.take<float>(reals_needed(x)));
      if (rows.rows == 0) return;
      const Memory<T> memory(workspace, *this, rows.rows, call.thread_count());
      if (rows.rows <= kFewRows)
        stream(call, rows, memory, out.data<T>());
      else
        multiply(call, rows, memory, out.data<T>());
    });
  }

 private:
  enum { kX, kGate, kUp, kDown, kOut, kGateOut, kUpOut };

  template <class T>
  struct Memory {
    float *hidden, *ups;  // the latter of few rows
    Int8Rows::Group* groups;
    std::byte* parts;
    float* scratch;  // many_rows_scratch() of each thread, of gate and up at once or of the deepest

    Memory(Workspace& workspace, const Int8SwiGLUMLP& mlp, int64_t rows, uint32_t threads) {
      const int64_t inner = mlp.gate_.columns(), deepest = std::max(mlp.gate_.depth(), inner);
      hidden = workspace.take<float>(size_t(rows * inner));
      ups = workspace.take<float>(size_t(kFewRows * inner));
      groups = workspace.take<Int8Rows::Group>(Int8Rows::needed(kFewRows, deepest));
      parts = workspace.take<std::byte>(RowsFor<T, Int8Weight>::needed(rows, deepest));
      scratch = workspace.take<float>(
          threads * std::max(2 * many_rows_scratch(mlp.gate_.depth()), many_rows_scratch(deepest)));
    }
  };

  template <class T>
  void stream(const plugin::Call& call, const Matrix<float>& x, const Memory<T>& memory, T* out) const {
    const int64_t inner = gate_.columns();
    const Rows<float> hidden(memory.hidden, x.rows, inner, inner);
    const Int8Rows rows(x, memory.groups);
    stream_tiles(call, gate_, [&](int64_t begin, int64_t end) {
      few_rows_times(rows, gate_, begin, end, into(hidden));
      few_rows_times(rows, up_, begin, end, into(Rows<float>(memory.ups, x.rows, inner, inner)));
      const int64_t column = begin * kTileColumns, count = std::min(inner, end * kTileColumns) - column;
      for (int64_t row = 0; row < x.rows; ++row)
        simd::gate_row(hidden[row] + column, memory.ups + row * inner + column, hidden[row] + column, count);
    });
    const Int8Rows between({memory.hidden, x.rows, inner, inner}, memory.groups);
    stream_tiles(call, down_, [&](int64_t begin, int64_t end) {
      few_rows_times(between, down_, begin, end,
                     into(Rows<T>(out, x.rows, down_.columns(), down_.columns())));
    });
  }

  template <class T>
  void multiply(const plugin::Call& call, const Matrix<float>& x, const Memory<T>& memory, T* out) const {
    const int64_t inner = gate_.columns();
    const Rows<float> hidden(memory.hidden, x.rows, inner, inner);
    const RowsFor<T, Int8Weight> rows(call, x, memory.parts);
    many_rows_times(call, rows, std::array{&gate_, &up_}, memory.scratch,
                    [&](int64_t row, int64_t column, int64_t count, const float* gates, const float* ups) {
                      simd::gate_row(gates, ups, hidden[row] + column, count);
                    });
    const RowsFor<T, Int8Weight> between(call, {memory.hidden, x.rows, inner, inner}, memory.parts);
    many_rows_times(call, between, down_, memory.scratch,
                    into(Rows<T>(out, x.rows, down_.columns(), down_.columns())));
  }

  Int8Weight gate_, up_, down_;
};

}  // namespace graft
