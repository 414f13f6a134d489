// Kernels as operators of torch's dispatcher: schemas, values, gradients, tensors without data, and what they
// refuse.
#include "graft/operators.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "gradcheck.h"
#include "graft/contract.h"
#include "graft/error.h"
#include "operator_calls.h"

namespace graft {
namespace {

using c10::IValue;
using test::AddNormLayer;
using test::call;
using test::close;
using test::fixture;
using test::local;
using test::NormLayer;
using test::own_norm;
using test::refusal;
using test::rms_norm;
using test::says;
using test::trained;
using torch::autograd::grad;

std::string schema_of(const std::string& name) {
  std::ostringstream out;
  out << c10::Dispatcher::singleton().findSchemaOrThrow(("graft::" + name).c_str(), "").schema();
  return out.str();
}

TEST(Operators, HaveTheirContractsInputsAttributesAndOutputs) {
  EXPECT_EQ(schema_of("RMSNorm_1"),
            "graft::RMSNorm_1(Tensor x, Tensor weight, *, float eps, str kernel_ref) -> Tensor");
  EXPECT_EQ(
      schema_of("RMSNorm_1_forward"),
      "graft::RMSNorm_1_forward(Tensor x, Tensor weight, *, float eps, str kernel_ref) -> (Tensor, Tensor)");
  EXPECT_EQ(schema_of("attention_1"),
            "graft::attention_1(Tensor q, Tensor k, Tensor v, Tensor? mask=None, *, float scale, bool "
            "causal=True, int "
            "sliding_window=0, float softcap=0., str kernel_ref) -> Tensor");
  EXPECT_EQ(schema_of("GELU_1"),
            "graft::GELU_1(Tensor x, *, str approximate=\"none\", str kernel_ref) -> Tensor");
  EXPECT_EQ(schema_of("RMSNormMLP_1"),
            "graft::RMSNormMLP_1(Tensor x, Tensor m0_weight, Tensor m1_gate, Tensor m1_up, Tensor m1_down, *, float m0_eps, "
            "str kernel_ref) -> Tensor");
  EXPECT_EQ(
      schema_of("rotary_pos_emb_1_backward"),
      "graft::rotary_pos_emb_1_backward(Tensor? grad_q_out, Tensor? grad_k_out, SymInt[] q_sizes, SymInt[] "
      "k_sizes, "
      "Tensor cos, Tensor sin, bool[4] output_mask, *, str kernel_ref) -> (Tensor, Tensor, Tensor, Tensor)");
}

TEST(Operators, EveryStandardContractHasOne) {
  for (const char* contract :
       {"RMSNorm/1", "AddRMSNorm/1", "Linear/1", "SwiGLUMLP/1", "GeGLUMLP/1", "SiLU/1", "SiluAndMul/1",
        "GELU/1", "GeluAndMul/1", "rotary_pos_emb/1", "attention/1", "varlen_attention/1", "paged_attention/1",
        "ForCausalLMLoss/1", "RMSNormMLP/1"}) {
    EXPECT_NO_THROW(schema_of(operator_for(contract).substr(7))) << contract;
  }
}

TEST(Operators, GiveWhatTheLayerGives) {
  const at::Tensor x = at::randn({3, 2, 8}), weight = at::randn({8});
  EXPECT_TRUE(close(rms_norm(x, weight, local("training_norms")), own_norm(x, weight)));
  const at::Tensor turned = at::randn({8, 5}).t();  // rows that the contract does not allow
  EXPECT_TRUE(close(rms_norm(turned, weight, local("training_norms")), own_norm(turned, weight)));
  EXPECT_TRUE(close(rms_norm(x, weight, local("operator_doubles", "TestRMSNorm")), own_norm(x, weight) * 2));
}

class OperatorBackward : public ::testing::TestWithParam<const char*> {};

TEST_P(OperatorBackward, HoldsAgainstDifferencesInDouble) {
  const at::Tensor weight = trained({8}, at::kDouble);
  EXPECT_EQ(
      test::gradcheck([&](const auto& in) { return std::vector{rms_norm(in[0], in[1], local(GetParam()))}; },
                      {trained({3, 8}, at::kDouble), weight}),
      "");
}

INSTANTIATE_TEST_SUITE_P(Kinds, OperatorBackward,
                         ::testing::Values("training_norms", "training_without_saved", "training_prepacks"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Operators, TwoOutputsAndInputsThatAreNotKeptHaveGradients) {
  const std::string kernel = local("training_norms", "AddRMSNorm");
  const auto both = [&](const auto& in) { return call("AddRMSNorm_1", {in[0], in[1], in[2], 1e-6, kernel}); };
  const std::vector<at::Tensor> inputs{trained({3, 8}, at::kDouble), trained({3, 8}, at::kDouble),
                                       trained({8}, at::kDouble)};
  EXPECT_EQ(test::gradcheck(both, inputs), "");
  // One output's gradient, and one input's, alone: the others are absent.
  const at::Tensor residual = trained({3, 8}, at::kDouble);
  EXPECT_TRUE(
      grad({both(std::vector{inputs[0].detach(), residual, inputs[2].detach()})[1].sum()}, {residual})[0]
          .equal(at::ones({3, 8}, at::kDouble)));
}

TEST(Operators, SaveNothingWhereNoGradientIsNeeded) {
  const test::TrainedNorm layer("training_norms");
  const auto& record = test::record_of("training_norms");
  const int64_t before = record.forwards_with_saved;
  const at::Tensor x = at::randn({2, 8});
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(rms_norm(x, layer.weight, local("training_norms")).requires_grad());
  }
  EXPECT_EQ(record.forwards_with_saved, before);
  EXPECT_TRUE(rms_norm(x, layer.weight, local("training_norms")).requires_grad());
  EXPECT_EQ(record.forwards_with_saved, before + 1);
}

TEST(Operators, RefuseSecondDerivatives) {
  const at::Tensor x = trained({2, 8}), weight = at::ones({8});
  const at::Tensor first =
      grad({rms_norm(x, weight, local("training_norms")).sum()}, {x}, {}, true, /*create_graph=*/true)[0];
  EXPECT_TRUE(
      says(refusal([&] { grad({first.sum()}, {x}); }), "graft::RMSNorm_1_backward is not implemented"));
}

TEST(Operators, ARepackedWeightIsSeen) {
  const at::NoGradGuard no_grad;
  const std::string kernel = local("training_prepacks");
  const auto& record = test::record_of("training_prepacks");
  const at::Tensor x = at::randn({2, 8});
  at::Tensor weight = at::randn({8});
  EXPECT_TRUE(close(rms_norm(x, weight, kernel), own_norm(x, weight)));
  const int64_t instances = record.instances;
  EXPECT_TRUE(close(rms_norm(x, weight, kernel), own_norm(x, weight)));
  EXPECT_EQ(record.instances, instances);  // the same
  for (int step = 0; step < 3; ++step) {
    weight.add_(1);
    EXPECT_TRUE(close(rms_norm(x, weight, kernel), own_norm(x, weight)));
  }
  EXPECT_EQ(record.instances, instances);  // those of older versions are gone
  weight = at::randn({8});
  EXPECT_TRUE(close(rms_norm(x, weight, kernel), own_norm(x, weight)));
  EXPECT_EQ(record.instances, instances);  // that of a weight that nobody has any more is gone
}

TEST(Operators, MayBeCalledByManyThreadsAtOnce) {
  const at::Tensor x = at::randn({2, 8});
  std::vector<at::Tensor> weights;
  for (int i = 0; i < 4; ++i) weights.push_back(at::randn({8}));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const at::NoGradGuard no_grad;
      for (int n = 0; n < 50; ++n) {
        const at::Tensor& weight = weights[size_t(i + n) % weights.size()];
        wrong += !close(rms_norm(x, weight, local("training_prepacks")), own_norm(x, weight));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Operators, WorkOnTensorsWithoutDataAndWithoutAKernel) {
  const auto meta = at::TensorOptions(at::kMeta);
  const at::Tensor out =
      call("RMSNorm_1", {at::empty({4, 3, 8}, meta), at::empty({8}, meta), 1e-6, "no/such:Kernel"})[0];
  EXPECT_TRUE(out.is_meta());
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{4, 3, 8}));
  const auto both =
      call("RMSNorm_1_forward", {at::empty({4, 3, 8}, meta.dtype(at::kBFloat16)),
                                 at::empty({8}, meta.dtype(at::kBFloat16)), 1e-6, "no/such:Kernel"});
  EXPECT_EQ(both[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(both[1].sizes(), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(both[1].scalar_type(), at::kFloat);
  EXPECT_EQ(call("GeluAndMul_1", {at::empty({5, 6}, meta), "tanh", "no/such:Kernel"})[0].sizes(),
            (std::vector<int64_t>{5, 3}));
  const auto attention = [&](at::IntArrayRef mask) {
    return call("attention_1",
                {at::empty({2, 4, 3, 8}, meta), at::empty({2, 2, 5, 8}, meta), at::empty({2, 2, 5, 6}, meta),
                 mask.empty() ? IValue() : IValue(at::empty(mask, meta.dtype(at::kBool))), 0.5, true, 0, 0.0,
                 "no/such:Kernel"})[0];
  };
  EXPECT_EQ(attention({}).sizes(), (std::vector<int64_t>{2, 3, 4, 6}));
  EXPECT_EQ(attention({1, 1, 3, 5}).sizes(), (std::vector<int64_t>{2, 3, 4, 6}));
}

TEST(Operators, TensorsWithoutDataThatBreakTheContractAreRefused) {
  const auto meta = at::TensorOptions(at::kMeta);
  const auto norm = [&](at::Tensor x, at::Tensor weight) {
    return refusal([&] { call("RMSNorm_1", {x, weight, 1e-6, "no/such:Kernel"}); });
  };
  EXPECT_TRUE(
      says(norm(at::empty({4, 8}, meta), at::empty({7}, meta)), "weight has shape [7]; it must be [H]"));
  EXPECT_TRUE(says(norm(at::empty({4, 8}, meta), at::empty({8, 1}, meta)),
                   "weight has shape [8, 1]; it must be [H]"));
  EXPECT_TRUE(says(norm(at::empty({}, meta), at::empty({8}, meta)), "x has shape []; it must be [... H]"));
  EXPECT_TRUE(says(norm(at::empty({4, 8}, meta), at::empty({8}, meta.dtype(at::kDouble))),
                   "weight is float64; it must be float32"));
  EXPECT_TRUE(says(refusal([&] {
                     call("SiluAndMul_1", {at::empty({4, 7}, meta), "no/such:Kernel"});
                   }),
                   "x has shape [4, 7]; it must be [... 2*I]"));
}

TEST(Operators, GradientsWithoutDataHaveTheirInputsShapes) {
  const auto meta = at::TensorOptions(at::kMeta).dtype(at::kFloat);
  c10::List<bool> mask;
  for (bool needed : {true, false, true, false}) mask.push_back(needed);
  const auto gradients = call("rotary_pos_emb_1_backward",
                              {at::empty({2, 4, 3, 6}, meta), IValue(), std::vector<int64_t>{2, 4, 3, 6},
                               std::vector<int64_t>{2, 2, 3, 6}, at::empty({1, 3, 6}, meta),
                               at::empty({1, 3, 6}, meta), mask, "no/such:Kernel"});
  EXPECT_EQ(gradients[0].sizes(), (std::vector<int64_t>{2, 4, 3, 6}));
  EXPECT_FALSE(gradients[1].defined());
  EXPECT_EQ(gradients[2].sizes(), (std::vector<int64_t>{1, 3, 6}));
  EXPECT_FALSE(gradients[3].defined());
}

TEST(Operators, BackwardRefusesGradientsThatAreNotItsOutputs) {
  const at::Tensor x = at::randn({2, 8}), weight = at::randn({8});
  c10::List<bool> mask;
  mask.push_back(true), mask.push_back(true);
  const auto backward = [&](at::Tensor gradient) {
    return refusal([&] {
      call("RMSNorm_1_backward", {gradient, x, weight, at::ones({2}), mask, 1e-6, local("training_norms")});
    });
  };
  EXPECT_EQ(backward(at::ones({2, 8})), "");
  EXPECT_TRUE(says(backward(at::ones({2, 4})), "the gradient of out has another shape"));
  EXPECT_TRUE(says(backward(at::ones({2, 8}, at::kDouble)), "the gradient of out has another shape, dtype"));
}

TEST(Operators, RefuseWhatTheirKernelCannotDoAndSayWhich) {
  const at::Tensor x = at::randn({2, 8}), weight = at::randn({8});
  const auto norm = [&](const std::string& kernel) { return refusal([&] { rms_norm(x, weight, kernel); }); };
  EXPECT_TRUE(says(norm("no-colon-no-slash"), "no-colon-no-slash"));
  EXPECT_TRUE(says(norm(local("training_norms", "NoSuchEntry")), "the plugin has no such entry"));
  EXPECT_TRUE(says(norm(local("training_norms", "AddRMSNorm")), "its contract is AddRMSNorm/1"));
  EXPECT_TRUE(says(norm(local("good", "TestRMSNorm")), "GRAFT_ENTRY_COMPILE_SAFE"));
  const std::string unsupported = norm(local("operator_unsupported", "TestRMSNorm"));
  EXPECT_TRUE(says(unsupported, "unsupported") && says(unsupported, "operator_unsupported.so:TestRMSNorm") &&
              says(unsupported, "none to fall back on"))
      << unsupported;
  EXPECT_TRUE(says(norm(local("operator_fails", "TestRMSNorm")), "forward returned"));
  const at::Tensor half = at::randn({2, 8}).to(at::kHalf);
  EXPECT_TRUE(says(refusal([&] { rms_norm(half, weight.to(at::kHalf), local("training_norms")); }),
                   "the layer is in float16"));
  EXPECT_TRUE(
      says(refusal([&] { rms_norm(x, at::randn({7}), local("training_norms")); }), "weight has shape [7]"));
}

TEST(Operators, APathThatNobodyHereHasAskedForIsRefused) {
  const test::TempFolder folder;
  const std::string copy = (folder.path() / "norm.so").string(), kernel = copy + ":RMSNorm";
  std::filesystem::copy_file(fixture("training_norms"), copy);
  const at::Tensor x = at::randn({2, 8}), weight = at::randn({8});
  const test::ScopedEnv unset("GRAFT_LOCAL_OPERATORS", nullptr);
  const std::string why = refusal([&] { rms_norm(x, weight, kernel); });
  EXPECT_TRUE(says(why, "untrusted") && says(why, "GRAFT_LOCAL_OPERATORS")) << why;
  NormLayer layer;
  const auto report =
      kernelize(layer, {.mode = Mode::Inference | Mode::TorchCompile,
                        .kernel_config = KernelConfig({{"RMSNorm", kernel}}, {.use_local_kernel = true})});
  ASSERT_EQ(report.layers[0].state, LayerState::bound) << report.layers[0].reason;
  EXPECT_TRUE(close(rms_norm(x, weight, kernel), own_norm(x, weight)));
}

TEST(Operators, AKernelWithoutBackwardIsRefusedWhereAGradientIsNeeded) {
  const at::Tensor x = trained({2, 8}), weight = at::randn({8});
  const std::string kernel = local("operator_forward", "TestRMSNorm");
  EXPECT_TRUE(says(refusal([&] { rms_norm(x, weight, kernel); }),
                   "it has no backward, and an input needs a gradient"));
  EXPECT_TRUE(close(rms_norm(x.detach(), weight, kernel), own_norm(x, weight)));
}

TEST(Operators, DeterministicAlgorithmsAreKept) {
  const at::Tensor x = at::randn({2, 8}), weight = at::randn({8});
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  const std::string why = refusal([&] { rms_norm(x, weight, local("operator_forward", "TestRMSNorm")); });
  at::globalContext().setDeterministicAlgorithms(false, false);
  EXPECT_TRUE(says(why, "does not have a deterministic implementation")) << why;
}

const graft_argument kHostsArguments[] = {{"x", GRAFT_IN, GRAFT_ARG_KEPT, "T", "B T D"},
                                          {"scale", GRAFT_IN, GRAFT_ARG_KEPT, "T", "?B T D"},
                                          {"out", GRAFT_OUT, 0, "T", "B T D"}};
const graft_contract kHosts = {
    sizeof(graft_contract), 1, "OperatorsTest/1", kHostsArguments, 3, 0, nullptr, nullptr, 0};
const graft_argument kInPlaceArguments[] = {{"x", GRAFT_INOUT, GRAFT_ARG_KEPT, "T", "..."}};
const graft_contract kInPlace = {
    sizeof(graft_contract), 1, "OperatorsTest/2", kInPlaceArguments, 1, 0, nullptr, nullptr, 0};

TEST(Operators, AHostsOwnContractGetsOneWhenItIsAskedFor) {
  EXPECT_TRUE(says(refusal([] { operator_for("OperatorsTest/1"); }),
                   "neither a standard contract nor a registered one"));
  ContractRegistry::shared().add(kHosts);
  EXPECT_EQ(operator_for("OperatorsTest/1"), "graft::OperatorsTest_1");
  EXPECT_EQ(operator_for("OperatorsTest/1"), "graft::OperatorsTest_1");  // once
  const auto meta = at::TensorOptions(at::kMeta);
  EXPECT_EQ(
      call("OperatorsTest_1", {at::empty({3, 2, 4}, meta), at::empty({1, 2, 4}, meta), "no/such:Kernel"})[0]
          .sizes(),
      (std::vector<int64_t>{3, 2, 4}));
  ContractRegistry::shared().add(kInPlace);
  EXPECT_TRUE(says(refusal([] { operator_for("OperatorsTest/2"); }), "an argument is inout"));
}

}  // namespace
}  // namespace graft
