#include "try_entry.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <deque>
#include <sstream>
#include <string>
#include <vector>

#include "graft/contract.h"
#include "graft/host_platform.h"
#include "graft/plugin_call.h"
#include "plugin_host.h"
#include "report.h"

namespace graft::probe {
namespace {

constexpr std::int64_t kSize = 16, kLeading = 2;  // of a named dimension; of the one that "..." stands for
constexpr std::size_t kMaxWorkspace = std::size_t{1} << 30;  // bytes

/// Memory whose end is the end of what may be touched. Kept to the end of the process.
void* guarded(std::size_t bytes, std::size_t alignment) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::size_t room = (bytes + page - 1) / page * page;
  void* mapped = mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  mprotect(static_cast<char*>(mapped) + room, page, PROT_NONE);
  return static_cast<char*>(mapped) + (room - bytes) / alignment * alignment;
}

/// The tensors of one call, and the values that show them.
class Arguments {
 public:
  Arguments(const ContractPlan& plan, graft_dtype dtype) : plan_(plan), values_(count()) {
    for (std::size_t i = 0; i < count(); ++i)
      if (plan.contract().arguments[i].direction != GRAFT_OUT && wanted(i))
        add(i, input_shape(plan.contract().arguments[i].shape), plan_dtype(i, dtype));
  }

  /// Outputs, by what the inputs bind. Empty, or why there are none.
  std::string add_outputs() {
    ContractBinding binding;
    std::string why;
    if (!plan_.check(values_.data(), binding, ContractPart::all, &why)) return why;
    for (std::size_t i = 0; i < count(); ++i) {
      if (plan_.contract().arguments[i].direction != GRAFT_OUT || !wanted(i)) continue;
      std::array<std::int64_t, kMaxRank> shape;
      int rank = plan_.output_shape(i, binding, shape.data());
      if (rank < 0) return "its outputs' shapes are its own to infer";
      add(i, {shape.begin(), shape.begin() + rank}, plan_.output_dtype(i, binding));
    }
    return {};
  }

  /// All of them, or those for which `weights` is so.
  const std::vector<graft_value>& all() const { return values_; }
  std::vector<graft_value> only(bool weights) const {
    std::vector<graft_value> some = values_;
    for (std::size_t i = 0; i < some.size(); ++i)
      if (((plan_.contract().arguments[i].flags & GRAFT_ARG_WEIGHT) != 0) != weights) some[i] = graft_value{};
    return some;
  }

 private:
  struct Tensor {
    graft_tensor tensor;
    std::vector<std::int64_t> shape, strides;
  };

  std::size_t count() const { return plan_.contract().argument_count; }
  bool wanted(std::size_t index) const {
    return !(plan_.contract().arguments[index].flags & (GRAFT_ARG_OPTIONAL | GRAFT_ARG_SAVED));
  }
  graft_dtype plan_dtype(std::size_t index, graft_dtype dtype) const {
    ContractBinding binding;
    binding.dtype = dtype;
    return plan_.output_dtype(index, binding);
  }

  /// Of the shape language only what standard contracts say; see graft/abi/contract.h.
  static std::vector<std::int64_t> input_shape(const char* text) {
    std::vector<std::int64_t> shape;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      std::int64_t factor = std::isdigit(static_cast<unsigned char>(word[0])) ? std::stoll(word) : 1;
      bool named = word.find_first_not_of("0123456789*") != word.npos;
      shape.push_back(word == "..." ? kLeading : named ? factor * kSize : factor);
    }
    return shape;
  }

  void add(std::size_t index, std::vector<std::int64_t> shape, graft_dtype dtype) {
    Tensor& made = tensors_.emplace_back();
    made.shape = std::move(shape);
    made.strides.assign(made.shape.size(), 1);
    std::int64_t elements = 1;
    for (std::size_t i = made.shape.size(); i-- > 0; elements *= made.shape[i]) made.strides[i] = elements;
    std::size_t item = std::max<std::size_t>(1, std::size_t{dtype.bits} * dtype.lanes / 8);
    std::size_t bytes = static_cast<std::size_t>(elements) * item;
    void* data = guarded(bytes, std::max<std::size_t>(item, plan_.contract().alignment));
    // 0x3c3c is a small number in float32, bfloat16 and float16 alike.
    bool is_float = dtype.code == GRAFT_DTYPE_FLOAT || dtype.code == GRAFT_DTYPE_BFLOAT;
    if (data) std::memset(data, is_float ? 0x3c : 0, bytes);
    made.tensor = {data,  {GRAFT_DEVICE_CPU, 0}, static_cast<std::int32_t>(made.shape.size()),
                   dtype, made.shape.data(),     made.strides.data(),
                   0};
    values_[index].tag = GRAFT_TENSOR;
    values_[index].as.tensor = &made.tensor;
  }

