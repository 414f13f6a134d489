// Forward: for each task an online softmax over its keys; splits of the keys are put together in a second
// pass.
#pragma once

#include <cmath>
#include <graft/plugin.hpp>
#include <optional>

#include "heads.h"
#include "online_softmax.h"
#include "tile_products.h"

namespace graft {

// Rows times `factor`, rounded to T.
template <class T, class R = simd::Real<T>>
void write_row(const R* from, int64_t width, R factor, T* to) {
  simd::for_lanes(width, [&](int64_t i, auto n) {
    simd::store(to + i, simd::load(from + i, n) * simd::broadcast(factor), n);
  });
}

// L is what lse is kept in: float for the host, T's own reals where backward computes it anew.
template <class T, class L = float, class Keys = Heads<T>>
class Forward {
  using R = simd::Real<T>;

 public:
  struct Target {
    T* out;  // B T Q V, or null
    L* lse;  // B Q T, or null
    int64_t lse_stride;  // from one head's to the next one's
  };

  // Of bfloat16 whose rows are evenly spaced.
  using Tiles = std::conditional_t<std::is_same_v<T, simd::bf16> && std::is_same_v<Keys, Heads<T>>,
                                   TileProducts, NoTileProducts>;

  // What one thread works with.
  struct Scratch {
    std::optional<Tiles> tiles;  // where the processor has them
    R *queries, *keys, *values;
    OnlineSoftmax<R> softmax;
    Scratch(Workspace& workspace, const Plan& plan)
        : queries(workspace.take<R>(size_t(plan.max_rows() * plan.key_dim))),
          keys(workspace.take<R>(size_t(kKeysPerBlock * plan.key_dim))),
          values(workspace.take<R>(size_t(kKeysPerBlock * padded_columns(plan.value_dim)))),
          softmax(workspace, plan.max_rows(), plan.key_dim, plan.value_dim) {
      if constexpr (Tiles::kBuilt) {
        if (tiles::available()) tiles.emplace(workspace, plan.max_rows(), plan.key_dim, plan.value_dim);
      }
    }
  };

  // That of all threads; for calls of `plan` and of any with less queries and keys.
  class Memory {
   public:
    Memory(Workspace& workspace, const Plan& plan, uint32_t threads) : plan_(plan) {
      Workspace one;
      Scratch(one, plan);
      size_ = one.used();
      memory_ = workspace.take<char>(size_ * threads);
    }
    Scratch of(uint32_t worker) const {
      Workspace own(memory_ + worker * size_);
      return Scratch(own, plan_);
    }

   private:
    const Plan& plan_;
    size_t size_;
    char* memory_;
  };

  Forward(const AttentionCall<T, Keys>& attention, const Target& target)
      : attention_(attention), plan_(attention.plan), target_(target) {}

  void run(const plugin::Call& call, Workspace& workspace) const {
    R* parts = workspace.take<R>(plan_.parts_size());
    const Memory memory(workspace, plan_, call.thread_count());
    const int64_t grain = std::max<int64_t>(
        1, kProductsPerTask /
               std::max<int64_t>(1, plan_.rows() * plan_.keys_each * (plan_.key_dim + plan_.value_dim)));
    call.parallel_for(plan_.tasks(), grain, [&](int64_t begin, int64_t end, uint32_t worker) {
      Scratch scratch = memory.of(worker);
      for (int64_t i = begin; i < end; ++i) run_task(i, scratch, parts);
    });
    if (plan_.splits == 1) return;
    const int64_t rows = plan_.batch * plan_.query_heads * plan_.queries;
    call.parallel_for(rows, 64, [&](int64_t begin, int64_t end, uint32_t) { join(begin, end, parts); });
  }

  // Task number `index`: its rows are written, or, where keys are split, laid into `parts`.
  void run_task(int64_t index, Scratch& scratch, R* parts) const {
    const Task task(plan_, index);
    attend(task, scratch);
    for (int64_t row = 0; row < task.rows; ++row) {
      const OnlineSoftmax<R>& result = scratch.softmax;
      if (plan_.splits == 1) {
        write(task.batch, task.query_head(row), task.token(row), result.sums(row), result.peak(row),
              result.total(row));
      } else {
        R* part = parts + (index * plan_.rows() + row) * plan_.part_size();
        std::copy(result.sums(row), result.sums(row) + result.width(), part);
        part[result.width()] = result.peak(row);
        part[result.width() + 1] = result.total(row);
      }
    }
  }

