// Attention over a KV cache, prefill and decode.
//
// A task is one key head with all query heads that read it and a block of query tokens, so that a key and a
// value are loaded once for the whole group. When there are too few queries to make enough tasks (decode),
// the keys are split as well and the parts put together in a second pass. How the work is cut follows from
// the shapes alone, never from the thread count: the same inputs give the same bits.
#include <graft/contracts/attention.h>

#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>

#include "../common/dtype.h"
#include "../common/heads.h"
#include "../common/variant.h"
#include "online_softmax.h"
#include "plan.h"
#include "visibility.h"

namespace graft {
namespace {

using namespace plugin;

constexpr int64_t kProductsPerTask = 65536;  // multiplications that are worth a thread's waking

// Rows as floats [count, width] at `stride`; elements beyond the last are 0.
template <class T>
void copy_rows(const T* from, int64_t from_stride, int64_t count, int64_t width, float factor, float* to,
               int64_t stride) {
  for (int64_t row = 0; row < count; ++row) {
    simd::for_lanes(width, [&](int64_t i, auto n) {
      simd::store(to + row * stride + i,
                  simd::load(from + row * from_stride + i, n) * simd::broadcast(factor), n);
    });
    std::fill(to + row * stride + width, to + (row + 1) * stride, 0.0f);
  }
}

// What one thread works with.
struct Scratch {
  float *queries, *keys, *values;
  OnlineSoftmax softmax;
  Scratch(Workspace& workspace, int64_t rows, const Plan& plan)
      : queries(workspace.floats(size_t(rows * plan.key_dim))),
        keys(workspace.floats(size_t(kKeysPerBlock * plan.key_dim))),
        values(workspace.floats(size_t(kKeysPerBlock * OnlineSoftmax::padded(plan.value_dim)))),
        softmax(workspace, rows, plan.key_dim, plan.value_dim) {}
};

template <class T>
struct Target {
  T* out;      // B T Q V
  float* lse;  // B Q T, or null

  void write(const Plan& plan, int64_t batch, int64_t head, int64_t token, const float* sums, float peak,
             float total) const {
    T* to = out + ((batch * plan.queries + token) * plan.query_heads + head) * plan.value_dim;
    if (total == 0)
      std::fill(to, to + plan.value_dim, T{});  // sees nothing
    else
      copy_rows_scaled(sums, plan.value_dim, 1 / total, to);
    if (lse != nullptr)
      lse[(batch * plan.query_heads + head) * plan.queries + token] =
          total == 0 ? OnlineSoftmax::kNothingSeen : peak + std::log(total);
  }

 private:
  static void copy_rows_scaled(const float* from, int64_t width, float factor, T* to) {
    simd::for_lanes(width, [&](int64_t i, auto n) {
      simd::store(to + i, simd::load(from + i, n) * simd::broadcast(factor), n);
    });
  }
};

struct Attention {
  float scale, softcap;
  bool causal;
  int64_t window;

  explicit Attention(const Attributes& a)
      : scale(float(a.number("scale"))),
        softcap(float(a.number("softcap"))),
        causal(a.boolean("causal")),
        window(a.integer("sliding_window")) {}

  static bool supports(const Attributes&, Arguments arguments) {
    const int64_t query_heads = arguments.tensor(0).size(1), key_heads = arguments.tensor(1).size(1);
    return key_heads == 0 ? query_heads == 0 : query_heads % key_heads == 0;
  }

  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    const Plan plan(arguments.tensor(0), arguments.tensor(1), arguments.tensor(2));
    Workspace shared, own;
    shared.floats(plan.parts_size());
    Scratch(own, plan.max_rows(), plan);
    return shared.used() + own.used() * threads;
  }

  void forward(const Call& call, Tensor q, Tensor k, Tensor v, std::optional<Tensor> mask, Tensor out,
               std::optional<Tensor> lse) const {
    const Plan plan(q, k, v);
    const Visibility visible(causal, window, plan.queries, plan.keys, mask);
    with_dtype(q.dtype(), [&]<class T>(T) {
      const Target<T> target{out.data<T>(), lse ? lse->data<float>() : nullptr};
      attend<T>(call, plan, Heads<T>(q), Heads<T>(k), Heads<T>(v), visible, target);
    });
  }

