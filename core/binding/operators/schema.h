// The operators of a contract, as torch's dispatcher knows them. RMSNorm/1 has
//   graft::RMSNorm_1(Tensor x, Tensor weight, *, float eps, str kernel_ref) -> Tensor
//       what users call, and what a trace for inference holds
//   graft::RMSNorm_1_forward(Tensor x, Tensor weight, *, float eps, str kernel_ref) -> (Tensor, Tensor)
//       its outputs and then those that the contract saves for backward
//   graft::RMSNorm_1_backward(Tensor? grad_out, Tensor x, Tensor weight, Tensor rstd, bool[2] output_mask,
//                             *, float eps, str kernel_ref) -> (Tensor, Tensor)
//       gradients of the inputs, undefined where the mask is false
#pragma once

#include <string>

#include "graft/abi/contract.h"

namespace graft {

enum class OperatorKind { call, forward, backward };

/// What backward takes of an argument. A weight is there anyhow; another input that the contract does not
/// keep is gone by then, and its gradient needs no more than its sizes.
enum class BackwardTakes { nothing, tensor, sizes };
BackwardTakes backward_takes(const graft_argument& argument);

/// Whether the contract can be one: results are outputs of shapes that follow from the inputs, and nothing is
/// named like what operators have themselves.
bool can_be_operator(const graft_contract& contract);

/// "graft::RMSNorm_1_forward"
std::string operator_name(const graft_contract& contract, OperatorKind kind);

/// The text that torch::Library::def takes.
std::string operator_schema(const graft_contract& contract, OperatorKind kind);

}  // namespace graft