  // Puts the splits of rows [begin, end) together, relative to the greatest peak of all, in the memory of the first.
  void join(int64_t begin, int64_t end, R* parts) const {
    const int64_t width = padded_columns(plan_.value_dim);
    const int64_t split_stride = plan_.rows() * plan_.part_size();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t token = i % plan_.queries, head = i / plan_.queries % plan_.query_heads;
      const int64_t batch = i / plan_.queries / plan_.query_heads;
      R* joined = parts + (batch * plan_.key_heads + head / plan_.group) * plan_.splits * split_stride +
                  (head % plan_.group * plan_.queries + token) * plan_.part_size();
      R peak = kNothingSeen, total = 0;
      for (int64_t split = 0; split < plan_.splits; ++split)
        peak = std::max(peak, joined[split * split_stride + width]);
      for (int64_t split = 0; split < plan_.splits; ++split) {
        const R* part = joined + split * split_stride;
        const R weight = peak == kNothingSeen ? R{1} : std::exp(part[width] - peak);
        total += part[width + 1] * weight;
        const auto factor = simd::broadcast(weight);
        for (int64_t column = 0; column < width; column += simd::kLanes) {
          const auto before = split == 0 ? simd::broadcast(R{0}) : simd::load(joined + column);
          simd::store(joined + column, fma(simd::load(part + column), factor, before));
        }
      }
      write(batch, head, token, joined, peak, total);
    }
  }

  static void count_workspace(const Plan& plan, uint32_t threads, Workspace& workspace) {
    workspace.take<R>(plan.parts_size());
    Memory(workspace, plan, threads);
  }

 private:
  // One task: the queries of a group over the keys of a split.
  void attend(const Task& task, Scratch& scratch) const {
    if constexpr (Tiles::kBuilt) {
      if (scratch.tiles && task.rows >= Tiles::kFewestRows) return attend_in_tiles(task, scratch);
    }
    const Matrix<R> queries =
        query_rows(attention_.q, task, plan_.key_dim, attention_.scale, scratch.queries, plan_.key_dim);
    OnlineSoftmax<R>& softmax = scratch.softmax;
    for_key_blocks(task, softmax, [&](int64_t first, int64_t count, const auto& hide) {
      const Matrix<R> keys = key_rows(attention_.k, task.batch, task.key_head, first, count, plan_.key_dim,
                                      plan_.key_dim, scratch.keys);
      const Matrix<R> values = key_rows(attention_.v, task.batch, task.key_head, first, count,
                                        plan_.value_dim, softmax.width(), scratch.values);
      softmax.add(queries, keys, values, attention_.softcap, hide);
    });
  }

  void attend_in_tiles(const Task& task, Scratch& scratch) const {
    Tiles& tiles = *scratch.tiles;
    tiles.set_queries(attention_.q, task, plan_.key_dim);
    OnlineSoftmax<R>& softmax = scratch.softmax;
    for_key_blocks(task, softmax, [&](int64_t first, int64_t count, const auto& hide) {
      const auto rows = [&](const Keys& from, int64_t dim) {
        return Rows<const T>(from.row(task.batch, task.key_head, first), count, dim, from.token_stride);
      };
      tiles.set_block(rows(attention_.k, plan_.key_dim), rows(attention_.v, plan_.value_dim));
      softmax.add(tiles, count, attention_.scale, attention_.softcap, hide);
    });
  }

  // body(first, count, hide) for the blocks of keys that a task's rows may see; hide as OnlineSoftmax takes
  // it.
  template <class Body>
  void for_key_blocks(const Task& task, OnlineSoftmax<R>& softmax, const Body& body) const {
    const Visibility& visible = attention_.visible;
    softmax.reset(task.rows);
    const KeyRange seen = visible.range(task.first_token, task.tokens);
    const int64_t begin = std::max(task.first_key, seen.begin), end = std::min(task.last_key, seen.end);
    for (int64_t first = begin; first < end; first += kKeysPerBlock) {
      const int64_t count = std::min(kKeysPerBlock, end - first);
      body(first, count, [&](int64_t row, R* scores) {
        visible.hide(scores, task.batch, task.query_head(row), task.token(row), first, count);
      });
    }
  }

  void write(int64_t batch, int64_t head, int64_t token, const R* sums, R peak, R total) const {
    if (target_.out != nullptr) {
      T* to = target_.out + ((batch * plan_.queries + token) * plan_.query_heads + head) * plan_.value_dim;
      if (total == 0)
        std::fill(to, to + plan_.value_dim, T{});  // sees nothing
      else
        write_row(sums, plan_.value_dim, R{1} / total, to);
    }
    if (target_.lse != nullptr)
      target_.lse[(batch * plan_.query_heads + head) * target_.lse_stride + token] =
          L(total == 0 ? kNothingSeen : peak + std::log(total));
  }

  static constexpr R kNothingSeen = OnlineSoftmax<R>::kNothingSeen;
  const AttentionCall<T, Keys>& attention_;
  const Plan& plan_;
  Target target_;
};

}  // namespace graft
