// The first-party CPU kernels without LibTorch, at the sizes of SmolLM2-135M, on Graft's thread pool.
//
// GB/s counts each byte of an operand once (weights of 8 bits without their scales); GFLOP/s counts two per
// multiply-add. What the machine gives at most is measured in the same run: memory_read and
// fused_multiply_add. Weights rotate through 256 MiB, as the layers of a model do, so that none is read from a
// cache.
#include <benchmark/benchmark.h>
#include <graft/contracts.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench_kernel.h"

namespace {

using namespace graft::bench;
using graft::ThreadPool;

// What the machine reads with all threads: vectors summed up, each range in four streams.
void memory_read(benchmark::State& state) {
  typedef int64_t Vector __attribute__((vector_size(32)));
  constexpr int64_t kRange = 8192;  // vectors, 256 KiB
  Array all(kFloat32, {int64_t(kRotation / 4)});
  struct Job {
    const Vector* vectors;
    int64_t sum;
  } job{static_cast<const Vector*>(all.value().as.tensor->data), 0};
  for (auto _ : state) {
    ThreadPool::shared().parallel_for(
        int64_t(kRotation / sizeof(Vector) / kRange), 1,
        [](void* data, int64_t begin, int64_t end, uint32_t) {
          Job& job = *static_cast<Job*>(data);
          Vector sums[4] = {};
          for (int64_t range = begin; range < end; ++range) {
            const Vector* from = job.vectors + range * kRange;
            for (int64_t i = 0; i < kRange / 4; i += 2) {
              for (int64_t stream = 0; stream < 4; ++stream) {
                const Vector* at = from + stream * (kRange / 4) + i;
                __builtin_prefetch(at + 4096 / sizeof(Vector));
                sums[stream] += at[0] + at[1];
              }
            }
          }
          const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
          __atomic_fetch_add(&job.sum, sum[0] + sum[1] + sum[2] + sum[3], __ATOMIC_RELAXED);
        },
        &job);
  }
  benchmark::DoNotOptimize(job.sum);
  rates(state, double(kRotation), 0);
}
BENCHMARK(memory_read)->UseRealTime();

#if defined(__x86_64__)
// What the processor multiplies and adds with all threads, out of registers, in the widest vectors it has.
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats16 __attribute__((vector_size(64)));
template <class Floats>
__attribute__((always_inline)) inline void multiply_add(void* data, int64_t begin, int64_t end) {
  Floats sums[12], factor = {};
#pragma GCC unroll 12
  for (Floats& sum : sums) {
    sum = factor;
    asm("" : "+x"(sum));  // else all twelve would be one and the same to the compiler
  }
  for (int64_t i = begin * 10000; i < end * 10000; ++i) {
#pragma GCC unroll 12
    for (Floats& sum : sums) sum = sum * factor + factor;
    asm volatile("" : "+x"(factor));
  }
  for (const Floats& sum : sums) static_cast<volatile float*>(data)[0] = sum[0];
}
__attribute__((target("avx2,fma"))) void in_avx2(void* data, int64_t begin, int64_t end, uint32_t) { multiply_add<Floats8>(data, begin, end); }
__attribute__((target("avx512f"))) void in_avx512(void* data, int64_t begin, int64_t end, uint32_t) { multiply_add<Floats16>(data, begin, end); }
void fused_multiply_add(benchmark::State& state) {
  const bool wide = !only_avx2 && __builtin_cpu_supports("avx512f");
  float sink[1];
  for (auto _ : state) ThreadPool::shared().parallel_for(64, 1, wide ? in_avx512 : in_avx2, sink);
  rates(state, 0, 64 * 10000.0 * 12 * (wide ? 16 : 8) * 2);
}
BENCHMARK(fused_multiply_add)->UseRealTime();
#endif

void rms_norm(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(1));
  Array x(dtype, {state.range(0), 576}), weight(dtype, {576}), out(dtype, {state.range(0), 576});
  Kernel("norm", "RMSNorm", graft_contract_rms_norm_1, {number(1e-5)})
      .run(state, {{x.value(), weight.value(), out.value(), none()}});
  rates(state, double(2 * x.bytes() + weight.bytes()), 4.0 * 576 * double(state.range(0)));
}
BENCHMARK(rms_norm)->ArgNames({"rows", "bits"})->ArgsProduct({{1, 512}, {32, 16}})->UseRealTime();

