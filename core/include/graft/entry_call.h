// EntryCall: a kernel's entry called on a host's plain buffers, without LibTorch.
//
//   Kernel kernel = Runtime::shared().load(KernelRef::parse("graft-kernels/norm:RMSNorm"));
//   EntryCall norm(kernel, {{"eps", 1e-5}});
//   norm.set("x", x.data(), {4, 576}).set("weight", weight.data(), {576}).set("out", out.data(), {4, 576});
//   norm.run();
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "graft/abi/tensor.h"
#include "graft/attributes.h"
#include "graft/runtime.h"

namespace graft {

/// The dtype of a buffer of T: float, double, std::int32_t, std::int64_t, std::uint8_t, bool. Others are given by name.
template <class T>
constexpr graft_dtype dtype_of();
template <>
constexpr graft_dtype dtype_of<float>() { return {GRAFT_DTYPE_FLOAT, 32, 1}; }
template <>
constexpr graft_dtype dtype_of<double>() { return {GRAFT_DTYPE_FLOAT, 64, 1}; }
template <>
constexpr graft_dtype dtype_of<std::int32_t>() { return {GRAFT_DTYPE_INT, 32, 1}; }
template <>
constexpr graft_dtype dtype_of<std::int64_t>() { return {GRAFT_DTYPE_INT, 64, 1}; }
template <>
constexpr graft_dtype dtype_of<std::uint8_t>() { return {GRAFT_DTYPE_UINT, 8, 1}; }
template <>
constexpr graft_dtype dtype_of<bool>() { return {GRAFT_DTYPE_BOOL, 8, 1}; }

/// One instance of an entry with its arguments. Row-major buffers on the CPU, which stay the host's and must live until they
/// are set anew or this goes. One thread at a time; several may each have one of the same kernel. There is no layer to fall back
/// to here: whatever the entry does not serve is an Error.
class EntryCall {
 public:
  /// By the first contract of the entry that this host knows. Throws Error: unsupported (no such contract, another device, or
  /// the entry refuses these attributes), invalid_argument (attributes that are not the contract's), plugin (create failed).
  explicit EntryCall(Kernel kernel, const Attributes& attributes = {});
  ~EntryCall();
  EntryCall(const EntryCall&) = delete;

  /// Puts a buffer in an argument's place; null: none, for one that is optional. A weight that is set, though the same, is
  /// shown to the entry again by the next run(): say so when its values have changed. Throws Error(invalid_argument) for a name
  /// that the contract does not have.
  EntryCall& set(std::string_view argument, void* data, graft_dtype dtype, std::vector<std::int64_t> shape);
  template <class T>
  EntryCall& set(std::string_view argument, T* data, std::vector<std::int64_t> shape) {
    // Inputs are const to the entry; the ABI has one tensor for both directions.
    return set(argument, const_cast<void*>(static_cast<const void*>(data)), dtype_of<std::remove_const_t<T>>(), std::move(shape));
  }

  /// What an output's shape has to be for the inputs as they are set. Throws Error(invalid_argument) if they do not say it.
  std::vector<std::int64_t> output_shape(std::string_view argument) const;

  /// Checks all arguments against the contract, shows the entry its weights if they are new, and runs forward on
  /// ThreadPool::shared(). Throws Error: invalid_argument (names the argument), unsupported (the entry does not serve these
  /// shapes), plugin (it failed: outputs are not to be used).
  void run();

  const Kernel& kernel() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft
