// What one launch of attention works on, in FlashInfer's integers of 32 bits. The entries fill it in, launch.cuh reads it.
#pragma once

#include <cstdint>

namespace graft::gpu {

// A tensor whose rows are of the head dimension; strides in elements. Within a batch row all offsets fit 32 bits.
struct Rows {
  const void* data;
  int64_t batch;
  uint32_t token, head;
};

struct Problem {
  Rows q, k, v;
  void* out;  // [batch, queries, query heads, D], contiguous
  // Sequences one behind the other: [batch + 1] each, on the device; then the strides of batches are 0, and `queries` and
  // `keys` count the tokens of all. Null: every sequence has as many.
  const int32_t* first_query;
  const int32_t* first_key;
  uint32_t batch, query_heads, key_heads, queries, keys;
  uint32_t window;  // keys that are seen before the query's own; kNoWindow: all
  float scale, softcap;
  bool causal;

  // Keys split into so many parts, each with a block of its own. If there are more than one, `parts` has room for their outputs,
  // [batch, queries, splits, query heads, D] in out's dtype, and `part_lse` for log-sum-exp with base 2, the same without D.
  uint32_t splits;
  void* parts;
  float* part_lse;

  uint32_t group() const { return query_heads / key_heads; }
};

// So large that no query is as far from a key, so small that sums with it stay below 2^32.
inline constexpr uint32_t kNoWindow = 1u << 30;

}  // namespace graft::gpu
