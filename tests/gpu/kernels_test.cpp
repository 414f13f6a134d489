// Each first-party CUDA kernel beside the layer's own forward in float64, and its gradients beside torch's.
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <torch/autograd.h>

#include <set>

#include "correctness.h"
#include "tensor_view.h"
#include "gpu.h"
#include "graft/runtime.h"
#include "layer.h"

namespace graft {
namespace {

using namespace reference;
using testing::kGpu;

struct Case {
  std::string kernel, contract;
  std::vector<Sizes> shapes;  // beside those of the self-check
  bool backward;
};

const std::vector<Case> kCases = {
    {"graft-kernels/norm:RMSNorm", "RMSNorm/1", {{1, 3}, {7, 64}, {1000, 128}, {33, 1024}, {5, 2880}, {19, 4096}, {3, 16384}, {2, 40000}}, true},
    {"graft-kernels/norm:AddRMSNorm", "AddRMSNorm/1", {{1, 1}, {7, 64}, {1000, 128}, {33, 1024}, {5, 2880}, {19, 4096}, {3, 16384}, {2, 40000}}, true},
    {"graft-kernels/mlp:SiLU", "SiLU/1", {{1, 1}, {129, 1000}, {17, 4099}}, true},
    {"graft-kernels/mlp:SiluAndMul", "SiluAndMul/1", {{1, 1}, {129, 1000}, {17, 4099}}, true},
    {"graft-kernels/mlp:SwiGLUMLP", "SwiGLUMLP/1", {{1, 64, 128}, {100, 256, 512}, {333, 128, 264}}, true},
    {"graft-kernels/linear:Linear", "Linear/1", {{1, 1024, 4096}, {8, 576, 1000}, {3, 64, 72}}, false},
    {"graft-kernels/rope:RotaryPosEmb", "rotary_pos_emb/1", {{1, 16, 8, 128}, {100, 9, 3, 64}, {33, 2, 2, 96}, {7, 3, 1, 6}}, true},
    {"graft-kernels/attention:Attention", "attention/1",
     {{1, 1, 4, 4, 64}, {1, 333, 16, 8, 128}, {1, 1000, 9, 3, 64}, {64, 64, 16, 8, 128}, {77, 200, 4, 1, 64}, {300, 300, 2, 2, 128}}, true},
    {"graft-kernels/attention:VarlenAttention", "varlen_attention/1", {{4, 100, 9, 3, 64}, {8, 300, 16, 8, 128}, {1, 33, 2, 2, 64}}, true},
    {"graft-kernels/loss:ForCausalLMLoss", "ForCausalLMLoss/1", {{5, 32, 1001}, {700, 64, 4096}, {1500, 48, 5000}}, true},
    {"graft-kernels/sampling:Sampling", "Sampling/1", {{1, 151936}, {8, 151936}, {3, 1000}, {64, 32000}, {2, 4099}, {1, 262144}}, false},
    {"graft-kernels/decoder:DecoderLayer", "DecoderLayer/1",
     {{1, 0, 1024, 16, 8, 128, 3072}, {1, 300, 1024, 16, 8, 128, 3072}, {8, 100, 576, 9, 3, 64, 1536}, {5, 33, 256, 8, 1, 128, 200}, {2, 1100, 2048, 8, 8, 64, 512}}, false},
};

/// Else a test's name would have the case's bytes in it.
void PrintTo(const Case& c, std::ostream* out) { *out << c.kernel; }

std::string name_of(const Case& c) { return c.contract.substr(0, c.contract.find('/')); }

class CudaKernels : public ::testing::TestWithParam<std::tuple<Case, at::ScalarType>> {
 protected:
  void SetUp() override {
    if (const std::string why = testing::why_no_gpu(); !why.empty()) GTEST_SKIP() << why;
    kernel_ = std::make_shared<const Kernel>(Runtime::shared().load(KernelRef::parse(which().kernel), {.device = "cuda:0"}));
    kind_ = find_layer_kind(which().contract);
    ASSERT_NE(kind_, nullptr);
  }
  const Case& which() const { return std::get<0>(GetParam()); }
  at::ScalarType dtype() const { return std::get<1>(GetParam()); }

  std::vector<Sizes> shapes() const {
    std::vector<Sizes> all = kind_->small;
    all.insert(all.end(), which().shapes.begin(), which().shapes.end());
    return all;
  }
  bool serves_dtype() const {
    const graft_entry& entry = *kernel_->entry;
    return std::any_of(entry.dtypes, entry.dtypes + entry.dtype_count, [&](graft_dtype d) { return same_dtype(d, to_graft(dtype())); });
  }
  std::shared_ptr<Layer> bound_layer(const LayerData& data) const {
    const std::shared_ptr<Layer> layer = kind_->make(data);
    testing::bind_alone(*layer, kernel_, dtype());
    return layer;
  }

