// How a product [rows x columns] is cut into tasks for the host's threads. Cuts never change a result: the
// terms of an element are added up in one order.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "gemm.h"

namespace graft {

// Elements of a weight for one task of stream_columns: 256 KiB in float, some 20 microseconds.
inline constexpr int64_t kStreamedElements = 65536;

// body(begin, end) for all columns of a product of few rows, each column costing `depth` elements of weight.
// Ranges begin at multiples of 4, the columns of a dot_tile.
template <class Body>
void stream_columns(const plugin::Call& call, int64_t columns, int64_t depth, const Body& body) {
  constexpr int64_t kTile = 4;
  const int64_t grain = std::max<int64_t>(1, kStreamedElements / kTile / std::max<int64_t>(1, depth));
  call.parallel_for((columns + kTile - 1) / kTile, grain, [&](int64_t begin, int64_t end, uint32_t) {
    body(begin * kTile, std::min(columns, end * kTile));
  });
}

// One task: these rows of these columns, at most kBlockColumns of them, on this worker.
struct Block {
  int64_t row_begin, row_end;
  int64_t column, columns;
  uint32_t worker;
};

// body(Block) for all of [rows x columns]: by columns, since a block's weights are packed once for all of its
// rows; by rows too where there are more threads than blocks of columns.
template <class Body>
void for_blocks(const plugin::Call& call, int64_t rows, int64_t columns, const Body& body) {
  if (rows == 0 || columns == 0) return;
  const int64_t across = (columns + kBlockColumns - 1) / kBlockColumns;
  const int64_t wanted = (4 * int64_t{call.thread_count()} + across - 1) / across;
  const int64_t rows_each = std::max(kBlockRows, (rows + wanted - 1) / wanted);
  const int64_t down = (rows + rows_each - 1) / rows_each;
  call.parallel_for(across * down, 1, [&](int64_t begin, int64_t end, uint32_t worker) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task / down * kBlockColumns, row = task % down * rows_each;
      body(Block{row, std::min(rows, row + rows_each), column, std::min(kBlockColumns, columns - column),
                 worker});
    }
  });
}

// body(row, rows) for stretches of at most kBlockRows, whose part of x stays in the cache while the columns
// pass by.
template <class Body>
void for_row_blocks(const Block& block, const Body& body) {
  for (int64_t row = block.row_begin; row < block.row_end; row += kBlockRows)
    body(row, std::min(kBlockRows, block.row_end - row));
}

}  // namespace graft