void add_rms_norm(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(1));
  Array x(dtype, {state.range(0), 576}), weight(dtype, {576}), out(dtype, {state.range(0), 576}),
      sum(dtype, {state.range(0), 576});
  Kernel("norm", "AddRMSNorm", graft_contract_add_rms_norm_1, {number(1e-5)})
      .run(state, {{x.value(), x.value(), weight.value(), out.value(), sum.value(), none()}});
}
BENCHMARK(add_rms_norm)->ArgNames({"rows", "bits"})->ArgsProduct({{1, 512}, {32, 16}})->UseRealTime();

void silu(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(1));
  Array x(dtype, {state.range(0), 1536}), out(dtype, {state.range(0), 1536});
  Kernel("mlp", "SiLU", graft_contract_silu_1).run(state, {{x.value(), out.value()}});
}
BENCHMARK(silu)->ArgNames({"rows", "bits"})->ArgsProduct({{1, 512}, {32, 16}})->UseRealTime();

void rotary_pos_emb(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(1));
  const int64_t tokens = state.range(0);
  Array q(dtype, {1, 9, tokens, 64}), k(dtype, {1, 3, tokens, 64}), cos(dtype, {1, tokens, 64}),
      q_out(dtype, {1, 9, tokens, 64}), k_out(dtype, {1, 3, tokens, 64});
  Kernel("rope", "RotaryPosEmb", graft_contract_rotary_pos_emb_1)
      .run(state, {{q.value(), k.value(), cos.value(), cos.value(), q_out.value(), k_out.value()}});
}
BENCHMARK(rotary_pos_emb)->ArgNames({"tokens", "bits"})->ArgsProduct({{1, 512}, {32, 16}})->UseRealTime();

void linear(benchmark::State& state) {
  const int64_t rows = state.range(0), depth = state.range(1), columns = state.range(2), bits = state.range(3);
  const graft_dtype dtype = dtype_of(bits);
  const size_t weight_bytes = size_t(columns * depth * bits / 8);
  Array x(dtype, {rows, depth}), out(dtype, {rows, columns});
  std::vector<std::unique_ptr<Array>> weights;
  std::vector<std::vector<graft_value>> calls;
  for (size_t bytes = 0; bytes < kRotation; bytes += weight_bytes) {
    if (weights.empty() || bits != 8)
      weights.push_back(std::make_unique<Array>(dtype, std::vector<int64_t>{columns, depth}));
    calls.push_back({x.value(), weights.back()->value(), none(), out.value()});
  }
  Kernel("linear", bits == 8 ? "Int8Linear" : "Linear", graft_contract_linear_1).run(state, calls);
  rates(state, double(weight_bytes + x.bytes() + out.bytes()), 2.0 * double(rows * columns * depth));
}
BENCHMARK(linear)
    ->ArgNames({"rows", "in", "out", "bits"})
    ->ArgsProduct({{1, 4, 16, 32, 64, 512}, {576}, {576}, {32, 16, 8}})
    ->UseRealTime();
BENCHMARK(linear)
    ->ArgNames({"rows", "in", "out", "bits"})
    ->ArgsProduct({{1, 512}, {1536}, {576}, {32, 16, 8}})
    ->UseRealTime();
BENCHMARK(linear)
    ->ArgNames({"rows", "in", "out", "bits"})
    ->ArgsProduct({{1, 2}, {576}, {49152}, {32, 16, 8}})
    ->UseRealTime();

void swiglu_mlp(benchmark::State& state) {
  const int64_t rows = state.range(0), bits = state.range(1);
  const graft_dtype dtype = dtype_of(bits);
  const size_t weight_bytes = size_t(3 * 576 * 1536 * bits / 8);
  Array x(dtype, {rows, 576}), out(dtype, {rows, 576});
  std::vector<std::unique_ptr<Array>> weights;
  std::vector<std::vector<graft_value>> calls;
  const auto add = [&](int64_t a, int64_t b) {
    weights.push_back(std::make_unique<Array>(dtype, std::vector<int64_t>{a, b}));
    return weights.back()->value();
  };
  for (size_t bytes = 0; bytes < kRotation; bytes += weight_bytes) {
    if (bits == 8 && !calls.empty()) {
      calls.push_back(calls.front());
      continue;
    }
    const graft_value gate = add(1536, 576), up = add(1536, 576), down = add(576, 1536);
    calls.push_back({x.value(), gate, up, down, out.value(), none(), none()});
  }
  Kernel("mlp", bits == 8 ? "Int8SwiGLUMLP" : "SwiGLUMLP", graft_contract_swiglu_mlp_1).run(state, calls);
  rates(state, double(weight_bytes + 2 * x.bytes()), 6.0 * double(rows * 576 * 1536));
}
BENCHMARK(swiglu_mlp)
    ->ArgNames({"rows", "bits"})
    ->ArgsProduct({{1, 4, 16, 64, 512}, {32, 16, 8}})
    ->UseRealTime();

