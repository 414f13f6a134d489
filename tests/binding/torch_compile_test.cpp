// Layers that are bound with Mode::TorchCompile: their calls are calls of operators.
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "graft/auto_model.h"
#include "graft/pretrained_model.h"
#include "operator_calls.h"

namespace graft {
namespace {

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

/// Names of the operators of graft's that run while it lives, on this thread.
class Seen {
 public:
  Seen()
      : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback([](const at::RecordFunction& function) {
          const std::string_view name = function.name();  // a layer's range has its kernel behind it: "graft::RMSNorm (…)"
          if (name.starts_with("graft::") && !name.ends_with(')')) names().emplace_back(name);
          return std::unique_ptr<at::ObserverContext>();
        }))) {
    names().clear();
  }
  ~Seen() { at::removeCallback(handle_); }
  static std::vector<std::string>& names() {
    thread_local std::vector<std::string> seen;
    return seen;
  }

 private:
  at::CallbackHandle handle_;
};

BindReport compile(NormLayer& layer, const std::string& reference, Mode mode, bool use_fallback = true,
                   bool allow = false) {
  return kernelize(layer,
                   {.mode = mode | Mode::TorchCompile,
                    .kernel_config = KernelConfig({{"RMSNorm", reference}}, {.use_local_kernel = true}),
                    .allow_all_kernels = allow,
                    .use_fallback = use_fallback});
}

TEST(TorchCompile, ABoundLayerCallsItsContractsOperator) {
  NormLayer layer;
  const BindReport report = compile(layer, local("training_norms"), Mode::Inference);
  ASSERT_EQ(report.layers[0].state, LayerState::bound) << report.layers[0].reason;
  const at::Tensor x = at::randn({3, 8});
  const Seen seen;
  EXPECT_TRUE(close(layer.forward(x), layer.own(x)));
  EXPECT_EQ(Seen::names(), std::vector<std::string>{"graft::RMSNorm_1"});
  EXPECT_EQ(layer.own_calls, 0);
}

class Trained : public ::testing::TestWithParam<const char*> {};

TEST_P(Trained, TrainsThroughTheOperators) {
  NormLayer layer;
  layer.weight.requires_grad_();
  ASSERT_EQ(compile(layer, local(GetParam()), Mode::Training).layers[0].state, LayerState::bound);
  const at::Tensor x = trained({3, 8}), direction = at::randn({3, 8});
  const Seen seen;
  const auto ours = grad({layer.forward(x)}, {x, layer.weight}, {direction});
  const auto own = grad({layer.own(x)}, {x, layer.weight}, {direction});
  EXPECT_TRUE(close(ours[0], own[0]) && close(ours[1], own[1]));
  EXPECT_EQ(Seen::names(), (std::vector<std::string>{"graft::RMSNorm_1", "graft::RMSNorm_1_forward",
                                                     "graft::RMSNorm_1_backward"}));
  for (int step = 0; step < 2; ++step) {  // as an optimizer does
    const at::NoGradGuard no_grad;
    layer.weight.add_(0.5);
    EXPECT_TRUE(close(layer.forward(x), layer.own(x)));
  }
  EXPECT_EQ(layer.own_calls, 0);
}

