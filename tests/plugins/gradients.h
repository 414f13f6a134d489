// Checks of an entry's backward that hold for any contract.
#pragma once

#include <optional>

#include "harness.h"

namespace graft::test {

// A call whose gradients are to be checked, in the contract's order; nothing: the argument is absent.
struct Differentiated {
  std::vector<std::optional<Array>> inputs;
  std::vector<std::optional<Array>> outputs;  // those that are saved for backward as well
  uint64_t differentiable;                    // bit i: input i has a gradient
};

// Runs forward and backward and expects that
// - in float64 each gradient is the derivative of forward, by central differences along a random direction
//   and at up to `samples` elements of each input (0: none of it, for outputs that are float32 always);
//   in other dtypes it is what the float64 entry says to the same numbers, within the contract's tolerance
// - the bits depend neither on the number of threads nor on calls that run at once
// - an input alone gets the same bits as with all the others, and what is saved changes no output
// - absent gradients of outputs count as zeros
// - nothing outside of the gradients and the workspace is written to
void check_gradients(const Kernel& kernel, const Differentiated& call, const std::string& what,
                     int samples = 12);

// The gradients of all differentiable inputs, by row-major index; empty for the others.
std::vector<std::vector<double>> gradients(const Kernel& kernel, const Differentiated& call,
                                           const std::vector<Array>& grad_outputs);

// Gradients of the outputs that are not saved: random, rows with gaps between them.
std::vector<Array> random_grad_outputs(const Kernel& kernel, const Differentiated& call, graft_dtype dtype);

// |actual - expected| <= rtol * |expected| + atol * max(1, greatest of |expected|), by the contract's
// tolerance for dtype: a gradient is a sum whose terms may cancel.
void expect_gradient(const Kernel& kernel, graft_dtype dtype, const std::vector<double>& expected,
                     const std::vector<double>& actual, const std::string& what);

}  // namespace graft::test
