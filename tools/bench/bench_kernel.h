// A kernel of the build folder and arrays for it, to be called in a benchmark's loop.
#pragma once

#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <graft/plugin.h>
#include <graft/thread_pool.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace graft::bench {

inline constexpr graft_dtype kFloat32{GRAFT_DTYPE_FLOAT, 32, 1};
inline constexpr graft_dtype kBfloat16{GRAFT_DTYPE_BFLOAT, 16, 1};
inline constexpr size_t kRotation = size_t{256} << 20;

inline bool only_avx2 = false;  // as if the processor had nothing wider

inline const char* variant() {
  if (!only_avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return GRAFT_CPU_VARIANT "-x86_64_v4";
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? GRAFT_CPU_VARIANT "-x86_64_v3"
                                                                         : GRAFT_CPU_VARIANT;
}

inline const graft_entry& find_entry(const std::string& name, const std::string& entry) {
  const std::string file =
      std::string(GRAFT_REPOS_DIR) + "/graft-kernels/" + name + "/build/" + variant() + "/" + name + ".so";
  void* handle = dlopen(file.c_str(), RTLD_NOW);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  const auto* plugin = static_cast<const graft_plugin*>(dlsym(handle, "graft_plugin_entry"));
  static const graft_host host{
      sizeof(graft_host),
      GRAFT_ABI_MAJOR,
      GRAFT_ABI_MINOR,
      "kernels_bench",
      "1",
      [](const graft_host*, const char* message) { std::fprintf(stderr, "%s\n", message); },
      [](const graft_host*, const char*) -> const void* { return nullptr; }};
  if (plugin->init != nullptr) plugin->init(&host);
  for (uint32_t i = 0; i < plugin->entry_count(); ++i)
    if (plugin->entry_at(i)->name == entry) return *plugin->entry_at(i);
  throw std::runtime_error(file + " has no entry " + entry);
}

// A contiguous tensor of small random values; of zeros if they are integers.
class Array {
 public:
  Array(graft_dtype dtype, std::vector<int64_t> shape)
      : dtype_(dtype), shape_(std::move(shape)), strides_(shape_.size(), 1) {
    for (size_t i = shape_.size(); i > 1; --i) strides_[i - 2] = strides_[i - 1] * shape_[i - 1];
    size_t count = 1;
    for (int64_t n : shape_) count *= size_t(n);
    bytes_ = count * dtype.bits / 8;
    memory_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes_ + 63) / 64 * 64)));
    std::memset(memory_.get(), 0, bytes_);
    uint32_t random = 1;
    for (size_t i = 0; i < count && dtype.bits <= 32; ++i) {
      random = random * 1664525 + 1013904223;
      const float value = float(int32_t(random)) * 4e-11f;
      std::memcpy(memory_.get() + i * dtype.bits / 8,
                  reinterpret_cast<const char*>(&value) + 4 - dtype.bits / 8, dtype.bits / 8);
    }
    tensor_ = {memory_.get(),
               {GRAFT_DEVICE_CPU, 0},
               int32_t(shape_.size()),
               dtype_,
               shape_.data(),
               strides_.data(),
               0};
  }
  Array(const Array&) = delete;
  graft_value value() {
    graft_value v{GRAFT_TENSOR, 0, {}};
    v.as.tensor = &tensor_;
    return v;
  }
  size_t bytes() const { return bytes_; }
  template <class V>
  void set(const std::vector<V>& values) {
    std::memcpy(memory_.get(), values.data(), std::min(bytes_, values.size() * sizeof(V)));
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  graft_dtype dtype_;
  std::vector<int64_t> shape_, strides_;
  size_t bytes_;
  std::unique_ptr<char, Free> memory_;
  graft_tensor tensor_;
};

inline graft_value none() {
  return {GRAFT_NONE, 0, {}};
}
inline graft_value number(double x) {
  graft_value v{GRAFT_FLOAT, 0, {}};
  v.as.number = x;
  return v;
}

