#include "served_kernels.h"

#include <c10/core/Storage.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graft/error.h"
#include "graft/plugin_call.h"
#include "tensor_view.h"

namespace graft {
namespace {

constexpr size_t kMostKernels = 1024;   // of contract, attributes and dtype
constexpr size_t kMostPrepared = 1024;  // of each of them

/// A weight as prepare() saw it. Its storage is held: a freed one's address could be another's tomorrow.
struct SeenWeight {
  explicit SeenWeight(const at::Tensor& tensor)
      : storage(tensor.storage()),
        data(tensor.const_data_ptr()),
        sizes(tensor.sizes().vec()),
        version(version_of(tensor)) {}

  bool is_data_of(const at::Tensor& tensor) const {
    return data == tensor.const_data_ptr() && tensor.sizes() == sizes;
  }
  bool is(const at::Tensor& tensor) const { return is_data_of(tensor) && version == version_of(tensor); }

  c10::Storage storage;
  const void* data;
  std::vector<int64_t> sizes;
  int64_t version;
};

struct Prepared {
  std::vector<SeenWeight> weights;
  std::shared_ptr<const KernelInstance> instance;

  bool is_for(const std::vector<at::Tensor>& tensors) const {
    return std::equal(weights.begin(), weights.end(), tensors.begin(), tensors.end(),
                      [](const SeenWeight& seen, const at::Tensor& tensor) { return seen.is(tensor); });
  }
  /// Whether its weights have other versions now, or live here alone.
  bool is_past(const std::vector<at::Tensor>& tensors) const {
    return std::equal(
               weights.begin(), weights.end(), tensors.begin(), tensors.end(),
               [](const SeenWeight& seen, const at::Tensor& tensor) { return seen.is_data_of(tensor); }) ||
           std::any_of(weights.begin(), weights.end(),
                       [](const SeenWeight& seen) { return seen.storage.use_count() == 1; });
  }
};

/// A kernel in a contract, with attributes and a dtype.
struct Served {
  std::shared_ptr<const Kernel> kernel;
  std::shared_ptr<const KernelInstance> instance;  // null for an entry that is shown its weights
  std::mutex mutex;
  std::vector<Prepared> prepared;
};

/// What `call` asks for, as bytes.
const std::string& key_of(const OperatorCall& call, at::ScalarType dtype) {
  thread_local std::string key;  // keeps its memory
  key.assign(*call.kernel)
      .append(1, '\0')
      .append(call.contract().name)
      .append(1, '\0')
      .append(1, char(dtype))
      .append(call.device().str())
      .append(1, '\0');
  for (const graft_value& value : call.attributes) {
    if (value.tag == GRAFT_STRING) {
      key.append(std::to_string(value.length)).append(1, ':').append(value.as.string, value.length);
    } else {
      key.append(reinterpret_cast<const char*>(&value.as.integer), sizeof value.as.integer);
    }
  }
  return key;
}

std::vector<at::Tensor> weights_of(const OperatorCall& call) {
  std::vector<at::Tensor> weights;
  for (uint32_t i = 0; i < call.contract().argument_count; ++i)
    if (is_weight(call.contract().arguments[i]) && call.tensors[i].defined())
      weights.push_back(call.tensors[i]);
  return weights;
}

/// A repo's kernel is asked for by the trust policy; a path is the word of whoever wrote the graph.
Kernel load(const std::string& kernel_ref, c10::Device device) {
  const KernelRef ref = KernelRef::parse(kernel_ref);
  const char* trusting = std::getenv("GRAFT_LOCAL_OPERATORS");
  if (ref.is_local() && (trusting == nullptr || std::string_view(trusting) != "1")) {
    throw Error(
        ErrorCode::untrusted, "kernel " + kernel_ref,
        "it is a path, and an operator's comes from a graph that anyone may have written",
        "kernelize() with it first, or set GRAFT_LOCAL_OPERATORS=1 where you wrote all graphs yourself");
  }
  return Runtime::shared().load(ref, {.device = device.str()});
}

std::shared_ptr<KernelInstance> make(const std::shared_ptr<const Kernel>& kernel, const OperatorCall& call, at::ScalarType dtype) {
  check_operator(*kernel, "name one that does");
  auto made = std::make_shared<KernelInstance>(
      kernel, LayerFacts{.plan = call.plan, .attributes = call.attributes, .weights = {}, .device = call.device(), .dtype = dtype});
  check_served(*made);
  create(*made);
  return made;
}

std::shared_ptr<const KernelInstance> prepare(std::shared_ptr<KernelInstance> made,
                                              const OperatorCall& call) {
  std::array<graft_tensor, kMaxArguments> views;
  std::array<graft_value, kMaxArguments> arguments{};
  for (uint32_t i = 0; i < call.contract().argument_count; ++i) {
    if (!is_weight(call.contract().arguments[i]) || !call.tensors[i].defined()) continue;
    views[i] = view(call.tensors[i]);
    arguments[i] = as_value(&views[i]);
  }
  graft::prepare(*made, arguments.data());
  return made;
}

}  // namespace

std::string operator_kernel(const Kernel& kernel) {
  KernelRef ref{.repo = kernel.repo, .revision = kernel.commit, .entry = kernel.entry->name, .local = {}};
  if (kernel.commit.empty())
    ref = {.repo = {}, .revision = {}, .entry = kernel.entry->name, .local = kernel.repo};
  return ref.str();
}

void check_operator(const Kernel& kernel, const std::string& mend) {
  if ((kernel.entry->flags & GRAFT_ENTRY_COMPILE_SAFE) != 0) return;
  throw Error(ErrorCode::unsupported, "kernel " + kernel.ref.str(),
              "it does not say that it works as an operator of torch.compile (GRAFT_ENTRY_COMPILE_SAFE)",
              mend);
}

struct ServedKernels::State {
  std::shared_mutex mutex;
  std::unordered_map<std::string, std::shared_ptr<Served>> served;
  std::map<std::pair<std::string, int32_t>, std::shared_ptr<const Kernel>> admitted;  // by name and type of device
};

ServedKernels::ServedKernels() : state_(std::make_unique<State>()) {}

ServedKernels& ServedKernels::shared() {
  static auto& kernels = *new ServedKernels;  // operators may be called while static objects go
  return kernels;
}

std::shared_ptr<const KernelInstance> ServedKernels::instance(const OperatorCall& call,
                                                              at::ScalarType dtype) {
  const std::string& key = key_of(call, dtype);
  std::shared_ptr<Served> served;
  std::shared_ptr<const Kernel> admitted;
  {
    const std::shared_lock lock(state_->mutex);
    if (const auto found = state_->served.find(key); found != state_->served.end()) {
      served = found->second;
    } else if (const auto known = state_->admitted.find({*call.kernel, to_graft(call.device()).type}); known != state_->admitted.end()) {
      admitted = known->second;
    }
  }
  if (served == nullptr) {
    // Not under the lock: loading may take as long as a network does.
    auto made = std::make_shared<Served>();
    made->kernel = admitted != nullptr ? admitted : std::make_shared<const Kernel>(load(*call.kernel, call.device()));
    std::shared_ptr<KernelInstance> instance = make(made->kernel, call, dtype);
    if (made->kernel->entry->prepare == nullptr) made->instance = std::move(instance);
    const std::unique_lock lock(state_->mutex);
    if (state_->served.size() >= kMostKernels) state_->served.clear();  // callers hold what they run
    served = state_->served.try_emplace(key, std::move(made)).first->second;
  }
  if (served->instance != nullptr) return served->instance;

  const std::vector<at::Tensor> weights = weights_of(call);
  const std::lock_guard lock(served->mutex);
  for (const Prepared& prepared : served->prepared)
    if (prepared.is_for(weights)) return prepared.instance;
  std::erase_if(served->prepared, [&](const Prepared& prepared) { return prepared.is_past(weights); });
  if (served->prepared.size() >= kMostPrepared) served->prepared.erase(served->prepared.begin());
  Prepared fresh{{weights.begin(), weights.end()}, prepare(make(served->kernel, call, dtype), call)};
  return served->prepared.emplace_back(std::move(fresh)).instance;
}

void ServedKernels::admit(const std::shared_ptr<const Kernel>& kernel) {
  const std::string name = operator_kernel(*kernel);
  const std::unique_lock lock(state_->mutex);
  state_->admitted.insert_or_assign({name, kernel->entry->device_type}, kernel);
  // What another library under this name has made.
  std::erase_if(state_->served, [&](const auto& served) {
    return served.first.starts_with(name + '\0') && served.second->kernel->entry->device_type == kernel->entry->device_type && served.second->kernel->entry != kernel->entry;
  });
}

}  // namespace graft
