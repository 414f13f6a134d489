// Backward: the scores are computed anew, tile by tile, from what forward said their log-sum-exp is. With s
// the scores, p = exp(s - lse), and delta = sum over the row of grad_out * out:
//   ds = p (grad_out v^T - delta), times 1 - tanh^2 under a softcap
//   grad_q = scale ds k        grad_k = scale ds^T q        grad_v = p^T grad_out
// One pass has a task for each block of queries and writes grad_q, another one for each block of keys and
// writes grad_k and grad_v: each gradient is summed up by one task, in one order. Source: Dao et al. 2022,
// arXiv:2205.14135, appendix B.
#pragma once

#include "../common/matmul.h"
#include "forward.h"
#include "score_tile.h"

namespace graft {

template <class T>
struct AttentionGradients {
  Heads<T> out, grad_out;
  std::optional<Heads<T>> q, k, v;  // those that are wanted
};

template <class T>
class AttentionBackward {
  using R = simd::Real<T>;

 public:
  AttentionBackward(Workspace& workspace, const Plan& plan, uint32_t threads)
      : lse_(workspace.take<R>(row_count(plan))), deltas_(workspace.take<R>(row_count(plan))) {
    Workspace own;
    Scratch(own, plan);
    scratch_size_ = own.used();
    scratch_ = workspace.take<char>(scratch_size_ * threads);
  }

  // `saved_lse`: what forward saved, or null; in double it is not looked at, since a float says too little. `lse_stride`: from one
  // head's to the next one's.
  void run(const plugin::Call& call, const AttentionCall<T>& attention, const AttentionGradients<T>& grad,
           const float* saved_lse, int64_t lse_stride, Workspace& workspace) const {
    const Plan& plan = attention.plan;
    if (saved_lse != nullptr && !std::is_same_v<T, double>) {
      for (int64_t head = 0; head < plan.batch * plan.query_heads; ++head)
        std::copy_n(saved_lse + head * lse_stride, plan.queries, lse_ + head * plan.queries);
    } else {
      Forward<T, R>(attention, {nullptr, lse_, plan.queries}).run(call, workspace);
    }
    compute_deltas(call, attention.plan, grad);
    if (grad.q) differentiate_queries(call, attention, grad);
    if (grad.k || grad.v) differentiate_keys(call, attention, grad);
  }

 private:
  static size_t row_count(const Plan& plan) { return size_t(plan.batch * plan.query_heads * plan.queries); }

  // What one thread works with. Rows that are the right factor of a product are padded to whole register
  // tiles.
  struct Scratch {
    int64_t key_width, value_width;
    R *queries, *grads, *keys, *packed_keys, *packed_values, *transposed, *first_sums, *second_sums;
    ScoreTile<R> tile;
    Scratch(Workspace& workspace, const Plan& plan)
        : key_width(padded_columns(plan.key_dim)),
          value_width(padded_columns(plan.value_dim)),
          queries(workspace.take<R>(size_t(plan.max_rows() * key_width))),
          grads(workspace.take<R>(size_t(plan.max_rows() * value_width))),
          keys(workspace.take<R>(size_t(kKeysPerBlock * key_width))),
          packed_keys(workspace.take<R>(PackedColumns<R>::size(kKeysPerBlock, plan.key_dim))),
          packed_values(workspace.take<R>(PackedColumns<R>::size(kKeysPerBlock, plan.value_dim))),
          transposed(workspace.take<R>(size_t(padded_columns(plan.max_rows()) * kKeysPerBlock))),
          first_sums(workspace.take<R>(size_t(std::max(plan.max_rows(), kKeysPerBlock) * key_width))),
          second_sums(workspace.take<R>(size_t(kKeysPerBlock * value_width))),
          tile(workspace, plan.max_rows()) {}
  };

  // body(task, scratch) for [0, count), on any thread.
  template <class Body>
  void for_tasks(const plugin::Call& call, const Plan& plan, int64_t count, const Body& body) const {
    call.parallel_for(count, 1, [&](int64_t begin, int64_t end, uint32_t worker) {
      Workspace own(scratch_ + worker * scratch_size_);
      Scratch scratch(own, plan);
      for (int64_t i = begin; i < end; ++i) body(i, scratch);
    });
  }

