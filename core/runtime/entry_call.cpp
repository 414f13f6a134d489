#include "graft/entry_call.h"

#include <algorithm>

#include "graft/contract.h"
#include "graft/dtype.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "graft/thread_pool.h"
#include "scratch.h"

namespace graft {
namespace {

const ContractPlan& known_contract(const Kernel& kernel) {
  for (std::uint32_t i = 0; i < kernel.entry->contract_count; ++i)
    if (const ContractPlan* plan = ContractRegistry::shared().plan(kernel.entry->contracts[i])) return *plan;
  throw Error(ErrorCode::unsupported, "kernel " + kernel.ref.str(), "its contract is " + contract_names(*kernel.entry) + ", which this host does not know",
              "add it with ContractRegistry::shared().add(…)");
}

struct Argument {
  std::vector<std::int64_t> shape, strides;
  graft_tensor tensor{};
  bool is_set = false;
};

}  // namespace

struct EntryCall::State {
  Kernel kernel;
  const ContractPlan& plan;
  const Attributes attributes;  // strings of the values point into it
  const std::vector<graft_value> attribute_values;
  std::vector<Argument> arguments;  // by position in the contract
  graft_instance* instance = nullptr;
  bool weights_are_new = true;

  State(Kernel found, const ContractPlan& contract, Attributes given)
      : kernel(std::move(found)),
        plan(contract),
        attributes(std::move(given)),
        attribute_values(graft::attribute_values(plan.contract(), attributes, std::string("contract ") + plan.contract().name)),
        arguments(plan.contract().argument_count) {}

  std::size_t position(std::string_view name) const {
    const graft_contract& contract = plan.contract();
    for (std::uint32_t i = 0; i < contract.argument_count; ++i)
      if (name == contract.arguments[i].name) return i;
    throw Error(ErrorCode::invalid_argument, std::string("contract ") + contract.name, "it has no argument '" + std::string(name) + "'");
  }

  enum class Which { all, weights, all_but_weights, inputs };
  std::vector<graft_value> values(Which which) {
    std::vector<graft_value> out(arguments.size(), graft_value{});
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const graft_argument& argument = plan.contract().arguments[i];
      const bool weight = (argument.flags & GRAFT_ARG_WEIGHT) != 0;
      if (!arguments[i].is_set || (which == Which::weights && !weight) || (which == Which::all_but_weights && weight) ||
          (which == Which::inputs && argument.direction == GRAFT_OUT))
        continue;
      out[i].tag = GRAFT_TENSOR;
      out[i].as.tensor = &arguments[i].tensor;
    }
    return out;
  }

  ContractBinding check(const std::vector<graft_value>& values) const {
    ContractBinding binding;
    if (std::string why; !plan.check(values.data(), binding, ContractPart::all, &why))
      throw Error(ErrorCode::invalid_argument, "call of " + kernel.ref.str() + " (" + plan.contract().name + ")", why,
                  "set arguments that the contract allows");
    return binding;
  }

  void must(graft_status status, const char* function) const {
    if (status != GRAFT_OK) throw_plugin_error(status, kernel.ref.str(), function);
  }
};

EntryCall::EntryCall(Kernel kernel, const Attributes& attributes) {
  const ContractPlan& plan = known_contract(kernel);
  const graft_entry& entry = *kernel.entry;
  if (entry.device_type != GRAFT_DEVICE_CPU)
    throw Error(ErrorCode::unsupported, "kernel " + kernel.ref.str(), "it is not for the CPU, where plain buffers are", "load one for the CPU");
  state_ = std::make_unique<State>(std::move(kernel), plan, attributes);
  const graft_status status = call_plugin([&] {
    return entry.create(&entry, &plan.contract(), {GRAFT_DEVICE_CPU, 0}, state_->attribute_values.data(), &state_->instance);
  });
  if (status != GRAFT_OK) state_->instance = nullptr;  // nothing was made that destroy() could take
  state_->must(status, "create");
}

