// What a call costs: from a layer's slot to the plugin's function and back, beside torch's dispatcher, and
// tvm-ffi where the build was given it: cmake -DGRAFT_TVM_FFI=…/site-packages/tvm_ffi.
//   build/bin/call_bench [--benchmark_filter=…]
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rms_norm.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>
#include <malloc.h>
#include <torch/library.h>
#include <torch/nn/module.h>
#if defined(GRAFT_NOOP_TVM_FFI)
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/tvm_ffi.h>
#endif

#include <cstdlib>

#include "graft/auto_model.h"
#include "graft/contract.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"

namespace {

/// All layers of SmolLM2, as use_kernels = true maps them; its folder is GRAFT_TEST_MODEL or where tools/setup puts it.
std::shared_ptr<graft::PreTrainedModel> smollm2() {
  const char* given = std::getenv("GRAFT_TEST_MODEL");
  const char* home = std::getenv("HOME");
  return graft::AutoModelForCausalLM::from_pretrained(
      given != nullptr ? given : std::string(home) + "/.cache/graft/models/SmolLM2-135M-Instruct");
}

/// Once in a process, before anything else has loaded a kernel: resolve, check, load, self-check, bind, pack.
void bind_smollm2_first(benchmark::State& state) {
  const auto model = smollm2();
  for (auto _ : state) benchmark::DoNotOptimize(model->kernelize({.use_fallback = false}).layers.size());
}
BENCHMARK(bind_smollm2_first)->Iterations(1)->Unit(benchmark::kMillisecond);

// Two inputs, and the output given by the caller.
const graft_argument noop_arguments[] = {
    {"a", GRAFT_IN, 0, "T", "... H"},
    {"b", GRAFT_IN, GRAFT_ARG_WEIGHT, "T", "H"},
    {"c", GRAFT_INOUT, 0, "T", "... H"},
};
const graft_contract noop_contract = {sizeof(graft_contract), 4, "BenchNoop/1", noop_arguments, 3, 0, nullptr, nullptr, 0};

struct NoopLayer : torch::nn::Module {
  at::Tensor b = register_parameter("b", at::ones({576}), /*requires_grad=*/false);
  graft::KernelSlot slot = graft::register_kernel_layer(*this, "BenchNoop/1");
  void forward(const at::Tensor& a, const at::Tensor& c) const {
    slot({a, c}, [&] { benchmark::DoNotOptimize(c.const_data_ptr()); });
  }
  void plain_forward(const at::Tensor& a, const at::Tensor& c) const {
    benchmark::DoNotOptimize(a.const_data_ptr());
    benchmark::DoNotOptimize(c.const_data_ptr());
  }
};

std::shared_ptr<NoopLayer> layer(bool bound) {
  graft::ContractRegistry::shared().add(noop_contract);
  auto made = std::make_shared<NoopLayer>();
  made->eval();
  if (bound) {
    graft::kernelize(*made, {.kernel_config = graft::KernelConfig({{"BenchNoop", GRAFT_NOOP_PLUGIN ":Noop"}},
                                                                  {.use_local_kernel = true}),
                             .use_fallback = false});
  }
  return made;
}

const at::Tensor& row() {
  static const at::Tensor tensor = at::ones({1, 576});
  return tensor;
}

void bound_slot(benchmark::State& state) {
  const c10::InferenceMode guard;
  const auto l = layer(true);
  const at::Tensor a = row(), c = at::ones({1, 576});
  for (auto _ : state) l->forward(a, c);
}
BENCHMARK(bound_slot);

void unbound_slot(benchmark::State& state) {
  const c10::InferenceMode guard;
  const auto l = layer(false);
  const at::Tensor a = row(), c = at::ones({1, 576});
  for (auto _ : state) l->forward(a, c);
}
BENCHMARK(unbound_slot);

void no_slot(benchmark::State& state) {
  const c10::InferenceMode guard;
  const auto l = layer(false);
  const at::Tensor a = row(), c = at::ones({1, 576});
  for (auto _ : state) l->plain_forward(a, c);
}
BENCHMARK(no_slot);

void dispatched_noop(const at::Tensor&, const at::Tensor&, at::Tensor) {}
TORCH_LIBRARY(graft_bench, m) { m.def("noop(Tensor a, Tensor b, Tensor(a!) c) -> ()"); }
TORCH_LIBRARY_IMPL(graft_bench, CPU, m) { m.impl("noop", dispatched_noop); }

auto dispatched() {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("graft_bench::noop", "")
      .typed<void(const at::Tensor&, const at::Tensor&, at::Tensor)>();
}

void torch_dispatcher_inference_mode(benchmark::State& state) {
  const c10::InferenceMode guard;
  const auto op = dispatched();
  const at::Tensor a = row(), b = at::ones({576}), c = at::ones({1, 576});
  for (auto _ : state) op.call(a, b, c);
}
BENCHMARK(torch_dispatcher_inference_mode);

void torch_dispatcher(benchmark::State& state) {
  const auto op = dispatched();
  const at::Tensor a = row(), b = at::ones({576}), c = at::ones({1, 576});
  for (auto _ : state) op.call(a, b, c);
}
BENCHMARK(torch_dispatcher);

#if defined(GRAFT_NOOP_TVM_FFI)
DLTensor descriptor(const at::Tensor& tensor) {
  DLTensor made{};
  made.data = tensor.mutable_data_ptr();
  made.device = {kDLCPU, 0};
  made.ndim = int32_t(tensor.dim());
  made.dtype = {kDLFloat, 32, 1};
  made.shape = const_cast<int64_t*>(tensor.sizes().data());
  made.strides = const_cast<int64_t*>(tensor.strides().data());
  return made;
}

tvm::ffi::Function noop_of_tvm_ffi() {
  static const tvm::ffi::Module module = tvm::ffi::Module::LoadFromFile(GRAFT_NOOP_TVM_FFI);
  return module->GetFunction("noop").value();
}

void tvm_ffi(benchmark::State& state) {
  const auto noop = noop_of_tvm_ffi();
  const at::Tensor a = row(), b = at::ones({576}), c = at::ones({1, 576});
  for (auto _ : state) {
    DLTensor da = descriptor(a), db = descriptor(b), dc = descriptor(c);
    noop(&da, &db, &dc);
  }
}
BENCHMARK(tvm_ffi);

void tvm_ffi_descriptors_at_hand(benchmark::State& state) {
  const auto noop = noop_of_tvm_ffi();
  const at::Tensor a = row(), b = at::ones({576}), c = at::ones({1, 576});
  DLTensor da = descriptor(a), db = descriptor(b), dc = descriptor(c);
  for (auto _ : state) noop(&da, &db, &dc);
}
BENCHMARK(tvm_ffi_descriptors_at_hand);
#endif

void rms_norm_of_torch(benchmark::State& state) {
  const c10::InferenceMode guard;
  const at::Tensor weight = at::ones({576}), x = at::ones({state.range(0), 576});
  for (auto _ : state) benchmark::DoNotOptimize(at::rms_norm(x, {576}, weight, 1e-5));
}
BENCHMARK(rms_norm_of_torch)->Arg(1)->Arg(512);

struct Norm : torch::nn::Module {
  at::Tensor weight = register_parameter("weight", at::ones({576}), false);
  graft::KernelSlot slot = graft::register_kernel_layer(*this, "RMSNorm/1", {.attributes = {{"eps", 1e-5}}});
  at::Tensor forward(const at::Tensor& x) const {
    return slot({x}, [&] { return at::rms_norm(x, {576}, weight, 1e-5); });
  }
};

void rms_norm_bound(benchmark::State& state) {
  const c10::InferenceMode guard;
  Norm norm;
  norm.eval();
  graft::kernelize(norm, {.use_fallback = false});
  const at::Tensor x = at::ones({state.range(0), 576});
  for (auto _ : state) benchmark::DoNotOptimize(norm.forward(x));
}
BENCHMARK(rms_norm_bound)->Arg(1)->Arg(512);

void bind_smollm2_again(benchmark::State& state) {
  const auto model = smollm2();
  model->kernelize({.use_fallback = false});
  for (auto _ : state) benchmark::DoNotOptimize(model->kernelize({.use_fallback = false}).layers.size());
}
BENCHMARK(bind_smollm2_again)->Iterations(500)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  // glibc gives memory of a megabyte back to the system and gets it anew with each call: at::rms_norm of 512 rows took 834 us so
  // instead of 100.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