  void compute_deltas(const plugin::Call& call, const Plan& plan, const AttentionGradients<T>& grad) const {
    call.parallel_for(int64_t(row_count(plan)), 64, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t token = i % plan.queries, head = i / plan.queries % plan.query_heads;
        const int64_t batch = i / plan.queries / plan.query_heads;
        const T *out = grad.out.row(batch, head, token), *from = grad.grad_out.row(batch, head, token);
        simd::VecOf<T> sums = simd::broadcast(R{0});
        simd::for_lanes(plan.value_dim, [&](int64_t at, auto n) {
          sums = fma(simd::load(out + at, n), simd::load(from + at, n), sums);
        });
        deltas_[i] = simd::sum(sums);
      }
    });
  }

  // p and ds of a task's queries and keys [first, first + count), in scratch.tile.
  void compute_tile(const AttentionCall<T>& attention, const Task& task, const Matrix<R>& queries,
                    const Matrix<R>& grads, const PackedColumns<R>& keys, const PackedColumns<R>& values,
                    int64_t first, int64_t count, Scratch& scratch) const {
    const Plan& plan = attention.plan;
    scratch.tile.multiply(queries, grads, keys, values);
    for (int64_t row = 0; row < task.rows; ++row) {
      const int64_t head = task.query_head(row), token = task.token(row);
      const int64_t at = (task.batch * plan.query_heads + head) * plan.queries + token;
      scratch.tile.differentiate(row, count, lse_[at], deltas_[at], attention.softcap, [&](R* values) {
        attention.visible.hide(values, task.batch, head, token, first, count, R{0});
      });
    }
  }

  void differentiate_queries(const plugin::Call& call, const AttentionCall<T>& attention,
                             const AttentionGradients<T>& grad) const {
    const Plan plan = attention.plan.unsplit();
    for_tasks(call, plan, plan.tasks(), [&](int64_t index, Scratch& scratch) {
      const Task task(plan, index);
      const Matrix<R> queries =
          query_rows(attention.q, task, plan.key_dim, attention.scale, scratch.queries, scratch.key_width);
      const Matrix<R> grads =
          query_rows(grad.grad_out, task, plan.value_dim, R{1}, scratch.grads, scratch.value_width);
      const int64_t width = scratch.key_width;
      R* sums = scratch.first_sums;
      std::fill(sums, sums + task.rows * width, R{0});
      const KeyRange seen = attention.visible.range(task.first_token, task.tokens);
      for (int64_t first = seen.begin; first < seen.end; first += kKeysPerBlock) {
        const int64_t count = std::min(kKeysPerBlock, seen.end - first);
        const auto [keys, values] = pack(attention, task.batch, task.key_head, first, count, scratch);
        compute_tile(attention, task, queries, grads, keys, values, first, count, scratch);
        const Matrix<R> rows =
            key_rows(attention.k, task.batch, task.key_head, first, count, plan.key_dim, width, scratch.keys);
        tile_columns(task.rows, width, count, scratch.tile.grad_scores(0), kKeysPerBlock, rows.data,
                     rows.stride, kTileColumns, sums, width, true);
      }
      for (int64_t row = 0; row < task.rows; ++row)
        write_row(sums + row * width, plan.key_dim, attention.scale,
                  grad.q->row(task.batch, task.query_head(row), task.token(row)));
    });
  }

  void differentiate_keys(const plugin::Call& call, const AttentionCall<T>& attention,
                          const AttentionGradients<T>& grad) const {
    const Plan plan = attention.plan.unsplit();
    const int64_t key_blocks = (plan.keys + kKeysPerBlock - 1) / kKeysPerBlock;
    for_tasks(call, plan, plan.batch * plan.key_heads * key_blocks, [&](int64_t index, Scratch& scratch) {
      const int64_t key_head = index / key_blocks % plan.key_heads,
                    batch = index / key_blocks / plan.key_heads;
      const int64_t first = alternating(index % key_blocks, key_blocks) * kKeysPerBlock;
      const int64_t count = std::min(kKeysPerBlock, plan.keys - first);
      R *key_sums = scratch.first_sums, *value_sums = scratch.second_sums;
      std::fill(key_sums, key_sums + count * scratch.key_width, R{0});
      std::fill(value_sums, value_sums + count * scratch.value_width, R{0});
      const auto [keys, values] = pack(attention, batch, key_head, first, count, scratch);
      for (int64_t block = 0; block < plan.token_blocks; ++block) {
        const Task task(plan, batch, key_head, block);
        const KeyRange seen = attention.visible.range(task.first_token, task.tokens);
        if (seen.end <= first || seen.begin >= first + count) continue;
        const Matrix<R> queries =
            query_rows(attention.q, task, plan.key_dim, attention.scale, scratch.queries, scratch.key_width);
        const Matrix<R> grads =
            query_rows(grad.grad_out, task, plan.value_dim, R{1}, scratch.grads, scratch.value_width);
        compute_tile(attention, task, queries, grads, keys, values, first, count, scratch);
        if (grad.k) add_transposed(scratch, scratch.tile.grad_scores(0), count, queries, key_sums);
        if (grad.v) add_transposed(scratch, scratch.tile.weights(0), count, grads, value_sums);
      }
      for (int64_t key = 0; key < count; ++key) {
        if (grad.k)
          write_row(key_sums + key * scratch.key_width, plan.key_dim, R{1},
                    grad.k->row(batch, key_head, first + key));
        if (grad.v)
          write_row(value_sums + key * scratch.value_width, plan.value_dim, R{1},
                    grad.v->row(batch, key_head, first + key));
      }
    });
  }

  struct Packed {
    PackedColumns<R> keys, values;
  };
  static Packed pack(const AttentionCall<T>& attention, int64_t batch, int64_t key_head, int64_t first,
                     int64_t count, Scratch& scratch) {
    const Plan& plan = attention.plan;
    return {PackedColumns<R>(scratch.packed_keys, attention.k.row(batch, key_head, first),
                             attention.k.token_stride, count, plan.key_dim),
            PackedColumns<R>(scratch.packed_values, attention.v.row(batch, key_head, first),
                             attention.v.token_stride, count, plan.value_dim)};
  }

  // sums[count][rows.stride] += tile^T @ rows, tile being [rows.rows x count].
  static void add_transposed(Scratch& scratch, const R* tile, int64_t count, const Matrix<R>& rows, R* sums) {
    const int64_t depth = padded_columns(rows.rows);
    transpose_block(Rows<const R>(tile, rows.rows, kKeysPerBlock, kKeysPerBlock), 0, rows.rows, 0, count,
                    depth, scratch.transposed, depth);
    tile_columns(count, rows.stride, rows.rows, scratch.transposed, depth, rows.data, rows.stride,
                 kTileColumns, sums, rows.stride, true);
  }

  R *lse_, *deltas_;  // B Q T
  char* scratch_;
  size_t scratch_size_;
};

}  // namespace graft
