#include "gradients.h"

#include <algorithm>
#include <cmath>

namespace graft::test {
namespace {

using Arrays = std::vector<std::optional<Array>>;

std::vector<graft_value> values(const Arrays& arrays) {
  std::vector<graft_value> all;
  for (const auto& array : arrays) all.push_back(array ? array->value() : none());
  return all;
}

std::vector<double> numbers(const Array& array) {
  std::vector<double> all;
  for (int64_t i = 0; i < array.numel(); ++i) all.push_back(array.get(i));
  return all;
}

bool is_saved(const Kernel& kernel, size_t inputs, size_t output) {
  return (kernel.contract().arguments[inputs + output].flags & GRAFT_ARG_SAVED) != 0;
}

Array with_gaps(graft_dtype dtype, const std::vector<int64_t>& shape) {
  return shape.empty() ? Array(dtype, shape) : Array::with_gaps(dtype, shape, 3);
}

struct Results {
  Arrays outputs, gradients;
};

Results run(const Kernel& kernel, const Differentiated& call, const Arrays& grad_outputs, uint64_t needs,
            uint32_t threads) {
  Results results{call.outputs, {}};
  std::vector<graft_value> arguments = values(call.inputs);
  for (const graft_value& output : values(results.outputs)) arguments.push_back(output);
  EXPECT_EQ(kernel.run(arguments, threads), GRAFT_OK) << last_error();
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    results.gradients.emplace_back();
    if ((needs >> i & 1) != 0)
      results.gradients.back() = with_gaps(call.inputs[i]->dtype(), call.inputs[i]->shape()).fill(NAN);
  }
  EXPECT_EQ(kernel.run_backward(arguments, values(grad_outputs), needs, values(results.gradients), threads),
            GRAFT_OK)
      << last_error();
  for (const auto& gradient : results.gradients) EXPECT_TRUE(!gradient || gradient->untouched());
  for (const auto& output : results.outputs) EXPECT_TRUE(!output || output->untouched());
  return results;
}

// The same call with other numbers in the place of all floating-point ones, in float64.
Differentiated in_double(const Kernel& kernel, const Differentiated& call) {
  Differentiated made = call;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.inputs[i] || std::string(kernel.contract().arguments[i].dtype) != "T") continue;
    made.inputs[i].emplace(kFloat64, call.inputs[i]->shape());
    for (int64_t at = 0; at < call.inputs[i]->numel(); ++at) made.inputs[i]->set(at, call.inputs[i]->get(at));
  }
  for (size_t i = 0; i < call.outputs.size(); ++i)
    if (call.outputs[i] && std::string(kernel.contract().arguments[call.inputs.size() + i].dtype) == "T")
      made.outputs[i].emplace(kFloat64, call.outputs[i]->shape());
  return made;
}

// The weighted sum of all outputs, whose gradient backward gives.
double objective(const Kernel& kernel, const Differentiated& call, const std::vector<Array>& weights) {
  Arrays outputs = call.outputs;
  std::vector<graft_value> arguments = values(call.inputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (is_saved(kernel, call.inputs.size(), i)) outputs[i].reset();
    arguments.push_back(outputs[i] ? outputs[i]->value() : none());
  }
  EXPECT_EQ(kernel.run(arguments), GRAFT_OK) << last_error();
  double sum = 0;
  size_t next = 0;
  for (const auto& output : outputs) {
    if (!output) continue;
    const Array& weight = weights[next++];
    for (int64_t i = 0; i < output->numel(); ++i) sum += output->get(i) * weight.get(i);
  }
  return sum;
}

void expect_derivatives(const Kernel& kernel, const Differentiated& call,
                        const std::vector<Array>& grad_outputs, const Arrays& gradients, int samples,
                        const std::string& what) {
  if (samples == 0) return;
  std::mt19937 random(3);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!gradients[i] || gradients[i]->numel() == 0) continue;
    // All elements at once, along a random direction: a part that is missing anywhere shows.
    const Array direction = Array(kFloat64, call.inputs[i]->shape()).random(uint32_t(200 + i));
    const auto along = [&](double step) {
      Differentiated moved = call;
      for (int64_t at = 0; at < direction.numel(); ++at)
        moved.inputs[i]->set(at, call.inputs[i]->get(at) + step * direction.get(at));
      return objective(kernel, moved, grad_outputs);
    };
    double expected = 0, squares = 1;
    for (int64_t at = 0; at < direction.numel(); ++at) {
      expected += gradients[i]->get(at) * direction.get(at);
      squares += gradients[i]->get(at) * gradients[i]->get(at);
    }
    EXPECT_NEAR(expected, (along(1e-5) - along(-1e-5)) / 2e-5, 2e-7 * std::sqrt(squares))
        << what << ": gradient of " << kernel.contract().arguments[i].name << " along a direction";
    double greatest = 1;
    for (double x : numbers(*gradients[i])) greatest = std::max(greatest, std::abs(x));
    for (int sample = 0; sample < std::min<int64_t>(samples, gradients[i]->numel()); ++sample) {
      const int64_t at =
          gradients[i]->numel() <= samples ? sample : int64_t(random() % uint64_t(gradients[i]->numel()));
      Differentiated moved = call;
      const double before = call.inputs[i]->get(at), step = 1e-5;
      moved.inputs[i]->set(at, before + step);
      const double above = objective(kernel, moved, grad_outputs);
      moved.inputs[i]->set(at, before - step);
      const double below = objective(kernel, moved, grad_outputs);
      EXPECT_NEAR(gradients[i]->get(at), (above - below) / (2 * step), 2e-7 * greatest)
          << what << ": gradient of " << kernel.contract().arguments[i].name << ", element " << at;
    }
  }
}

}  // namespace