  const ContractPlan& plan_;
  std::vector<graft_value> values_;
  std::deque<Tensor> tensors_;
};

/// Their defaults; a required float is 1e-5, which is an epsilon and a scale as well as any.
std::vector<graft_value> attributes_of(const graft_contract& contract) {
  std::vector<graft_value> values(contract.attribute_count);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const graft_attribute& attribute = contract.attributes[i];
    values[i].tag = attribute.tag;
    if (attribute.tag == GRAFT_FLOAT) {
      values[i].as.number = attribute.required ? 1e-5 : attribute.number;
    } else if (attribute.tag == GRAFT_STRING) {
      values[i].as.string = attribute.string ? attribute.string : "";
      values[i].length = static_cast<std::uint32_t>(std::strlen(values[i].as.string));
    } else {
      values[i].as.integer = attribute.required ? 1 : attribute.integer;
    }
  }
  return values;
}

void run_here(const graft_call*, std::int64_t count, std::int64_t, graft_parallel_body body, void* data) {
  host_threads::parallel_for(count, 1, body, data);
}

const ContractPlan* standard_contract(const graft_entry& entry) {
  for (std::uint32_t i = 0; i < entry.contract_count; ++i)
    if (const ContractPlan* plan = ContractRegistry::shared().plan(entry.contracts[i])) return plan;
  return nullptr;
}

class Trial {
 public:
  explicit Trial(const graft_entry& entry, const ContractPlan& plan)
      : entry_(entry),
        plan_(plan),
        attributes_(attributes_of(plan.contract())),
        arguments_(plan, entry.dtypes[0]) {}

  void run() {
    if (std::string why = arguments_.add_outputs(); !why.empty())
      return report_note(std::string(entry_.name) + " was not called: " + why);
    const graft_contract* contract = &plan_.contract();
    if (entry_.supports && !step("supports", [&] {
          return entry_.supports(&entry_, contract, attributes_.data(), arguments_.all().data());
        }))
      return;
    if (!step("create", [&] {
          return entry_.create(&entry_, contract, {GRAFT_DEVICE_CPU, 0}, attributes_.data(), &instance_);
        }))
      return;
    call_instance();
    if (entry_.destroy && instance_)
      step("destroy", [&] {
        entry_.destroy(instance_);
        return graft_status{GRAFT_OK};
      });
  }

 private:
  void call_instance() {
    const bool packs = entry_.flags & GRAFT_ENTRY_PREPACKS;
    std::vector<graft_value> weights = arguments_.only(true);
    std::vector<graft_value> values = packs ? arguments_.only(false) : arguments_.all();
    if (entry_.prepare && !step("prepare", [&] { return entry_.prepare(instance_, weights.data()); })) return;
    std::size_t bytes = 0;
    if (entry_.workspace_size && !step("workspace_size", [&] {
          return entry_.workspace_size(instance_, GRAFT_WORKSPACE_FORWARD, values.data(), 1, &bytes);
        }))
      return;
    if (bytes > kMaxWorkspace)
      return report_note(std::string(entry_.name) + " was not called: it wants a workspace of " +
                         std::to_string(bytes) + " bytes for tensors of 16");
    graft_call call{};
    call.struct_size = sizeof call;
    call.device = {GRAFT_DEVICE_CPU, 0};
    call.workspace = bytes ? guarded(bytes, 256) : nullptr;
    call.workspace_size = call.workspace ? bytes : 0;
    call.thread_count = host_threads::count();
    call.parallel_for = run_here;
    step("forward", [&] { return entry_.forward(instance_, &call, values.data()); });
  }

  template <class F>
  bool step(const char* function, F&& call) {
    report_stage(function, entry_.name);
    graft_status status = call_plugin(call);
    if (status == GRAFT_OK) return true;
    std::string message = plugin_message();
    report_note(std::string(function) + " of " + entry_.name + " returned " + status_name(status) +
                (message.empty() ? "" : ": " + message));
    return false;
  }

  const graft_entry& entry_;
  const ContractPlan& plan_;
  std::vector<graft_value> attributes_;
  Arguments arguments_;
  graft_instance* instance_ = nullptr;
};

}  // namespace

void try_entry(const graft_entry& entry) {
  auto left_out = [&entry](const std::string& why) {
    report_note(std::string(entry.name) + " was not called: " + why);
  };
  if (entry.device_type != GRAFT_DEVICE_CPU) return left_out("it is for another device");
  if (std::string missing = HostPlatform::detect().missing_cpu_feature(entry.cpu_features); !missing.empty())
    return left_out("this CPU lacks " + missing);
  const ContractPlan* plan = standard_contract(entry);
  if (!plan) return left_out("its contracts are none of the standard ones");
  Trial(entry, *plan).run();
}

}  // namespace graft::probe
