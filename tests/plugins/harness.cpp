#include "harness.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace graft::test {
namespace {

thread_local std::string error_message;

constexpr uint32_t kLentThreads = 3;

int64_t ranges_of(uint32_t threads, int64_t count, int64_t grain) {
  return std::min<int64_t>(threads, std::max<int64_t>(1, count / std::max<int64_t>(1, grain)));
}

// Even ranges, each on a thread of its own.
void run_ranges(int64_t ranges, int64_t count, graft_parallel_body body, void* data) {
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < ranges; ++i)
    threads.emplace_back([=] { body(data, count * i / ranges, count * (i + 1) / ranges, uint32_t(i)); });
  body(data, 0, count / ranges, 0);
  for (std::thread& thread : threads) thread.join();
}

// Of the host, for prepare().
const graft_host_parallel_for lent_threads = {
    sizeof(graft_host_parallel_for), [](const graft_host*) { return kLentThreads; },
    [](const graft_host*, int64_t count, int64_t grain, graft_parallel_body body, void* data) {
      run_ranges(ranges_of(kLentThreads, count, grain), count, body, data);
    }};

const graft_host& host() {
  static const graft_host instance{sizeof(graft_host),
                                   GRAFT_ABI_MAJOR,
                                   GRAFT_ABI_MINOR,
                                   "test",
                                   "1",
                                   [](const graft_host*, const char* message) { error_message = message; },
                                   [](const graft_host*, const char* id) -> const void* {
                                     return std::string(id) == GRAFT_EXT_PARALLEL_FOR ? &lent_threads
                                                                                      : nullptr;
                                   }};
  return instance;
}

// The first entry of that name in a plugin's file, which is initialised once per process.
const graft_entry* find_entry(const std::string& file, const std::string& name) {
  static std::map<std::string, const graft_plugin*> opened;
  const graft_plugin*& plugin = opened[file];
  if (plugin == nullptr) {
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    plugin = static_cast<const graft_plugin*>(dlsym(handle, "graft_plugin_entry"));
    if (plugin == nullptr) throw std::runtime_error(file + " has no graft_plugin_entry");
    if (plugin->init != nullptr && plugin->init(&host()) != GRAFT_OK)
      throw std::runtime_error(file + ": init failed");
  }
  for (uint32_t i = 0; i < plugin->entry_count(); ++i)
    if (plugin->entry_at(i)->name == name) return plugin->entry_at(i);
  throw std::runtime_error(file + " has no entry " + name);
}

// Of a call: ranges of at least `grain`.
void parallel_for(const graft_call* call, int64_t count, int64_t grain, graft_parallel_body body,
                  void* data) {
  run_ranges(ranges_of(call->thread_count, count, grain), count, body, data);
}

// The same ranges on one thread.
void serial_for(const graft_call* call, int64_t count, int64_t grain, graft_parallel_body body, void* data) {
  const int64_t ranges = ranges_of(call->thread_count, count, grain);
  for (int64_t i = 0; i < ranges; ++i) body(data, count * i / ranges, count * (i + 1) / ranges, uint32_t(i));
}

}  // namespace

const std::string& last_error() {
  return error_message;
}

Kernel::Kernel(const std::string& file, const std::string& entry, const graft_contract& contract,
               std::vector<graft_value> attributes)
    : contract_(&contract), attributes_(std::move(attributes)), entry_(find_entry(file, entry)) {
  attributes_.resize(contract.attribute_count, none());
  bool fulfils = false;
  for (uint32_t i = 0; i < entry_->contract_count; ++i)
    fulfils |= contract.name == std::string(entry_->contracts[i]);
  if (!fulfils) throw std::runtime_error(entry + " does not fulfil " + contract.name);
  graft_instance* instance = nullptr;
  const graft_status status =
      entry_->create(entry_, contract_, {GRAFT_DEVICE_CPU, 0}, attributes_.data(), &instance);
  if (status != GRAFT_OK) throw std::runtime_error("create: " + error_message);
  instance_.reset(instance, [destroy = entry_->destroy](graft_instance* made) {
    if (destroy != nullptr) destroy(made);
  });
}

size_t Kernel::workspace(const std::vector<graft_value>& arguments, uint32_t threads, uint32_t pass) const {
  size_t bytes = 0;
  if (entry_->workspace_size != nullptr) {
    const std::vector<graft_value> seen = pass == GRAFT_WORKSPACE_BACKWARD ? kept(arguments) : arguments;
    EXPECT_EQ(entry_->workspace_size(instance_.get(), pass, seen.data(), threads, &bytes), GRAFT_OK)
        << error_message;
  }
  return bytes;
}

std::vector<graft_value> Kernel::kept(std::vector<graft_value> arguments) const {
  for (uint32_t i = 0; i < contract_->argument_count; ++i)
    if ((contract_->arguments[i].flags & (GRAFT_ARG_KEPT | GRAFT_ARG_SAVED)) == 0) arguments[i] = none();
  return arguments;
}

std::vector<graft_value> Kernel::seen_by_forward(std::vector<graft_value> arguments) const {
  if ((entry_->flags & GRAFT_ENTRY_PREPACKS) == 0) return arguments;
  for (uint32_t i = 0; i < contract_->argument_count; ++i)
    if ((contract_->arguments[i].flags & GRAFT_ARG_WEIGHT) != 0) arguments[i] = none();
  return arguments;
}

