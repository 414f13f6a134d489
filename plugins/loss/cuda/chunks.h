// How the logits [N, V] are cut so that a piece of them fits a workspace of about 512 MiB. Large enough that the products run at
// full speed: at V = 151936 in bfloat16, forward takes up to 1536 rows at a time, and backward of 8192 rows 32768 columns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace graft {

class LossChunks {
 public:
  // `element`: bytes of a logit.
  LossChunks(int64_t rows, int64_t vocabulary, size_t element)
      : rows_(std::max<int64_t>(rows, 1)), vocabulary_(vocabulary), element_(int64_t(element)) {}

  // Rows of the logits' memory begin on 16 bytes: all strides are multiples of 8 elements.
  int64_t full_stride() const { return round_up(vocabulary_, 8); }

  // Forward: rows [n, V], at full_stride().
  int64_t rows_at_once() const {
    const int64_t most = std::max(kLeastRows, kBytes / (full_stride() * element_) / kLeastRows * kLeastRows);
    return even(rows_, most, 128);
  }
  // Backward: columns [N, n], at columns_stride().
  int64_t columns_at_once() const {
    const int64_t most = std::max(kLeastColumns, kBytes / (rows_ * element_) / kColumnUnit * kColumnUnit);
    return even(vocabulary_, most, kColumnUnit);
  }
  int64_t columns_stride() const { return round_up(columns_at_once(), 8); }

  // Bytes that hold either piece. Not the pieces' own sizes, which shrink now and then where a dimension grows, but a bound of
  // them that does not.
  size_t bytes() const {
    const int64_t all = rows_ * full_stride() * element_;
    const int64_t most = std::max({kBytes, kLeastRows * full_stride() * element_, rows_ * kLeastColumns * element_});
    return size_t(std::min(all, most));
  }

 private:
  static constexpr int64_t kBytes = int64_t{512} << 20;
  static constexpr int64_t kLeastRows = 256, kLeastColumns = 2048, kColumnUnit = 256;

  static int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }
  // Pieces of about one size, rather than full ones and a small rest. `most` is a multiple of `unit`.
  static int64_t even(int64_t count, int64_t most, int64_t unit) {
    if (count <= most) return count;
    const int64_t pieces = (count + most - 1) / most;
    return round_up((count + pieces - 1) / pieces, unit);
  }

  int64_t rows_, vocabulary_, element_;
};

}  // namespace graft
