#include "harness.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>
#include <thread>

namespace graft::test {
namespace {

constexpr std::byte kPattern{0xab};
constexpr size_t kGuard = 256;  // bytes before and after

thread_local std::string error_message;

const graft_host& host() {
  static const graft_host instance{sizeof(graft_host),
                                   GRAFT_ABI_MAJOR,
                                   GRAFT_ABI_MINOR,
                                   "test",
                                   "1",
                                   [](const graft_host*, const char* message) { error_message = message; },
                                   [](const graft_host*, const char*) -> const void* { return nullptr; }};
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

int64_t ranges_of(const graft_call* call, int64_t count, int64_t grain) {
  return std::min<int64_t>(call->thread_count, std::max<int64_t>(1, count / std::max<int64_t>(1, grain)));
}

// Even ranges of at least `grain`, each on a thread of its own.
void parallel_for(const graft_call* call, int64_t count, int64_t grain, graft_parallel_body body,
                  void* data) {
  const int64_t wanted = ranges_of(call, count, grain);
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < wanted; ++i)
    threads.emplace_back([=] { body(data, count * i / wanted, count * (i + 1) / wanted, uint32_t(i)); });
  body(data, 0, count / wanted, 0);
  for (std::thread& thread : threads) thread.join();
}

// The same ranges on one thread.
void serial_for(const graft_call* call, int64_t count, int64_t grain, graft_parallel_body body, void* data) {
  const int64_t ranges = ranges_of(call, count, grain);
  for (int64_t i = 0; i < ranges; ++i) body(data, count * i / ranges, count * (i + 1) / ranges, uint32_t(i));
}

std::vector<int64_t> row_major(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (int i = int(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(1, shape[i + 1]);
  return strides;
}

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

uint16_t to_bfloat16(double x) {
  if (std::isnan(x)) return 0x7fc0;
  const float f = float(x);
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

Array::Array(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t extent,
             int64_t shift)
    : dtype_(dtype), shape_(std::move(shape)), strides_(std::move(strides)), size_(dtype.bits / 8) {
  storage_.assign(2 * kGuard + 64 + size_t(extent + shift) * size_, kPattern);
  const size_t misaligned = reinterpret_cast<uintptr_t>(storage_.data()) % 64;
  first_ = kGuard + (64 - misaligned) % 64 + size_t(shift) * size_;
  owned_.assign(storage_.size(), false);
  for (int64_t i = 0; i < numel(); ++i) {
    const size_t at = size_t(element(i) - storage_.data());
    std::fill_n(owned_.begin() + long(at), size_, true);
  }
}

Array::Array(graft_dtype dtype, std::vector<int64_t> shape, int64_t shift)
    : Array(dtype, shape, row_major(shape), product(shape), shift) {}

Array Array::with_gaps(graft_dtype dtype, std::vector<int64_t> shape, int64_t gap) {
  std::vector<int64_t> padded = shape;
  padded.back() += gap;
  return Array(dtype, shape, row_major(padded), product(padded), 1);
}

Array Array::permuted(graft_dtype dtype, std::vector<int64_t> shape, std::vector<int> order) {
  std::vector<int64_t> reordered;
  for (int dim : order) reordered.push_back(shape[size_t(dim)]);
  const std::vector<int64_t> inner = row_major(reordered);
  std::vector<int64_t> strides(shape.size());
  for (size_t i = 0; i < order.size(); ++i) strides[size_t(order[i])] = inner[i];
  return Array(dtype, shape, strides, product(shape), 0);
}

int64_t Array::numel() const {
  return product(shape_);
}

std::byte* Array::element(int64_t index) const {
  int64_t offset = 0;
  for (int i = int(shape_.size()) - 1; i >= 0; --i) {
    offset += index % shape_[size_t(i)] * strides_[size_t(i)];
    index /= shape_[size_t(i)];
  }
  return storage_.data() + first_ + size_t(offset) * size_;
}

double Array::get(int64_t index) const {
  const std::byte* at = element(index);
  if (same(dtype_, kFloat64)) {
    double d;
    std::memcpy(&d, at, sizeof d);
    return d;
  }
  if (same(dtype_, kInt64)) {
    int64_t i;
    std::memcpy(&i, at, sizeof i);
    return double(i);
  }
  if (same(dtype_, kInt32)) {
    int32_t i;
    std::memcpy(&i, at, sizeof i);
    return double(i);
  }
  if (same(dtype_, kFloat32)) {
    float f;
    std::memcpy(&f, at, sizeof f);
    return f;
  }
  if (same(dtype_, kBool)) return double(*at);
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  const uint32_t bits = uint32_t{half} << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

void Array::set(int64_t index, double value) {
  std::byte* at = element(index);
  if (same(dtype_, kFloat64)) {
    std::memcpy(at, &value, sizeof value);
  } else if (same(dtype_, kInt64)) {
    const int64_t i = int64_t(value);
    std::memcpy(at, &i, sizeof i);
  } else if (same(dtype_, kInt32)) {
    const int32_t i = int32_t(value);
    std::memcpy(at, &i, sizeof i);
  } else if (same(dtype_, kFloat32)) {
    const float f = float(value);
    std::memcpy(at, &f, sizeof f);
  } else if (same(dtype_, kBool)) {
    *at = std::byte(value != 0);
  } else {
    const uint16_t half = to_bfloat16(value);
    std::memcpy(at, &half, sizeof half);
  }
}

Array& Array::fill(double value) {
  for (int64_t i = 0; i < numel(); ++i) set(i, value);
  return *this;
}

Array& Array::random(uint32_t seed, double low, double high) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(low, high);
  for (int64_t i = 0; i < numel(); ++i) set(i, distribution(generator));
  return *this;
}

bool Array::untouched() const {
  for (size_t i = 0; i < storage_.size(); ++i)
    if (!owned_[i] && storage_[i] != kPattern) return false;
  return true;
}

std::vector<std::byte> Array::bits() const {
  std::vector<std::byte> all;
  for (int64_t i = 0; i < numel(); ++i) all.insert(all.end(), element(i), element(i) + size_);
  return all;
}

graft_value Array::value() const {
  tensor_ = {storage_.data() + first_,
             {GRAFT_DEVICE_CPU, 0},
             int32_t(shape_.size()),
             dtype_,
             const_cast<int64_t*>(shape_.data()),
             const_cast<int64_t*>(strides_.data()),
             0};
  graft_value v{GRAFT_TENSOR, 0, {}};
  v.as.tensor = &tensor_;
  return v;
}

Array whole_weight(graft_dtype dtype, int64_t columns, int64_t depth, uint32_t seed, double size) {
  Array weight(dtype, {columns, depth});
  std::mt19937 generator(seed);
  const int power = std::ilogb(size) - 7;
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const int64_t row = i / depth, k = i % depth;
    const double whole = k % 64 == 0 ? 127 : int64_t(generator() % 255) - 127;
    weight.set(i, std::ldexp(whole, power - int(row % 5)));
  }
  return weight;
}

Array int32s(const std::vector<int64_t>& values) {
  Array made(kInt32, {int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i) made.set(int64_t(i), double(values[i]));
  return made;
}

graft_value none() {
  return {GRAFT_NONE, 0, {}};
}
graft_value number(double x) {
  graft_value v{GRAFT_FLOAT, 0, {}};
  v.as.number = x;
  return v;
}
graft_value integer(int64_t x) {
  graft_value v{GRAFT_INT, 0, {}};
  v.as.integer = x;
  return v;
}
graft_value boolean(bool x) {
  graft_value v{GRAFT_BOOL, 0, {}};
  v.as.integer = x;
  return v;
}

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
                  const Array& actual, const std::string& what) {
  ASSERT_EQ(int64_t(expected.size()), actual.numel()) << what;
  EXPECT_TRUE(actual.untouched()) << what << ": memory outside the tensor was written to";
  const graft_tolerance* tolerance = nullptr;
  for (uint32_t i = 0; i < contract.tolerance_count; ++i)
    if (same(contract.tolerances[i].dtype, dtype)) tolerance = &contract.tolerances[i];
  ASSERT_NE(tolerance, nullptr);
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const double e = expected[size_t(i)], a = actual.get(i);
    if (std::isnan(e) ? std::isnan(a)
                      : e == a || std::abs(a - e) <= tolerance->atol + tolerance->rtol * std::abs(e))
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