void attention(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(2));
  const int64_t queries = state.range(0), keys = state.range(1);
  Array q(dtype, {1, 9, queries, 64}), out(dtype, {1, queries, 9, 64});
  std::vector<std::unique_ptr<Array>> caches;
  std::vector<std::vector<graft_value>> calls;
  for (size_t bytes = 0; bytes < kRotation / 4; bytes += 2 * caches.back()->bytes()) {
    for (int i = 0; i < 2; ++i)
      caches.push_back(std::make_unique<Array>(dtype, std::vector<int64_t>{1, 3, keys, 64}));
    calls.push_back(
        {q.value(), caches[caches.size() - 2]->value(), caches.back()->value(), none(), out.value(), none()});
  }
  Kernel("attention", "Attention", graft_contract_attention_1, {number(0.125)}).run(state, calls);
  const double seen = double(queries) * (double(keys) - double(queries - 1) / 2);
  rates(state, 2.0 * double(caches[0]->bytes() + q.bytes()), 4.0 * 9 * 64 * seen);
}
BENCHMARK(attention)
    ->ArgNames({"queries", "keys", "bits"})
    ->ArgsProduct({{1}, {128, 512, 2048}, {32, 16}})
    ->UseRealTime();
BENCHMARK(attention)
    ->ArgNames({"queries", "keys", "bits"})
    ->ArgsProduct({{512}, {512}, {32, 16}})
    ->UseRealTime();

// A prompt's batch of 8 rows with 512, 448 … 64 tokens, by the padded tokens' mask and packed; and a step of 8 rows with as many
// keys, dense and in pages.
constexpr int64_t kBatch = 8, kMost = 512, kPageTokens = 64;
constexpr graft_dtype kInt32{GRAFT_DTYPE_INT, 32, 1};
constexpr graft_dtype kBool{GRAFT_DTYPE_BOOL, 8, 1};

int64_t length_of(int64_t row) {
  return kMost * (kBatch - row) / kBatch;
}

void padded_batch(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(1));
  const int64_t queries = state.range(0) != 0 ? kMost : 1;
  Array q(dtype, {kBatch, 9, queries, 64}), k(dtype, {kBatch, 3, kMost, 64}), v(dtype, {kBatch, 3, kMost, 64}),
      mask(kBool, {kBatch, 1, 1, kMost}), out(dtype, {kBatch, queries, 9, 64});
  std::vector<uint8_t> real;
  for (int64_t b = 0; b < kBatch; ++b)
    for (int64_t s = 0; s < kMost; ++s) real.push_back(s >= kMost - length_of(b));
  mask.set(real);
  Kernel("attention", "Attention", graft_contract_attention_1, {number(0.125)})
      .run(state, {{q.value(), k.value(), v.value(), mask.value(), out.value(), none()}});
}
BENCHMARK(padded_batch)->ArgNames({"prompt", "bits"})->ArgsProduct({{1, 0}, {32, 16}})->UseRealTime();

void packed_batch(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  std::vector<int32_t> ends = {0};
  for (int64_t b = 0; b < kBatch; ++b) ends.push_back(ends.back() + int32_t(length_of(b)));
  const int64_t tokens = ends.back();
  Array q(dtype, {tokens, 9, 64}), k(dtype, {tokens, 3, 64}), v(dtype, {tokens, 3, 64}), out(dtype, {tokens, 9, 64}),
      cu_seqlens(kInt32, {kBatch + 1});
  cu_seqlens.set(ends);
  Kernel("attention", "VarlenAttention", graft_contract_varlen_attention_1, {number(0.125)})
      .run(state, {{q.value(), k.value(), v.value(), cu_seqlens.value(), cu_seqlens.value(), out.value(), none()}});
}
BENCHMARK(packed_batch)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void paged_step(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  const int64_t columns = kMost / kPageTokens;
  Array q(dtype, {kBatch, 9, 64}), k(dtype, {kBatch * columns, kPageTokens, 3, 64}),
      v(dtype, {kBatch * columns, kPageTokens, 3, 64}), table(kInt32, {kBatch, columns}), lengths(kInt32, {kBatch}),
      cu_seqlens(kInt32, {kBatch + 1}), out(dtype, {kBatch, 9, 64});
  std::vector<int32_t> pages, keys, ends = {0};
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t i = 0; i < columns; ++i) pages.push_back(int32_t(i * kBatch + b));
    keys.push_back(int32_t(length_of(b)));
    ends.push_back(ends.back() + 1);
  }
  table.set(pages);
  lengths.set(keys);
  cu_seqlens.set(ends);
  Kernel("attention", "PagedAttention", graft_contract_paged_attention_1, {number(0.125)})
      .run(state, {{q.value(), k.value(), v.value(), table.value(), lengths.value(), cu_seqlens.value(), out.value()}});
}
BENCHMARK(paged_step)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

