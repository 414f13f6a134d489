// Operators: kernels in torch's dispatcher, where torch.compile, torch.export and other processes find them.
//
//   graft::RMSNorm_1(Tensor x, Tensor weight, *, float eps, str kernel_ref) -> Tensor
//
// is the operator of the contract RMSNorm/1: its inputs and weights in the contract's order, its attributes,
// and the kernel, "graft-kernels/norm@<commit>:RMSNorm" or "/path/to/repo:RMSNorm". Each standard contract
// has one as soon as this library is loaded; in Python:
//
//   torch.ops.load_library("…/libgraft.so")
//   y = torch.ops.graft.RMSNorm_1(x, weight, eps=1e-6, kernel_ref="graft-kernels/norm:RMSNorm")
//
// A graph that holds it may be saved, and run by a process that has the kernel's repo, and trusts it, as
// well. Values and dtypes are the contract's; tensors are on the CPU, or on the meta device, where no kernel
// is loaded. A path is refused unless kernelize() has bound it in this process, or GRAFT_LOCAL_OPERATORS=1 is
// set: graphs come from elsewhere. Gradients are the kernel's own, once: there are no second derivatives. It
// must have GRAFT_ENTRY_COMPILE_SAFE, and GRAFT_ENTRY_HAS_BACKWARD where a gradient is needed. A kernel is
// loaded, and asked for by the trust policy of the machine, at its first call. A call throws what cannot be
// done, since an operator has no layer to fall back on, nor to check itself against: Error unsupported,
// untrusted, plugin …, whose text names kernel and reason. Any thread.
#pragma once

#include <string>

namespace graft {

/// "graft::RMSNorm_1" for "RMSNorm/1". Defines the operator of a contract that the host has added, for good.
/// Throws Error: not_found for an unknown contract, unsupported for one that cannot be an operator (inout
/// arguments, shapes that the kernel infers). Any thread.
std::string operator_for(const std::string& contract);

}  // namespace graft