EntryCall::~EntryCall() {
  if (!state_ || !state_->instance || !state_->kernel.entry->destroy || plugins_are_gone()) return;
  call_plugin([&] {
    state_->kernel.entry->destroy(state_->instance);
    return GRAFT_OK;
  });
}

EntryCall& EntryCall::set(std::string_view name, void* data, graft_dtype dtype, std::vector<std::int64_t> shape) {
  const std::size_t position = state_->position(name);
  Argument& argument = state_->arguments[position];
  argument.is_set = data != nullptr;
  argument.shape = std::move(shape);
  argument.strides.assign(argument.shape.size(), 1);
  for (std::size_t i = argument.shape.size(); i-- > 1;) argument.strides[i - 1] = argument.strides[i] * argument.shape[i];
  argument.tensor = {.data = data,
                     .device = {GRAFT_DEVICE_CPU, 0},
                     .ndim = static_cast<std::int32_t>(argument.shape.size()),
                     .dtype = dtype,
                     .shape = argument.shape.data(),
                     .strides = argument.strides.data(),
                     .byte_offset = 0};
  if (state_->plan.contract().arguments[position].flags & GRAFT_ARG_WEIGHT) state_->weights_are_new = true;
  return *this;
}

std::vector<std::int64_t> EntryCall::output_shape(std::string_view name) const {
  const std::size_t position = state_->position(name);
  const ContractBinding binding = state_->check(state_->values(State::Which::inputs));
  std::int64_t shape[kMaxRank];
  const int rank = state_->plan.output_shape(position, binding, shape);
  if (rank < 0)
    throw Error(ErrorCode::invalid_argument, "argument '" + std::string(name) + "'", "its shape does not follow from the inputs", "see the contract's header");
  return {shape, shape + rank};
}

void EntryCall::run() {
  State& s = *state_;
  const graft_contract& contract = s.plan.contract();
  const graft_entry& entry = *s.kernel.entry;
  std::vector<graft_value> values = s.values(State::Which::all);
  const graft_dtype dtype = s.check(values).dtype;
  if (dtype.bits != 0 && std::none_of(entry.dtypes, entry.dtypes + entry.dtype_count, [&](graft_dtype d) { return same_dtype(d, dtype); }))
    throw Error(ErrorCode::unsupported, "kernel " + s.kernel.ref.str(), "it does not serve " + dtype_name(dtype), "give it buffers of a dtype that it serves");
  for (std::uint32_t i = 0; i < contract.argument_count; ++i)
    if (contract.arguments[i].direction == GRAFT_OUT && !(contract.arguments[i].flags & (GRAFT_ARG_OPTIONAL | GRAFT_ARG_SAVED)) && !s.arguments[i].is_set)
      throw Error(ErrorCode::invalid_argument, "call of " + s.kernel.ref.str(), std::string("its output '") + contract.arguments[i].name + "' has no buffer",
                  "set() one of output_shape()");

  if (s.weights_are_new && entry.prepare) {
    const std::vector<graft_value> weights = s.values(State::Which::weights);
    s.must(call_plugin([&] { return entry.prepare(s.instance, weights.data()); }), "prepare");
  }
  s.weights_are_new = false;
  if (entry.flags & GRAFT_ENTRY_PREPACKS) values = s.values(State::Which::all_but_weights);
  if (entry.supports)
    s.must(call_plugin([&] { return entry.supports(&entry, &contract, s.attribute_values.data(), values.data()); }), "supports");

  ThreadPool& pool = ThreadPool::shared();
  std::size_t bytes = 0;
  if (entry.workspace_size)
    s.must(call_plugin([&] { return entry.workspace_size(s.instance, GRAFT_WORKSPACE_FORWARD, values.data(), static_cast<std::uint32_t>(pool.size()), &bytes); }),
           "workspace_size");
  Scratch scratch(bytes);
  const CpuCall cpu = make_cpu_call(pool, scratch.data(), bytes);
  s.must(call_plugin([&] { return entry.forward(s.instance, &cpu.call, values.data()); }), "forward");
}

const Kernel& EntryCall::kernel() const {
  return state_->kernel;
}

}  // namespace graft