// Backward, all gradients, of 512 tokens.
constexpr int64_t kTokens = 512;

void rms_norm_backward(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  Array x(dtype, {kTokens, 576}), weight(dtype, {576}), rstd(kFloat32, {kTokens}),
      grad(dtype, {kTokens, 576}), grad_x(dtype, {kTokens, 576}), grad_weight(dtype, {576});
  Kernel("norm", "RMSNorm", graft_contract_rms_norm_1, {number(1e-5)})
      .run_backward(state, {x.value(), weight.value(), none(), rstd.value()}, {grad.value()},
                    {grad_x.value(), grad_weight.value()});
}
BENCHMARK(rms_norm_backward)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void linear_backward(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  Array x(dtype, {kTokens, 576}), weight(dtype, {1536, 576}), grad(dtype, {kTokens, 1536}),
      grad_x(dtype, {kTokens, 576}), grad_weight(dtype, {1536, 576});
  Kernel("linear", "Linear", graft_contract_linear_1)
      .run_backward(state, {x.value(), weight.value(), none(), none()}, {grad.value()},
                    {grad_x.value(), grad_weight.value(), none()});
  rates(state, 0, 4.0 * kTokens * 576 * 1536);
}
BENCHMARK(linear_backward)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void swiglu_mlp_backward(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  Array x(dtype, {kTokens, 576}), in(dtype, {1536, 576}), back(dtype, {576, 1536}),
      between(dtype, {kTokens, 1536}), grad_in(dtype, {1536, 576}), grad_up(dtype, {1536, 576}),
      grad_back(dtype, {576, 1536}), grad_x(dtype, {kTokens, 576});
  Kernel("mlp", "SwiGLUMLP", graft_contract_swiglu_mlp_1)
      .run_backward(
          state, {x.value(), in.value(), in.value(), back.value(), none(), between.value(), between.value()},
          {x.value()}, {grad_x.value(), grad_in.value(), grad_up.value(), grad_back.value()});
  rates(state, 0, 12.0 * kTokens * 576 * 1536);
}
BENCHMARK(swiglu_mlp_backward)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void attention_backward(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  Array q(dtype, {1, 9, kTokens, 64}), k(dtype, {1, 3, kTokens, 64}), out(dtype, {1, kTokens, 9, 64}),
      lse(kFloat32, {1, 9, kTokens}), grad_q(dtype, {1, 9, kTokens, 64}), grad_k(dtype, {1, 3, kTokens, 64}),
      grad_v(dtype, {1, 3, kTokens, 64});
  Kernel("attention", "Attention", graft_contract_attention_1, {number(0.125)})
      .run_backward(state, {q.value(), k.value(), k.value(), none(), out.value(), lse.value()}, {out.value()},
                    {grad_q.value(), grad_k.value(), grad_v.value(), none()});
  // Seven products: scores and gradients of weights twice, and one for each gradient.
  rates(state, 0, 14.0 * 9 * 64 * kTokens * (kTokens + 1) / 2);
}
BENCHMARK(attention_backward)->ArgName("bits")->Arg(32)->Arg(16)->UseRealTime();

void causal_lm_loss(benchmark::State& state) {
  const graft_dtype dtype = dtype_of(state.range(0));
  const bool backward = state.range(1) != 0;
  Array hidden(dtype, {kTokens, 576}), weight(dtype, {49152, 576}), loss(kFloat32, {}),
      lse(kFloat32, {kTokens}), labels({GRAFT_DTYPE_INT, 64, 1}, {kTokens}),
      grad_hidden(dtype, {kTokens, 576}), grad_weight(dtype, {49152, 576});
  Kernel kernel("loss", "ForCausalLMLoss", graft_contract_for_causal_lm_loss_1);
  const std::vector<graft_value> arguments{hidden.value(), weight.value(), labels.value(), loss.value(),
                                           lse.value()};
  if (backward)
    kernel.run_backward(state, arguments, {loss.value()}, {grad_hidden.value(), grad_weight.value(), none()});
  else
    kernel.run(state, {arguments});
  rates(state, 0, (backward ? 6.0 : 2.0) * kTokens * 576 * 49152);
}
BENCHMARK(causal_lm_loss)->ArgNames({"bits", "backward"})->ArgsProduct({{32, 16}, {0, 1}})->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  only_avx2 = argc == 2 && std::string_view(argv[1]) == "--vectors=avx2";
  if (!only_avx2 && benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