  std::shared_ptr<const Kernel> kernel_;
  const LayerKind* kind_ = nullptr;
};

/// What gets gradients: cosines and sines do not.
std::vector<at::Tensor> leaves(const LayerData& data, const std::string& contract) {
  std::vector<at::Tensor> all = data.weights;
  const size_t inputs = contract == "rotary_pos_emb/1" ? 2 : data.inputs.size();
  all.insert(all.end(), data.inputs.begin(), data.inputs.begin() + ptrdiff_t(inputs));
  std::erase_if(all, [](const at::Tensor& tensor) { return !tensor.is_floating_point(); });
  return all;
}

TEST_P(CudaKernels, GiveWhatTheContractSays) {
  if (!serves_dtype()) GTEST_SKIP() << "it does not serve this dtype";
  const at::NoGradGuard no_grad;
  const auto tolerance = tolerance_of(ContractRegistry::shared().at(which().contract).contract(),
                                      to_graft(dtype()), *kernel_->entry);
  ASSERT_TRUE(tolerance);
  int served = 0;
  for (const Sizes& shape : shapes()) {
    Draw draw(dtype(), kGpu);
    const LayerData data = kind_->data(shape, draw);
    const auto own = kind_->make(data.in_double());
    const Outputs expected = own->forward();
    const auto layer = bound_layer(data);
    const Outputs results = layer->forward();
    if (layer->own_calls() > 0) continue;
    ++served;
    const Deviation found = deviation(results, expected, *tolerance);
    EXPECT_TRUE(found.within()) << to_text(shape) << ": off by " << found.largest << ", " << found.share << " of what is allowed";
    const Outputs again = layer->forward();  // the same bits
    if ((kernel_->entry->flags & GRAFT_ENTRY_DETERMINISTIC) != 0) { EXPECT_TRUE(again[0].equal(results[0])) << to_text(shape); }
  }
  EXPECT_GT(served, 0);
}

TEST_P(CudaKernels, GiveTorchsGradients) {
  if (!which().backward) GTEST_SKIP() << "it has no backward";
  if (!serves_dtype()) GTEST_SKIP() << "it does not serve this dtype";
  ASSERT_NE(kernel_->entry->flags & GRAFT_ENTRY_HAS_BACKWARD, 0u);
  const double allowed = dtype() == at::kFloat ? 1e-4 : 3e-2;  // of a gradient's norm
  for (const Sizes& shape : shapes()) {
    Draw draw(dtype(), kGpu);
    const LayerData data = kind_->data(shape, draw), precise = data.in_double();
    const auto layer = bound_layer(data), own = kind_->make(precise);
    layer->train();
    const std::vector<at::Tensor> mine = leaves(data, which().contract), theirs = leaves(precise, which().contract);
    for (const auto* all : {&mine, &theirs})
      for (const at::Tensor& leaf : *all) leaf.requires_grad_(true);
    Outputs results = layer->forward(), expected = own->forward();
    if (layer->own_calls() > 0) continue;
    std::vector<at::Tensor> outs, their_outs, grads, their_grads;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].defined()) continue;
      outs.push_back(results[i]);
      their_outs.push_back(expected[i]);
      // Of a scalar 1: a loss's gradient that happened to be small would leave float16 nothing of those of its logits.
      const at::TensorOptions alike = results[i].options();
      grads.push_back(results[i].dim() == 0 ? at::ones({}, alike)
                                            : at::arange(results[i].numel(), alike.dtype(at::kFloat)).mul(0.7).sin().to(alike.dtype()).view(results[i].sizes()));
      their_grads.push_back(grads.back().to(expected[i].scalar_type()));
    }
    torch::autograd::backward(outs, grads);
    torch::autograd::backward(their_outs, their_grads);
    for (size_t i = 0; i < mine.size(); ++i) {
      if (!theirs[i].grad().defined() || theirs[i].grad().norm().item<double>() == 0) continue;
      if (!mine[i].grad().defined()) {
        ADD_FAILURE() << to_text(shape) << ": no gradient of " << i;
        continue;
      }
      const double off = ((mine[i].grad().to(at::kDouble) - theirs[i].grad()).norm() / theirs[i].grad().norm()).item<double>();
      EXPECT_LE(off, allowed) << to_text(shape) << ", leaf " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FirstParty, CudaKernels,
                         ::testing::Combine(::testing::ValuesIn(kCases), ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf)),
                         [](const auto& info) { return name_of(std::get<0>(info.param)) + "_" + toString(std::get<1>(info.param)); });

}  // namespace
}  // namespace graft