INSTANTIATE_TEST_SUITE_P(TorchCompile, Trained, ::testing::Values("training_norms", "training_prepacks"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TorchCompile, AModelAnswersAndLearnsWhatItDoesWithItsOwnLayers) {
  const auto model = AutoModelForCausalLM::from_pretrained(GRAFT_SOURCE_DIR "/tests/golden/tiny-qwen3",
                                                           {.dtype = "float32"});
  const at::Tensor ids = at::arange(3, 12, at::kLong).unsqueeze(0);
  const auto step = [&] {
    model->zero_grad();
    const auto loss = model->forward(ids, {.labels = ids}).loss;
    loss.backward();
    return std::pair{loss.detach(), model->parameters()[0].grad().clone()};
  };
  model->eval();
  const auto own_ids = model->generate(ids, {.max_new_tokens = 8});
  model->train();
  const auto [own_loss, own_gradient] = step();

  EXPECT_GT(model->kernelize({.mode = Mode::Training | Mode::TorchCompile}).count(LayerState::bound), 0);
  const Seen seen;
  const auto [loss, gradient] = step();
  EXPECT_TRUE(at::allclose(loss, own_loss, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(gradient, own_gradient, 1e-3, 1e-4));
  const auto ran = [&](const char* name) {
    return std::count(Seen::names().begin(), Seen::names().end(), name);
  };
  EXPECT_GT(ran("graft::attention_1"), 0);
  EXPECT_GT(ran("graft::SwiGLUMLP_1_forward"), 0);
  model->eval();
  model->kernelize({.mode = Mode::Inference | Mode::TorchCompile});
  EXPECT_TRUE(model->generate(ids, {.max_new_tokens = 8}).equal(own_ids));
}

TEST(TorchCompile, AKernelThatDoesNotSayItWorksAsAnOperatorFallsBack) {
  NormLayer layer;
  const LayerReport line = compile(layer, local("good", "TestRMSNorm"), Mode::Inference).layers[0];
  EXPECT_EQ(line.state, LayerState::fallback);
  EXPECT_TRUE(says(line.reason, "GRAFT_ENTRY_COMPILE_SAFE")) << line.reason;
  EXPECT_THROW(compile(layer, local("good", "TestRMSNorm"), Mode::Inference, /*use_fallback=*/false), Error);
}

TEST(TorchCompile, TrainingNeedsABackwardThereToo) {
  NormLayer layer;
  const LayerReport line = compile(layer, local("operator_forward", "TestRMSNorm"), Mode::Training).layers[0];
  EXPECT_EQ(line.state, LayerState::fallback);
  EXPECT_TRUE(says(line.reason, "it has no backward")) << line.reason;
}

TEST(TorchCompile, AFailingOrUnwillingKernelLeavesTheCallToTheLayer) {
  for (const char* name : {"operator_unsupported", "operator_fails"}) {
    NormLayer layer;
    Policy unchecked = Policy::load();
    unchecked.self_check = false;
    const BindReport report = kernelize(layer, {.mode = Mode::Inference | Mode::TorchCompile,
                                                .kernel_config = test::fixture_config(name),
                                                .policy = unchecked});
    ASSERT_EQ(report.layers[0].state, LayerState::bound) << report.layers[0].reason;
    const at::Tensor x = at::randn({3, 8});
    EXPECT_TRUE(close(layer.forward(x), layer.own(x))) << name;
    EXPECT_EQ(layer.own_calls, 1) << name;
  }
}

TEST(TorchCompile, TheKernelIsFoundByTheSearchOrder) {
  const LayerMapping mapping{{"cpu",
                              {{Mode::Inference, local("good", "TestRMSNorm")},
                               {Mode::Training | Mode::TorchCompile, local("training_norms")}}}};
  const auto entry = [&](Mode mode) {
    NormLayer layer;
    return kernelize(layer,
                     {.mode = mode,
                      .kernel_config = KernelConfig({{"RMSNorm", mapping}}, {.use_local_kernel = true})})
        .layers[0]
        .entry;
  };
  EXPECT_EQ(entry(Mode::Inference), "TestRMSNorm");
  EXPECT_EQ(entry(Mode::Inference | Mode::TorchCompile), "RMSNorm");
  EXPECT_EQ(entry(Mode::Training), "RMSNorm");
  EXPECT_EQ(entry(Mode::Training | Mode::TorchCompile), "RMSNorm");
}

/// The Hub of this program's Runtime::shared(), which reads its address once: that of an unknown publisher.
/// And leave for operators to load fixtures by their paths.
class StrangersHub : public ::testing::Environment {
 public:
  void SetUp() override {
    hub_ = std::make_unique<test::TestHub>();
    hub_->add("stranger/norm", "v1.0.0", fixture("training_norms"));
    hub_->add("stranger/other", "v1.0.0", fixture("training_norms"));
    endpoint_ = std::make_unique<test::ScopedEnv>("HF_ENDPOINT", hub_->endpoint().c_str());
    local_ = std::make_unique<test::ScopedEnv>("GRAFT_LOCAL_OPERATORS", "1");
  }
  void TearDown() override { local_.reset(), endpoint_.reset(), hub_.reset(); }

 private:
  std::unique_ptr<test::TestHub> hub_;
  std::unique_ptr<test::ScopedEnv> endpoint_, local_;
};
[[maybe_unused]] const auto* const strangers_hub = ::testing::AddGlobalTestEnvironment(new StrangersHub);

TEST(TorchCompile, AStrangersKernelRunsAsAnOperatorWhereKernelizeAdmittedThatVeryOneAlone) {
  const at::Tensor x = at::randn({2, 8}), weight = at::randn({8});
  const auto refused = [&](const std::string& kernel) {
    return says(refusal([&] { rms_norm(x, weight, kernel); }), "not a trusted publisher");
  };
  NormLayer layer;
  EXPECT_EQ(compile(layer, "stranger/norm:RMSNorm", Mode::Inference).layers[0].state, LayerState::fallback);
  EXPECT_TRUE(refused("stranger/norm:RMSNorm"));

  const LayerReport line =
      compile(layer, "stranger/norm:RMSNorm", Mode::Inference, true, /*allow=*/true).layers[0];
  ASSERT_EQ(line.state, LayerState::bound) << line.reason;
  EXPECT_TRUE(close(layer.forward(x), layer.own(x)));
  EXPECT_EQ(layer.own_calls, 0);
  EXPECT_TRUE(close(rms_norm(x, weight, "stranger/norm@" + line.commit + ":RMSNorm"), own_norm(x, weight)));
  EXPECT_TRUE(refused("stranger/norm:RMSNorm"));
  EXPECT_TRUE(refused("stranger/norm@" + line.commit + ":AddRMSNorm"));
  EXPECT_TRUE(refused("stranger/other:RMSNorm"));
}

}  // namespace
}  // namespace graft
