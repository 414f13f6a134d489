// ServedKernels: the kernels behind operators' `kernel_ref` strings.
#pragma once

#include <memory>
#include <string>

#include "kernel_instance.h"
#include "operator_call.h"

namespace graft {

/// What an operator gets as `kernel_ref` to find this one again, in any process: "org/name@<commit>:Entry",
/// or "/path:Entry".
std::string operator_kernel(const Kernel& kernel);

/// Throws Error(unsupported) unless the entry says that it works as an operator; `mend`: what to do about it.
void check_operator(const Kernel& kernel, const std::string& mend);

/// Thread-safe. A kernel is loaded when an operator first names it, by Runtime::shared() and under its trust
/// policy, and then stays what it is, a local one too, until kernelize() hands in another under the same
/// string.
///
/// Instances are kept by kernel, contract, attributes and dtype. An entry that is shown its weights has one
/// for each set of them and their versions; it holds these weights, and is cleared away once nobody else does
/// or they have changed, when the next one is made.
class ServedKernels {
 public:
  static ServedKernels& shared();

  /// The instance for a call whose layer is in `dtype`; `call` has the contract's weights. Throws Error: as
  /// Runtime::load; untrusted for a path that neither kernelize() nor GRAFT_LOCAL_OPERATORS=1 lets in;
  /// unsupported if the entry does not serve contract, dtype or attributes, or does not say
  /// that it works as an operator; plugin if it fails.
  std::shared_ptr<const KernelInstance> instance(const OperatorCall& call, at::ScalarType dtype);

  /// Lets operators have a kernel that kernelize() has loaded under options of its own: who may publish it was decided
  /// there, for this one string.
  void admit(const std::shared_ptr<const Kernel>& kernel);

 private:
  ServedKernels();
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace graft
