// entry<K>(name, contract): the graft_entry of a kernel class K.
//
// K has
//   K(const Attributes&)                                        constructor: one K per layer that it is bound onto
//   void forward(const Call&, Tensor…) const                    reentrant; allocates nothing
// and may have
//   void prepare(Arguments)                                     weights, see abi/entry.h; host.hpp has threads for it
//   size_t workspace_size(Arguments, uint32_t threads) const    bytes for forward
//   static bool supports(const Attributes&, Arguments)          shapes and strides alone, no data
//   void backward(const Call&, Arguments, Arguments grad_outputs, uint64_t needs, Arguments grad_inputs) const
//   size_t backward_workspace_size(Arguments, uint32_t threads) const
//
// Errors are thrown, see error.hpp.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../abi/entry.h"
#include "call.hpp"
#include "error.hpp"
#include "values.hpp"

namespace graft::plugin {

// An entry under construction; every setter returns *this. Copied into the plugin's EntryTable.
class Entry {
 public:
  Entry(std::string name, std::string contract) : name_(std::move(name)) {
    contracts_.push_back(std::move(contract));
    c_.struct_size = sizeof(graft_entry);
    c_.device_type = GRAFT_DEVICE_CPU;
    dtypes_ = {float32};
  }
  // A further contract that it fulfils.
  Entry& also(std::string contract) { return contracts_.push_back(std::move(contract)), *this; }
  // What "T" may be; float32 alone if not called.
  Entry& dtypes(std::initializer_list<graft_dtype> list) { return dtypes_ = list, *this; }
  // CPU features as /proc/cpuinfo names them: "avx2 fma".
  Entry& cpu_features(std::string list) { return features_ = std::move(list), *this; }
  Entry& device(int32_t type) { return c_.device_type = type, *this; }
  // Compute capability as major * 10 + minor, both ends included.
  Entry& capability(int32_t min, int32_t max) {
    return c_.capability_min = min, c_.capability_max = max, *this;
  }
  // GRAFT_ENTRY_…; HAS_BACKWARD is added by itself if the class has backward.
  Entry& flags(uint32_t flags) { return c_.flags |= flags, *this; }

  graft_entry& functions() { return c_; }

  // The C struct. Pointers lead into *this, which must not move afterwards.
  const graft_entry* seal() {
    for (const std::string& contract : contracts_) contract_names_.push_back(contract.c_str());
    c_.name = name_.c_str();
    c_.contracts = contract_names_.data();
    c_.contract_count = uint32_t(contract_names_.size());
    c_.dtypes = dtypes_.data();
    c_.dtype_count = uint32_t(dtypes_.size());
    c_.cpu_features = features_.empty() ? nullptr : features_.c_str();
    return &c_;
  }

 private:
  graft_entry c_{};
  std::string name_, features_;
  std::vector<std::string> contracts_;
  std::vector<const char*> contract_names_;
  std::vector<graft_dtype> dtypes_;
};

// What GRAFT_PLUGIN keeps: entries at fixed addresses.
class EntryTable {
 public:
  EntryTable(std::initializer_list<Entry> entries) : entries_(entries) {
    for (Entry& entry : entries_) sealed_.push_back(entry.seal());
  }
  EntryTable(const EntryTable&) = delete;
  uint32_t size() const { return uint32_t(sealed_.size()); }
  const graft_entry* at(uint32_t index) const { return index < sealed_.size() ? sealed_[index] : nullptr; }

 private:
  std::deque<Entry> entries_;
  std::vector<const graft_entry*> sealed_;
};

namespace detail {

template <class K, class = void>
struct HasPrepare : std::false_type {};
template <class K>
struct HasPrepare<K, std::void_t<decltype(&K::prepare)>> : std::true_type {};
template <class K, class = void>
struct HasWorkspace : std::false_type {};
template <class K>
struct HasWorkspace<K, std::void_t<decltype(&K::workspace_size)>> : std::true_type {};
template <class K, class = void>
struct HasBackwardWorkspace : std::false_type {};
template <class K>
struct HasBackwardWorkspace<K, std::void_t<decltype(&K::backward_workspace_size)>> : std::true_type {};
template <class K, class = void>
struct HasSupports : std::false_type {};
template <class K>
struct HasSupports<K, std::void_t<decltype(&K::supports)>> : std::true_type {};
template <class K, class = void>
struct HasBackward : std::false_type {};
template <class K>
struct HasBackward<K, std::void_t<decltype(&K::backward)>> : std::true_type {};

template <class T>
struct Convert;
template <>
struct Convert<Tensor> {
  static Tensor from(const graft_value& v) {
    if (v.tag != GRAFT_TENSOR) throw std::invalid_argument("a tensor that the contract demands is absent");
    return Tensor(v.as.tensor);
  }
};
template <>
struct Convert<std::optional<Tensor>> {
  static std::optional<Tensor> from(const graft_value& v) {
    return v.tag == GRAFT_TENSOR ? std::optional<Tensor>(Tensor(v.as.tensor)) : std::nullopt;
  }
};

template <class K, class... A, size_t... I>
void call_forward(const K& kernel, void (K::*forward)(const Call&, A...) const, const graft_call* call,
                  const graft_value* values, std::index_sequence<I...>) {
  (kernel.*forward)(Call(call), Convert<std::decay_t<A>>::from(values[I])...);
}
template <class K, class... A>
void call_forward(const K& kernel, void (K::*forward)(const Call&, A...) const, const graft_call* call,
                  const graft_value* values) {
  call_forward(kernel, forward, call, values, std::index_sequence_for<A...>{});
}

template <class K>
const K& kernel_of(const graft_instance* instance) {
  return *reinterpret_cast<const K*>(instance);
}

// A function of its own: a lambda is constexpr by itself, and nvcc with --expt-relaxed-constexpr would then look for
// K::forward on the device.
template <class K>
void call_forward(const graft_instance* instance, const graft_call* call, const graft_value* values) {
  call_forward(kernel_of<K>(instance), &K::forward, call, values);
}

}  // namespace detail

template <class K>
Entry entry(std::string name, std::string contract) {
  Entry made(std::move(name), std::move(contract));
  graft_entry& c = made.functions();
  c.create = [](const graft_entry*, const graft_contract* contract, graft_device, const graft_value* attributes,
                graft_instance** instance) -> graft_status {
    return guarded([&] { *instance = reinterpret_cast<graft_instance*>(new K(Attributes(contract, attributes))); });
  };
  c.destroy = [](graft_instance* instance) { delete reinterpret_cast<K*>(instance); };
  c.forward = [](const graft_instance* instance, const graft_call* call, const graft_value* arguments) {
    return guarded([&] { detail::call_forward<K>(instance, call, arguments); });
  };
  if constexpr (detail::HasPrepare<K>::value) {
    c.prepare = [](graft_instance* instance, const graft_value* arguments) {
      return guarded([&] { reinterpret_cast<K*>(instance)->prepare(Arguments(arguments)); });
    };
  }
  if constexpr (detail::HasSupports<K>::value) {
    c.supports = [](const graft_entry*, const graft_contract* contract, const graft_value* attributes,
                    const graft_value* arguments) {
      return guarded([&] {
        if (!K::supports(Attributes(contract, attributes), Arguments(arguments)))
          throw Unsupported("shapes, strides or attributes not served");
      });
    };
  }
  if constexpr (detail::HasWorkspace<K>::value || detail::HasBackwardWorkspace<K>::value) {
    c.workspace_size = [](const graft_instance* instance, uint32_t pass, const graft_value* arguments,
                          uint32_t threads, size_t* bytes) {
      return guarded([&] {
        *bytes = 0;
        if constexpr (detail::HasWorkspace<K>::value) {
          if (pass == GRAFT_WORKSPACE_FORWARD)
            *bytes = detail::kernel_of<K>(instance).workspace_size(Arguments(arguments), threads);
        }
        if constexpr (detail::HasBackwardWorkspace<K>::value) {
          if (pass == GRAFT_WORKSPACE_BACKWARD)
            *bytes = detail::kernel_of<K>(instance).backward_workspace_size(Arguments(arguments), threads);
        }
      });
    };
  }
  if constexpr (detail::HasBackward<K>::value) {
    c.flags |= GRAFT_ENTRY_HAS_BACKWARD;
    c.backward = [](const graft_instance* instance, const graft_call* call, const graft_value* arguments,
                    const graft_value* grad_outputs, uint64_t needs, const graft_value* grad_inputs) {
      return guarded([&] {
        detail::kernel_of<K>(instance).backward(Call(call), Arguments(arguments), Arguments(grad_outputs), needs,
                                                Arguments(grad_inputs));
      });
    };
  }
  return made;
}

}  // namespace graft::plugin
