// Plan: how attention is cut into tasks. It follows from the shapes alone, never from the thread count: the
// same inputs give the same bits.
#pragma once

#include <algorithm>
#include <graft/plugin.hpp>

#include "online_softmax.h"

namespace graft {

inline constexpr int64_t kRowsPerTask = 96;    // query rows: tokens x heads of the group
inline constexpr int64_t kKeysPerSplit = 256;  // keys of a task when keys are split
inline constexpr int64_t kMaxSplits = 64;

inline int64_t blocks(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

// A task is one key head with all query heads that read it and a block of query tokens, so that a key and a
// value are loaded once for the whole group. With one block of tokens (decode) the keys are split as well, to
// have enough tasks.
struct Plan {
  int64_t batch, query_heads, key_heads, queries, keys, key_dim, value_dim;
  int64_t group;         // query heads for each key head
  int64_t tokens_each;   // query tokens of a task
  int64_t token_blocks;  // tasks along the queries
  int64_t splits;        // tasks along the keys
  int64_t keys_each;     // keys of a split
  int64_t keys_worth_a_split = kKeysPerSplit;

  // Of attention/1's tensors.
  Plan(const plugin::Tensor& q, const plugin::Tensor& k, const plugin::Tensor& v)
      : Plan(q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), v.size(3)) {}

  Plan(int64_t batch, int64_t query_heads, int64_t key_heads, int64_t queries, int64_t keys, int64_t key_dim,
       int64_t value_dim)
      : batch(batch),
        query_heads(query_heads),
        key_heads(key_heads),
        queries(queries),
        keys(keys),
        key_dim(key_dim),
        value_dim(value_dim),
        group(key_heads == 0 ? 1 : query_heads / key_heads) {
    tokens_each = std::max<int64_t>(1, std::min(queries, kRowsPerTask / std::max<int64_t>(1, group)));
    token_blocks = blocks(queries, tokens_each);
    split();
  }

  // The same with a split for each so many keys.
  Plan split_every(int64_t keys_each) const {
    Plan plan = *this;
    plan.keys_worth_a_split = keys_each;
    plan.split();
    return plan;
  }

  // The same with all keys in one task.
  Plan unsplit() const {
    Plan plan = *this;
    plan.splits = 1;
    plan.keys_each = keys;
    return plan;
  }

  int64_t rows() const { return group * tokens_each; }
  int64_t tasks() const { return batch * key_heads * token_blocks * splits; }

  // A row's part of the result, in reals: its sums, then peak and total.
  int64_t part_size() const { return padded_columns(value_dim) + 2; }

  // For the workspace: bounds on rows() and on the reals of all parts that never shrink as a dimension
  // grows, as rows() and splits do.
  int64_t max_rows() const { return std::max(query_heads, std::min(query_heads * queries, kRowsPerTask)); }
  size_t parts_size() const {
    const int64_t rows = std::max(query_heads, std::min(query_heads * queries, kRowsPerTask * key_heads));
    return size_t(batch * rows * most_splits() * part_size());
  }
  int64_t most_splits() const { return std::clamp<int64_t>(keys / keys_worth_a_split, 1, kMaxSplits); }

 private:
  void split() {
    splits = token_blocks <= 1 ? most_splits() : 1;
    keys_each = blocks(blocks(keys, splits), kKeysPerBlock) * kKeysPerBlock;
  }
};

// Blocks in the order first, last, second, second to last …: under a causal mask later queries and earlier
// keys cost more, and this way each contiguous range of tasks costs about the same.
inline int64_t alternating(int64_t place, int64_t blocks) {
  return place % 2 == 0 ? place / 2 : blocks - 1 - place / 2;
}

struct Task {
  int64_t batch, key_head, group;
  int64_t first_token, tokens, rows;
  int64_t first_key, last_key;

  // A key head and a block of query tokens, over all keys.
  Task(const Plan& plan, int64_t batch, int64_t key_head, int64_t token_block)
      : batch(batch),
        key_head(key_head),
        group(plan.group),
        first_token(token_block * plan.tokens_each),
        tokens(std::min(plan.tokens_each, plan.queries - first_token)),
        rows(plan.group * tokens),
        first_key(0),
        last_key(plan.keys) {}

  // Task number `index` of a plan.
  Task(const Plan& plan, int64_t index)
      : Task(plan, index / plan.splits / plan.token_blocks / plan.key_heads,
             index / plan.splits / plan.token_blocks % plan.key_heads,
             alternating(index / plan.splits % plan.token_blocks, plan.token_blocks)) {
    const int64_t split = index % plan.splits;
    first_key = split * plan.keys_each;
    last_key = std::min(plan.keys, first_key + plan.keys_each);
  }

  // Rows are ordered by head, then token.
  int64_t query_head(int64_t row) const { return key_head * group + row / tokens; }
  int64_t token(int64_t row) const { return first_token + row % tokens; }
};

}  // namespace graft