class Kernel {
 public:
  Kernel(const std::string& plugin, const std::string& entry, const graft_contract& contract,
         std::vector<graft_value> attributes = {})
      : entry_(find_entry(plugin, entry)), contract_(contract), attributes_(std::move(attributes)) {
    attributes_.resize(contract.attribute_count, none());
    instance_ = create();
  }
  ~Kernel() {
    for (graft_instance* instance : made_)
      if (instance != nullptr) entry_.destroy(instance);
  }
  Kernel(const Kernel&) = delete;
  // Runs the calls in turn for as long as the benchmark lasts, each on an instance of its own if the entry packs weights.
  void run(benchmark::State& state, std::vector<std::vector<graft_value>> calls) {
    std::vector<graft_instance*> instances(calls.size(), instance_);
    for (size_t i = 0; i < calls.size() && (entry_.flags & GRAFT_ENTRY_PREPACKS) != 0; ++i)
      instances[i] = packed(calls[i]);
    instance_ = instances[0];  // workspace_size asks a prepared one
    size_t next = 0;
    measure(state, GRAFT_WORKSPACE_FORWARD, calls[0], [&](const graft_call& call) {
      const graft_status status = entry_.forward(instances[next], &call, calls[next].data());
      next = next + 1 == calls.size() ? 0 : next + 1;
      return status;
    });
  }
  // All gradients that are given a place.
  void run_backward(benchmark::State& state, const std::vector<graft_value>& arguments,
                    const std::vector<graft_value>& grad_outputs,
                    const std::vector<graft_value>& grad_inputs) {
    uint64_t needs = 0;
    for (size_t i = 0; i < grad_inputs.size(); ++i)
      if (grad_inputs[i].tag != GRAFT_NONE) needs |= uint64_t{1} << i;
    measure(state, GRAFT_WORKSPACE_BACKWARD, arguments, [&](const graft_call& call) {
      return entry_.backward(instance_, &call, arguments.data(), grad_outputs.data(), needs,
                             grad_inputs.data());
    });
  }

 private:
  template <class Body>
  void measure(benchmark::State& state, uint32_t pass, const std::vector<graft_value>& arguments,
               const Body& body) {
    ThreadPool& pool = ThreadPool::shared();
    size_t bytes = 0;
    if (entry_.workspace_size != nullptr)
      entry_.workspace_size(instance_, pass, arguments.data(), uint32_t(pool.size()), &bytes);
    std::unique_ptr<void, void (*)(void*)> workspace(std::aligned_alloc(256, (bytes + 256) / 256 * 256),
                                                     std::free);
    CpuCall call = graft::make_cpu_call(pool, workspace.get(), bytes);
    for (auto _ : state)
      if (body(call.call) != GRAFT_OK) state.SkipWithError("the kernel failed");
  }

  graft_instance* create() {
    made_.push_back(nullptr);
    entry_.create(&entry_, &contract_, {GRAFT_DEVICE_CPU, 0}, attributes_.data(), &made_.back());
    return made_.back();
  }
  // One that has packed the weights among the arguments, which are then taken away.
  graft_instance* packed(std::vector<graft_value>& arguments) {
    std::vector<graft_value> weights(arguments.size(), none());
    for (uint32_t i = 0; i < contract_.argument_count; ++i)
      if ((contract_.arguments[i].flags & GRAFT_ARG_WEIGHT) != 0) std::swap(weights[i], arguments[i]);
    graft_instance* instance = create();
    if (entry_.prepare(instance, weights.data()) != GRAFT_OK) throw std::runtime_error("prepare failed");
    return instance;
  }

  const graft_entry& entry_;
  const graft_contract& contract_;
  std::vector<graft_value> attributes_;
  std::vector<graft_instance*> made_;
  graft_instance* instance_ = nullptr;
};

inline void rates(benchmark::State& state, double bytes, double flops) {
  using benchmark::Counter;
  if (bytes > 0) state.counters["GB/s"] = Counter(bytes / 1e9, Counter::kIsIterationInvariantRate);
  if (flops > 0) state.counters["GFLOP/s"] = Counter(flops / 1e9, Counter::kIsIterationInvariantRate);
}

// What layers are in for weights of so many bits: those of 8 are packed from float32.
inline graft_dtype dtype_of(int64_t bits) {
  return bits == 16 ? kBfloat16 : kFloat32;
}

}  // namespace graft::bench