std::vector<Array> random_grad_outputs(const Kernel& kernel, const Differentiated& call, graft_dtype dtype) {
  std::vector<Array> all;
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (is_saved(kernel, call.inputs.size(), i)) continue;
    const graft_argument& argument = kernel.contract().arguments[call.inputs.size() + i];
    all.push_back(with_gaps(std::string(argument.dtype) == "T" ? dtype : kFloat32, call.outputs[i]->shape())
                      .random(uint32_t(100 + i)));
  }
  return all;
}

std::vector<std::vector<double>> gradients(const Kernel& kernel, const Differentiated& call,
                                           const std::vector<Array>& grad_outputs) {
  std::vector<std::vector<double>> all;
  const Results results =
      run(kernel, call, Arrays(grad_outputs.begin(), grad_outputs.end()), call.differentiable, 1);
  for (const auto& gradient : results.gradients)
    all.push_back(gradient ? numbers(*gradient) : std::vector<double>());
  return all;
}

void expect_gradient(const Kernel& kernel, graft_dtype dtype, const std::vector<double>& expected,
                     const std::vector<double>& actual, const std::string& what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  const graft_contract& contract = kernel.contract();
  const auto* tolerance = std::find_if(contract.tolerances, contract.tolerances + contract.tolerance_count,
                                       [&](const graft_tolerance& t) { return same(t.dtype, dtype); });
  double greatest = 1;
  for (double e : expected)
    if (std::isfinite(e)) greatest = std::max(greatest, std::abs(e));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], a = actual[i];
    if (std::isnan(e)
            ? std::isnan(a)
            : e == a || std::abs(a - e) <= tolerance->rtol * std::abs(e) + tolerance->atol * greatest)
      continue;
    FAIL() << what << ": element " << i << " is " << a << ", expected " << e;
  }
}

void check_gradients(const Kernel& kernel, const Differentiated& call, const std::string& what, int samples) {
  graft_dtype dtype = kFloat32;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if ((call.differentiable >> i & 1) != 0) dtype = call.inputs[i]->dtype();
  const std::vector<Array> grad_outputs = random_grad_outputs(kernel, call, dtype);
  const Arrays incoming(grad_outputs.begin(), grad_outputs.end());
  const Results results = run(kernel, call, incoming, call.differentiable, 1);

  if (same(dtype, kFloat64)) {
    expect_derivatives(kernel, call, grad_outputs, results.gradients, samples, what);
  } else {
    const Differentiated wide = in_double(kernel, call);
    std::vector<Array> wide_grad_outputs = random_grad_outputs(kernel, wide, kFloat64);
    for (size_t i = 0; i < grad_outputs.size(); ++i)
      for (int64_t at = 0; at < grad_outputs[i].numel(); ++at)
        wide_grad_outputs[i].set(at, grad_outputs[i].get(at));
    const auto expected = gradients(kernel, wide, wide_grad_outputs);
    for (size_t i = 0; i < expected.size(); ++i)
      if (results.gradients[i])
        expect_gradient(kernel, dtype, expected[i], numbers(*results.gradients[i]),
                        what + ": gradient of " + kernel.contract().arguments[i].name);
  }

  for (uint32_t threads : {2, 3, 16}) {
    const Results again = run(kernel, call, incoming, call.differentiable, threads);
    for (size_t i = 0; i < call.inputs.size(); ++i)
      EXPECT_TRUE(!again.gradients[i] || again.gradients[i]->bits() == results.gradients[i]->bits())
          << what << ": gradient " << i << " with " << threads << " threads";
  }
  std::vector<Differentiated> copies(2, call);
  std::vector<Arrays> incoming_copies(2, incoming);
  std::vector<Results> at_once(2);
  run_at_once(2, [&](int i) {
    at_once[size_t(i)] = run(kernel, copies[size_t(i)], incoming_copies[size_t(i)], call.differentiable, 2);
  });
  for (const Results& each : at_once)
    for (size_t i = 0; i < call.inputs.size(); ++i)
      EXPECT_TRUE(!each.gradients[i] || each.gradients[i]->bits() == results.gradients[i]->bits())
          << what << ": gradient " << i << " of two calls at once";
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!results.gradients[i]) continue;
    const Results alone = run(kernel, call, incoming, uint64_t{1} << i, 1);
    EXPECT_TRUE(alone.gradients[i]->bits() == results.gradients[i]->bits())
        << what << ": gradient " << i << " alone";
  }

  Differentiated without_saved = call;
  for (size_t i = 0; i < call.outputs.size(); ++i)
    if (is_saved(kernel, call.inputs.size(), i)) without_saved.outputs[i].reset();
  const Results recomputed = run(kernel, without_saved, incoming, call.differentiable, 2);
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (results.gradients[i])
      expect_gradient(kernel, dtype, numbers(*results.gradients[i]), numbers(*recomputed.gradients[i]),
                      what + ": nothing saved, gradient " + std::to_string(i));
  for (size_t i = 0; i < call.outputs.size(); ++i)
    EXPECT_TRUE(!recomputed.outputs[i] || recomputed.outputs[i]->bits() == results.outputs[i]->bits());

  for (size_t absent = 0; absent < incoming.size(); ++absent) {
    Arrays zeros = incoming, gone = incoming;
    zeros[absent]->fill(0), gone[absent].reset();
    const Results with_zeros = run(kernel, call, zeros, call.differentiable, 1);
    const Results with_none = run(kernel, call, gone, call.differentiable, 1);
    for (size_t i = 0; i < call.inputs.size(); ++i)
      if (results.gradients[i])
        expect_gradient(kernel, dtype, numbers(*with_zeros.gradients[i]), numbers(*with_none.gradients[i]),
                        what + ": no gradient of output " + std::to_string(absent));
  }
}

}  // namespace graft::test
