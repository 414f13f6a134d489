// The self-check: a kernel's results for small inputs, held against those of its layer's own forward.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "graft/contract.h"
#include "graft/runtime.h"

namespace graft {

/// Why the entry's results are wrong; "" if they are right, within the contract's tolerance for the dtype (an entry that
/// QUANTIZES: within graft_quantized_tolerance), or if that is not to
/// be known: a contract that is not a standard one, a dtype without a tolerance, shapes that the entry does not serve. Looked
/// at once for each library, entry, contract, device and dtype on this machine, then remembered (SelfChecks). Small seeded
/// inputs, of odd and of round sizes; the reference is the own forward in float64. Does not throw for what a kernel does wrong. Any thread.
std::string self_check(const Kernel& kernel, const graft_contract& contract, c10::Device device, at::ScalarType dtype);

}  // namespace graft