 private:
  template <class T>
  void attend(const Call& call, const Plan& plan, const Heads<T>& q, const Heads<T>& k, const Heads<T>& v,
              const Visibility& visible, const Target<T>& target) const {
    Workspace shared(call.workspace<void>()), counted;
    float* parts = shared.floats(plan.parts_size());
    Scratch(counted, plan.max_rows(), plan);
    char* own = call.workspace<char>() + shared.used();
    const int64_t grain = std::max<int64_t>(
        1, kProductsPerTask /
               std::max<int64_t>(1, plan.rows() * plan.keys_each * (plan.key_dim + plan.value_dim)));
    call.parallel_for(plan.tasks(), grain, [&](int64_t begin, int64_t end, uint32_t worker) {
      Workspace memory(own + worker * counted.used());
      Scratch scratch(memory, plan.max_rows(), plan);
      for (int64_t i = begin; i < end; ++i) {
        const Task task(plan, i);
        run(plan, task, q, k, v, visible, scratch);
        for (int64_t row = 0; row < task.rows; ++row) {
          const OnlineSoftmax& result = scratch.softmax;
          if (plan.splits == 1) {
            target.write(plan, task.batch, task.query_head(row), task.token(row), result.sums(row),
                         result.peak(row), result.total(row));
          } else {
            float* part = parts + (i * plan.rows() + row) * plan.part_size();
            std::copy(result.sums(row), result.sums(row) + result.width(), part);
            part[result.width()] = result.peak(row);
            part[result.width() + 1] = result.total(row);
          }
        }
      }
    });
    if (plan.splits > 1) join(call, plan, parts, target);
  }

  // One task: the queries of a group over the keys of a split.
  template <class T>
  void run(const Plan& plan, const Task& task, const Heads<T>& q, const Heads<T>& k, const Heads<T>& v,
           const Visibility& visible, Scratch& scratch) const {
    for (int64_t g = 0; g < plan.group; ++g)
      copy_rows(q.row(task.batch, task.key_head * plan.group + g, task.first_token), q.token_stride,
                task.tokens, plan.key_dim, scale, scratch.queries + g * task.tokens * plan.key_dim,
                plan.key_dim);
    const Matrix queries{scratch.queries, task.rows, plan.key_dim, plan.key_dim};
    OnlineSoftmax& softmax = scratch.softmax;
    softmax.reset(task.rows);
    const int64_t begin = std::max(task.first_key, visible.range(task.first_token).begin);
    const int64_t end = std::min(task.last_key, visible.range(task.first_token + task.tokens - 1).end);
    for (int64_t first = begin; first < end; first += kKeysPerBlock) {
      const int64_t count = std::min(kKeysPerBlock, end - first);
      const Matrix keys = block(k, task, first, count, plan.key_dim, plan.key_dim, scratch.keys);
      const Matrix values = block(v, task, first, count, plan.value_dim, softmax.width(), scratch.values);
      softmax.add(queries, keys, values, softcap, [&](int64_t row, float* scores) {
        visible.hide(scores, task.batch, task.query_head(row), task.token(row), first, count);
      });
    }
  }

  // Keys or values as floats in rows of `width`: in place if they are that already.
  template <class T>
  static Matrix block(const Heads<T>& from, const Task& task, int64_t first, int64_t count, int64_t dim,
                      int64_t width, float* memory) {
    const T* rows = from.row(task.batch, task.key_head, first);
    if constexpr (std::is_same_v<T, float>) {
      if (dim == width) return {rows, count, width, from.token_stride};
    }
    copy_rows(rows, from.token_stride, count, dim, 1.0f, memory, width);
    return {memory, count, width, width};
  }

  // Puts the splits of each row together, relative to the greatest peak of all, in the memory of the first.
  template <class T>
  static void join(const Call& call, const Plan& plan, float* parts, const Target<T>& target) {
    const int64_t width = OnlineSoftmax::padded(plan.value_dim);
    const int64_t split_stride = plan.rows() * plan.part_size();
    call.parallel_for(
        plan.batch * plan.query_heads * plan.queries, 64, [&](int64_t begin, int64_t end, uint32_t) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t token = i % plan.queries, head = i / plan.queries % plan.query_heads;
            const int64_t batch = i / plan.queries / plan.query_heads;
            float* joined = parts +
                            (batch * plan.key_heads + head / plan.group) * plan.splits * split_stride +
                            (head % plan.group * plan.queries + token) * plan.part_size();
            float peak = OnlineSoftmax::kNothingSeen, total = 0;
            for (int64_t split = 0; split < plan.splits; ++split)
              peak = std::max(peak, joined[split * split_stride + width]);
            for (int64_t split = 0; split < plan.splits; ++split) {
              const float* part = joined + split * split_stride;
              const float weight = peak == OnlineSoftmax::kNothingSeen ? 1.0f : std::exp(part[width] - peak);
              total += part[width + 1] * weight;
              const simd::Vec factor = simd::broadcast(weight);
              for (int64_t column = 0; column < width; column += simd::kLanes) {
                const simd::Vec before = split == 0 ? simd::zero() : simd::load(joined + column);
                simd::store(joined + column, fma(simd::load(part + column), factor, before));
              }
            }
            target.write(plan, batch, head, token, joined, peak, total);
          }
        });
  }
};

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(graft::for_this_cpu(graft::plugin::entry<graft::Attention>("Attention", "attention/1")))