graft_status Kernel::prepare(const std::vector<graft_value>& arguments) const {
  error_message.clear();
  std::vector<graft_value> weights = arguments;
  for (uint32_t i = 0; i < contract_->argument_count; ++i)
    if ((contract_->arguments[i].flags & GRAFT_ARG_WEIGHT) == 0) weights[i] = none();
  return entry_->prepare(instance_.get(), weights.data());
}

graft_status Kernel::call(size_t workspace, uint32_t threads, bool at_once,
                          const std::function<graft_status(const graft_call&)>& body) const {
  std::vector<std::byte> memory(workspace + 256 + 2 * kGuard, kPattern);
  std::byte* begin = memory.data() + kGuard;
  begin += (256 - reinterpret_cast<uintptr_t>(begin) % 256) % 256;
  std::byte* end = begin + workspace;
  std::fill(begin, end, std::byte{0xff});  // NaN in any floating-point type
  const graft_call call{sizeof(graft_call),
                        0,
                        {GRAFT_DEVICE_CPU, 0},
                        nullptr,
                        begin,
                        workspace,
                        threads,
                        0,
                        at_once ? parallel_for : serial_for};
  const graft_status status = body(call);
  const auto is_pattern = [](std::byte b) { return b == kPattern; };
  EXPECT_TRUE(std::all_of(memory.data(), begin, is_pattern)) << "wrote before the workspace";
  EXPECT_TRUE(std::all_of(end, memory.data() + memory.size(), is_pattern))
      << "wrote past the workspace of " << workspace << " bytes";
  return status;
}

graft_status Kernel::run(const std::vector<graft_value>& all, uint32_t threads, bool at_once) const {
  EXPECT_EQ(all.size(), contract_->argument_count);
  const std::vector<graft_value> arguments = seen_by_forward(all);
  error_message.clear();
  if (entry_->supports != nullptr) {
    const graft_status status = entry_->supports(entry_, contract_, attributes_.data(), arguments.data());
    if (status != GRAFT_OK) return status;
  }
  return call(workspace(arguments, threads), threads, at_once, [&](const graft_call& call) {
    return entry_->forward(instance_.get(), &call, arguments.data());
  });
}

graft_status Kernel::run_backward(const std::vector<graft_value>& arguments,
                                  const std::vector<graft_value>& grad_outputs, uint64_t needs_gradient,
                                  const std::vector<graft_value>& grad_inputs, uint32_t threads) const {
  error_message.clear();
  if (entry_->backward == nullptr || (entry_->flags & GRAFT_ENTRY_HAS_BACKWARD) == 0)
    throw std::runtime_error("the entry has no backward");
  const std::vector<graft_value> seen = kept(arguments);
  return call(workspace(arguments, threads, GRAFT_WORKSPACE_BACKWARD), threads, /*at_once=*/true,
              [&](const graft_call& call) {
                return entry_->backward(instance_.get(), &call, seen.data(), grad_outputs.data(),
                                        needs_gradient, grad_inputs.data());
              });
}

void run_at_once(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

void expect_close(const graft_contract& contract, graft_dtype dtype, const std::vector<double>& expected,
                  const Array& actual, const std::string& what, double times) {
  ASSERT_EQ(int64_t(expected.size()), actual.numel()) << what;
  EXPECT_TRUE(actual.untouched()) << what << ": memory outside the tensor was written to";
  const graft_tolerance* tolerance = nullptr;
  for (uint32_t i = 0; i < contract.tolerance_count; ++i)
    if (same(contract.tolerances[i].dtype, dtype)) tolerance = &contract.tolerances[i];
  ASSERT_NE(tolerance, nullptr);
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const double e = expected[size_t(i)], a = actual.get(i);
    if (std::isnan(e)
            ? std::isnan(a)
            : e == a || std::abs(a - e) <= times * (tolerance->atol + tolerance->rtol * std::abs(e)))
      continue;
    FAIL() << what << ": element " << i << " is " << a << ", expected " << e;
  }
}

std::string Case::file(const std::string& name) const {
  return std::string(GRAFT_REPOS_DIR) + "/graft-kernels/" + name + "/build/" + variant + "/" + name + ".so";
}

void KernelTest::SetUp() {
#if defined(__x86_64__)
  if (GetParam().variant.find("x86_64_v3") != std::string::npos &&
      !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
    GTEST_SKIP() << "this processor has no AVX2 and FMA";
  if (GetParam().variant.find("x86_64_v4") != std::string::npos &&
      !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")))
    GTEST_SKIP() << "this processor has no AVX-512";
#endif
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  std::istringstream variants(GRAFT_CPU_VARIANTS);
  for (std::string variant; std::getline(variants, variant, ',');)
    for (graft_dtype dtype : {kFloat32, kBfloat16, kFloat64}) cases.push_back({variant, dtype});
  return cases;
}

std::vector<Case> float_cases() {
  std::vector<Case> cases = all_cases();
  std::erase_if(cases, [](const Case& one) { return same(one.dtype, kFloat64); });
  return cases;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto built_for = [&](const char* level) {
    return info.param.variant.find(level) != std::string::npos;
  };
  const std::string dtype = same(info.param.dtype, kFloat32)   ? "_float32"
                            : same(info.param.dtype, kFloat64) ? "_float64"
                                                               : "_bfloat16";
  return (built_for("x86_64_v4") ? "avx512" : built_for("x86_64_v3") ? "avx2" : "baseline") + dtype;
}

}  // namespace graft::test
