// Figures of one GPU in one process, for tools/bench/gpu.
//   gpu_bench kernels                     single kernels beside torch's own operators, as shares of the copy bandwidth
//   gpu_bench model MODEL on|off          decode, a long prompt, a training step, from the folder to the first token
//   gpu_bench training MODEL on|off [LAYER=REF]…
//                                         training steps alone, of full and of padded rows, with kernels other than the default ones
//   gpu_bench tokens MODEL on|off DTYPE FILE [DEVICE]
//                                         64 greedy tokens after a fixed prompt, whose logits FILE gets, to be held against a peer's
// Prints one line of JSON.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <c10/core/Event.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "graft/auto_model.h"
#include "graft/kernel_slot.h"
#include "graft/kernelize.h"
#include "graft/runtime.h"
#include "mappings.h"
#include "tensor_view.h"

namespace {

using namespace graft;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

const c10::Device kGpu(c10::kCUDA, 0);
const at::TensorOptions kBf16 = at::TensorOptions(kGpu).dtype(at::kBFloat16);

void synchronize() { c10::impl::getDeviceGuardImpl(c10::kCUDA)->synchronizeDevice(0); }
c10::Stream stream() { return c10::impl::getDeviceGuardImpl(c10::kCUDA)->getStream(kGpu); }
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Seconds of a call on the device, the median of 20; of ten between two events, so that what the host takes for a launch hides behind
/// the one before.
double device_seconds(const std::function<void()>& work) {
  for (int i = 0; i < 5; ++i) work();
  std::vector<double> seconds;
  for (int i = 0; i < 20; ++i) {
    c10::Event begin(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT), end(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
    begin.record(stream());
    for (int call = 0; call < 10; ++call) work();
    end.record(stream());
    synchronize();
    seconds.push_back(begin.elapsedTime(end) * 1e-4);
  }
  std::nth_element(seconds.begin(), seconds.begin() + 10, seconds.end());
  return seconds[10];
}

/// Bytes a second, read and written.
double copy_bandwidth() {
  const at::Tensor from = at::empty({int64_t(2) << 30}, at::TensorOptions(kGpu).dtype(at::kByte)).random_(0, 255), to = at::empty_like(from);
  return 2.0 * double(from.numel()) / device_seconds([&] { to.copy_(from); });
}

/// A layer of one contract with a kernel bound onto it.
struct Bound : torch::nn::Module {
  Bound(const std::string& contract, const std::string& kernel, KernelLayerOptions options, const at::Tensor& weight) {
    if (weight.defined()) register_parameter("weight", weight, /*requires_grad=*/false);
    slot.emplace(register_kernel_layer(*this, contract, std::move(options)));
    eval();
    const BindReport report =
        kernelize(*this, {.kernel_config = KernelConfig({{contract.substr(0, contract.find('/')), kernel}}), .use_fallback = false, .device = kGpu});
    if (report.layers.at(0).state != LayerState::bound) throw std::runtime_error(report.table());
  }
  std::optional<KernelSlot> slot;
};

std::string running;  // the kernel that is measured
[[noreturn]] at::Tensor fell_back() { throw std::runtime_error(running + " left its call to the layer's own forward"); }

/// The same kernel's forward, called with ready descriptors: what is left is its launch.
std::function<void()> raw_launch(const at::Tensor& x, const at::Tensor& w) {
  const auto kernel = std::make_shared<Kernel>(Runtime::shared().load(KernelRef::parse("graft-kernels/norm:RMSNorm"), {.device = "cuda:0"}));
  graft_value eps{};
  eps.tag = GRAFT_FLOAT;
  eps.as.number = 1e-6;
  graft_instance* instance = nullptr;
  if (kernel->entry->create(kernel->entry, &ContractRegistry::shared().at("RMSNorm/1").contract(), to_graft(kGpu), &eps, &instance) != GRAFT_OK)
    throw std::runtime_error("the kernel's create failed");
  struct Ready {
    at::Tensor tensors[3];
    graft_tensor views[3];
    graft_value arguments[4] = {};
    graft_call call = {};
  };
  const auto ready = std::make_shared<Ready>();
  const at::Tensor given[] = {x, w, at::empty_like(x)};
  for (int i = 0; i < 3; ++i) {
    ready->tensors[i] = given[i];
    ready->views[i] = view(given[i]);
    ready->arguments[i] = as_value(&ready->views[i]);
  }
  ready->call.struct_size = sizeof(graft_call);
  ready->call.device = to_graft(kGpu);
  ready->call.stream = stream().native_handle();
  ready->call.thread_count = 1;
  return [=] {
    if (kernel->entry->forward(instance, &ready->call, ready->arguments) != GRAFT_OK) throw std::runtime_error("the kernel's forward failed");
  };
}

Json kernels() {
  const at::NoGradGuard no_grad;
  Json out;
  const double bandwidth = copy_bandwidth();
  out["copy_tb_per_second"] = bandwidth / 1e12;
  Json& rows = out["kernels"] = Json::array();
  for (const auto& [tokens, width] : {std::pair<int64_t, int64_t>{1024, 1024}, {4096, 1024}, {16384, 4096}, {32768, 8192}}) {
    const at::Tensor x = at::randn({tokens, width}, kBf16), r = at::randn_like(x), w = at::randn({width}, kBf16), g = at::randn({tokens, 2 * width}, kBf16);
    const auto add = [&](const std::string& name, double bytes, const std::function<void()>& kernel, const std::function<void()>& own) {
      running = name + " " + std::to_string(tokens) + "x" + std::to_string(width);
      const double mine = device_seconds(kernel), torchs = device_seconds(own);
      rows.push_back({{"kernel", name}, {"shape", std::to_string(tokens) + "x" + std::to_string(width)}, {"us", mine * 1e6}, {"share", bytes / mine / bandwidth},
                      {"torch_us", torchs * 1e6}, {"torch_share", bytes / torchs / bandwidth}});
    };
    const double unit = double(x.nbytes());
    const Bound norm("RMSNorm/1", "graft-kernels/norm:RMSNorm", {.attributes = {{"eps", 1e-6}}}, w);
    add("rms_norm", 2 * unit, [&] { (*norm.slot)({x}, fell_back); }, [&] { at::rms_norm(x, w.sizes(), w, 1e-6); });
    const Bound add_norm("AddRMSNorm/1", "graft-kernels/norm:AddRMSNorm", {.attributes = {{"eps", 1e-6}}}, w);
    add("add_rms_norm", 4 * unit, [&] { (*add_norm.slot)({x, r}, [] { return std::tuple(fell_back(), at::Tensor()); }); },
        [&] { at::rms_norm(x + r, w.sizes(), w, 1e-6); });
    const Bound silu("SiluAndMul/1", "graft-kernels/mlp:SiluAndMul", {}, w);  // a weight says in which dtype the layer is
    add("silu_and_mul", 3 * unit, [&] { (*silu.slot)({g}, fell_back); }, [&] { at::silu(g.narrow(1, 0, width)) * g.narrow(1, width, width); });
    const int64_t dim = 128, heads = width / dim, key_heads = std::max<int64_t>(heads / 4, 1);
    const at::Tensor q = x.view({1, tokens, heads, dim}).transpose(1, 2), k = at::randn({1, tokens, key_heads, dim}, kBf16).transpose(1, 2);
    const at::Tensor cos = at::randn({1, tokens, dim}, kBf16), sin = at::randn({1, tokens, dim}, kBf16);
    const auto turned = [&](const at::Tensor& t) { return t * cos + at::cat({-t.narrow(3, dim / 2, dim / 2), t.narrow(3, 0, dim / 2)}, 3) * sin; };
    const Bound rope("rotary_pos_emb/1", "graft-kernels/rope:RotaryPosEmb", {}, w);
    add("rotary", 2 * (unit + double(k.nbytes())) + 2 * double(cos.nbytes()),
        [&] { (*rope.slot)({q, k, cos, sin}, [] { return std::tuple(fell_back(), at::Tensor()); }); }, [&] { turned(q), turned(k); });
  }
  // What one call costs the host, with nothing to wait for: enqueued faster than it runs.
  const at::Tensor x = at::randn({1, 1024}, kBf16), w = at::randn({1024}, kBf16);
  const Bound norm("RMSNorm/1", "graft-kernels/norm:RMSNorm", {.attributes = {{"eps", 1e-6}}}, w);
  const auto host_us = [](const std::function<void()>& work) {
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
      synchronize();
      const auto start = Clock::now();
      for (int i = 0; i < 500; ++i) work();
      best = std::min(best, since(start) / 500 * 1e6);
    }
    synchronize();
    return best;
  };
  out["host_us_raw_launch"] = host_us(raw_launch(x, w));
  out["host_us_bound"] = host_us([&] { (*norm.slot)({x}, fell_back); });
  out["host_us_torch_rms_norm"] = host_us([&] { at::rms_norm(x, w.sizes(), w, 1e-6); });
  return out;
}

/// Steps of 8 rows of 1024 tokens; where they are padded, of 1024, 896, … 128 tokens, of which those that are real count.
void add_training(Json& out, PreTrainedModel& model) {
  model.train();
  auto* allocator = c10::getDeviceAllocator(c10::kCUDA);
  const auto index = at::TensorOptions(kGpu).dtype(at::kLong);
  const at::Tensor text = at::randint(model.config().vocab_size, {8, 1024}, index);
  const at::Tensor lengths = at::arange(1024, 0, -128, index).unsqueeze(1), real = at::arange(1024, index) < lengths;
  const auto tokens_per_second = [&](int64_t tokens, const at::Tensor& mask, const at::Tensor& labels) {
    const auto step = [&] {
      model.zero_grad(/*set_to_none=*/true);
      model.forward(text, {.labels = labels, .attention_mask = mask}).loss.backward();
    };
    for (int i = 0; i < 2; ++i) step();
    synchronize();
    allocator->resetPeakStats(0);
    const auto begin = Clock::now();
    for (int i = 0; i < 4; ++i) step();
    synchronize();
    return 4 * double(tokens) / since(begin);
  };
  const auto peak_gib = [&] { return double(allocator->getDeviceStats(0).allocated_bytes[0].peak) / double(1 << 30); };
  out["training_tokens_per_second"] = tokens_per_second(text.numel(), {}, text);
  out["training_peak_gib"] = peak_gib();
  out["padded_training_tokens_per_second"] = tokens_per_second(lengths.sum().item<int64_t>(), real, text.masked_fill(~real, -100));
  out["padded_training_peak_gib"] = peak_gib();
}

/// How many layers run what, or why not.
void add_layers(Json& out, const PreTrainedModel& model) {
  Json& layers = out["layers"] = Json::object();
  for (const LayerReport& layer : model.kernel_report().layers) {
    const std::string line = layer.layer + ": " + (layer.state == LayerState::bound ? "bound" : layer.reason);
    layers[line] = layers.value(line, 0) + 1;
  }
}

Json training_figures(const std::string& folder, bool kernels, const KernelConfig& config) {
  Json out;
  open_cuda();
  const auto model = AutoModelForCausalLM::from_pretrained(
      folder, {.use_kernels = kernels, .kernel_config = kernels ? std::optional(config) : std::nullopt, .device_map = "cuda", .dtype = "bfloat16"});
  add_training(out, *model);
  add_layers(out, *model);
  return out;
}

Json model_figures(const std::string& folder, bool kernels) {
  Json out;
  open_cuda();
  at::empty({1}, kBf16);  // the context is there before the clock starts
  const auto start = Clock::now();
  auto model = AutoModelForCausalLM::from_pretrained(folder, {.use_kernels = kernels, .device_map = "cuda", .dtype = "bfloat16"});
  out["open_seconds"] = since(start);
  const int64_t vocab = model->config().vocab_size;
  const auto ids = [&](int64_t batch, int64_t tokens) { return at::randint(vocab, {batch, tokens}, at::TensorOptions(kGpu).dtype(at::kLong)); };
  const std::vector<int64_t> never;
  model->generate(ids(1, 128), {.max_new_tokens = 1, .eos_token_id = never});
  synchronize();
  out["first_token_seconds"] = since(start);
  int64_t bytes = 0;
  for (const at::Tensor& parameter : model->parameters()) bytes += int64_t(parameter.nbytes());
  out["weight_bytes"] = bytes;
  const auto decode_seconds = [&](const at::Tensor& prompt, GenerateOptions options, int64_t tokens) {
    options.max_new_tokens = tokens;
    options.eos_token_id = never;
    model->generate(prompt, options);
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      synchronize();
      const auto begin = Clock::now();
      model->generate(prompt, options);
      synchronize();
      best = std::min(best, since(begin));
    }
    return best;
  };
  for (const int64_t batch : {1, 8, 32}) {
    const at::Tensor prompt = ids(batch, 128);
    // As the peer counts, prompt and all, and what a further token takes: greedy, drawn as Qwen3's own settings say, and from a nucleus of all.
    const std::pair<const char*, GenerateOptions> ways[] = {
        {"", {.do_sample = false}},
        {"drawn_", {.do_sample = true, .temperature = 0.6, .top_k = 20, .top_p = 0.95}},
        {"nucleus_", {.do_sample = true, .temperature = 1.0, .top_k = 0, .top_p = 0.9}},
    };
    for (const auto& [way, options] : ways) {
      if (!kernels && *options.do_sample) continue;  // seconds each, to tell the same
      const double some = decode_seconds(prompt, options, 128), more = decode_seconds(prompt, options, 384);
      out[std::string(way) + "decode_tokens_per_second_" + std::to_string(batch)] = double(batch) * 128 / some;
      out[std::string(way) + "step_us_" + std::to_string(batch)] = (more - some) / 256 * 1e6;
    }
  }
  {
    const at::NoGradGuard no_grad;
    const at::Tensor prompt = ids(1, 8192);
    for (int i = 0; i < 3; ++i) model->forward(prompt, {.logits_to_keep = 1});
    synchronize();
    const auto begin = Clock::now();
    for (int i = 0; i < 5; ++i) model->forward(prompt, {.logits_to_keep = 1});
    synchronize();
    out["prefill_8k_tokens_per_second"] = 5 * 8192 / since(begin);
  }
  for (const std::string& warning : model->kernel_report().warnings) out["warnings"].push_back(warning);
  add_training(out, *model);
  add_layers(out, *model);
  return out;
}

/// What decode chooses after the ids 3 … 66, and how sure of it the whole sequence's logits are, which one forward computes without a cache.
/// `file`: the prompt's logits as float32 [64, vocab].
Json tokens(const std::string& folder, bool kernels, const std::string& dtype, const std::string& file, const std::string& device) {
  constexpr int64_t kPrompt = 64, kNew = 64;
  if (device != "cpu") open_cuda();
  auto model = AutoModelForCausalLM::from_pretrained(folder, {.use_kernels = kernels, .device_map = device, .dtype = dtype});
  const at::Tensor prompt = at::arange(3, 3 + kPrompt, at::TensorOptions(model->device()).dtype(at::kLong)).unsqueeze(0);
  const at::Tensor ids = model->generate(prompt, {.max_new_tokens = kNew, .do_sample = false, .eos_token_id = std::vector<int64_t>{}});
  Json out;
  for (const std::string& warning : model->kernel_report().warnings) out["warnings"].push_back(warning);

  const at::NoGradGuard no_grad;
  const at::Tensor logits = model->forward(ids).logits[0].to(at::kCPU, at::kFloat).contiguous();
  std::ofstream written(file, std::ios::binary);
  written.write(static_cast<const char*>(logits.const_data_ptr()), kPrompt * logits.size(1) * int64_t(sizeof(float)));
  if (!written.flush()) throw std::runtime_error(file + " could not be written");
  const at::Tensor chosen = ids[0].narrow(0, kPrompt, kNew).cpu();
  const at::Tensor first_two = std::get<0>(logits.narrow(0, kPrompt - 1, kNew).topk(2));
  for (int64_t i = 0; i < kNew; ++i) {
    out["ids"].push_back(chosen[i].item<int64_t>());
    out["gaps"].push_back((first_two[i][0] - first_two[i][1]).item<float>());
  }
  out["largest_logit"] = logits.abs().max().item<float>();
  return out;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  Json out;
  if (what == "kernels" && argc == 2) {
    open_cuda();
    out = kernels();
  } else if (what == "model" && argc == 4) {
    out = model_figures(argv[2], std::string(argv[3]) == "on");
  } else if (what == "training" && argc >= 4) {
    out = training_figures(argv[2], std::string(argv[3]) == "on", mappings(argc, argv, 4));
  } else if (what == "tokens" && (argc == 6 || argc == 7)) {
    out = tokens(argv[2], std::string(argv[3]) == "on", argv[4], argv[5], argc == 7 ? argv[6] : "cuda");
  } else {
    std::fprintf(stderr, "usage: gpu_bench kernels | gpu_bench model MODEL on|off | gpu_bench training MODEL on|off [LAYER=REF]... | "
                         "gpu_bench tokens MODEL on|off DTYPE FILE [DEVICE]\n");
    return 2;
  }
  std::printf("%s\n", out.dump().c_str());
} catch (const std::exception& e) {
  std::fprintf(stderr, "gpu_bench: %s\n", e.what());
  return 1;
}
