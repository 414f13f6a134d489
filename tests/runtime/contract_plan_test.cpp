#include "graft/contract_plan.h"

#include <gtest/gtest.h>

#include <deque>
#include <numeric>

#include "graft/contracts.h"
#include "graft/dtype.h"
#include "graft/error.h"

namespace graft {
namespace {

/// Arguments of one call: tensors by shape, all contiguous unless told otherwise.
class Arguments {
 public:
  explicit Arguments(std::size_t count) : values_(count, graft_value{GRAFT_NONE, 0, {}}) {}

  graft_tensor& set(std::size_t index, std::vector<std::int64_t> shape, std::string_view dtype = "float32") {
    Tensor& made = tensors_.emplace_back();
    made.shape = std::move(shape);
    made.strides.resize(made.shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = made.shape.size(); i-- > 0; stride *= made.shape[i]) made.strides[i] = stride;
    made.tensor = {memory_,
                   {GRAFT_DEVICE_CPU, 0},
                   static_cast<std::int32_t>(made.shape.size()),
                   dtype_from_name(dtype),
                   made.shape.data(),
                   made.strides.data(),
                   0};
    values_[index].tag = GRAFT_TENSOR;
    values_[index].as.tensor = &made.tensor;
    return made.tensor;
  }
  const graft_value* data() const { return values_.data(); }
  graft_value& operator[](std::size_t index) { return values_[index]; }

 private:
  struct Tensor {
    std::vector<std::int64_t> shape, strides;
    graft_tensor tensor;
  };
  alignas(64) char memory_[64] = {};
  std::deque<Tensor> tensors_;
  std::vector<graft_value> values_;
};

std::string check(const graft_contract& contract, const Arguments& arguments) {
  ContractBinding binding;
  std::string why;
  return ContractPlan(contract).check(arguments.data(), binding, ContractPart::all, &why) ? "ok" : why;
}

std::vector<std::int64_t> output(const ContractPlan& plan, std::size_t index,
                                 const ContractBinding& binding) {
  std::int64_t shape[kMaxRank];
  int rank = plan.output_shape(index, binding, shape);
  if (rank < 0) return {-1};
  return {shape, shape + rank};
}

Arguments norm(std::vector<std::int64_t> x, std::int64_t width) {
  Arguments arguments(4);
  arguments.set(0, std::move(x));
  arguments.set(1, {width});
  return arguments;
}

TEST(ContractPlan, BindsDimensionsAndSizesOutputs) {
  ContractPlan plan(graft_contract_rms_norm_1);
  Arguments arguments = norm({2, 3, 576}, 576);
  ContractBinding binding;
  ASSERT_TRUE(plan.check(arguments.data(), binding));
  EXPECT_EQ(binding.sizes[plan.dimension("H")], 576);
  EXPECT_EQ(plan.dimension("I"), -1);
  EXPECT_EQ(output(plan, 2, binding), (std::vector<std::int64_t>{2, 3, 576}));
  EXPECT_EQ(output(plan, 3, binding), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(dtype_name(plan.output_dtype(2, binding)), "float32");
  EXPECT_EQ(dtype_name(plan.output_dtype(3, binding)), "float32");
}

TEST(ContractPlan, TakesNoLeadingDimensionAndEmptyTensors) {
  EXPECT_EQ(check(graft_contract_rms_norm_1, norm({576}, 576)), "ok");
  EXPECT_EQ(check(graft_contract_rms_norm_1, norm({0, 576}, 576)), "ok");
}

TEST(ContractPlan, NamesTheSizeThatDiffers) {
  EXPECT_EQ(check(graft_contract_rms_norm_1, norm({1, 576}, 575)),
            "weight has shape [575]; it must be [H], H is 576");
}

TEST(ContractPlan, WantsWhatIsNotOptional) {
  Arguments arguments(4);
  arguments.set(0, {1, 8});
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "weight is missing");
  arguments[1] = {GRAFT_INT, 0, {}};
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "weight is no tensor");
}

TEST(ContractPlan, WantsOneDtypeWhereTheContractSaysT) {
  Arguments arguments(4);
  arguments.set(0, {1, 8}, "bfloat16");
  arguments.set(1, {8});
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "weight is float32; it must be bfloat16");
}

TEST(ContractPlan, ChecksGivenOutputs) {
  Arguments arguments = norm({2, 8}, 8);
  arguments.set(2, {2, 7});
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "out has shape [2, 7]; it must be [... H], H is 8");
  arguments.set(2, {3, 8});
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments),
            "out has shape [3, 8], whose leading dimensions differ from the others'");
}

TEST(ContractPlan, ChecksStridesByTheArgumentsRule) {
  Arguments rows = norm({2, 8}, 8);
  rows[0].as.tensor->strides[0] = 100;  // x asks for rows only
  EXPECT_EQ(check(graft_contract_rms_norm_1, rows), "ok");
  rows[0].as.tensor->strides[1] = 2;
  EXPECT_EQ(check(graft_contract_rms_norm_1, rows), "x has strides [100, 2]; the last must be 1");
  Arguments contiguous = norm({2, 8}, 8);
  contiguous[1].as.tensor->strides[0] = 3;
  EXPECT_EQ(check(graft_contract_rms_norm_1, contiguous), "weight has strides [3]; it must be contiguous");
}

TEST(ContractPlan, IgnoresStridesOfSizeOneDimensions) {
  Arguments arguments = norm({1, 1}, 1);
  arguments[0].as.tensor->strides[1] = 77;
  arguments[1].as.tensor->strides[0] = 77;
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "ok");
}

TEST(ContractPlan, ChecksAlignmentUnlessDataIsNull) {
  graft_contract aligned = graft_contract_rms_norm_1;
  aligned.alignment = 16;
  Arguments arguments = norm({2, 8}, 8);
  arguments[1].as.tensor->byte_offset = 4;
  EXPECT_EQ(check(aligned, arguments), "weight is not aligned to 16 bytes");
  arguments[1].as.tensor->data = nullptr;
  EXPECT_EQ(check(aligned, arguments), "ok");
}

TEST(ContractPlan, WantsElementsAlignedToTheirOwnSizeAtLeast) {
  Arguments arguments = norm({2, 8}, 8);
  arguments[1].as.tensor->byte_offset = 4;
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "ok");
  arguments[1].as.tensor->byte_offset = 2;
  EXPECT_EQ(check(graft_contract_rms_norm_1, arguments), "weight is not aligned to 4 bytes");
}

TEST(ContractPlan, BindsMultiples) {
  ContractPlan plan(graft_contract_silu_and_mul_1);
  Arguments arguments(2);
  arguments.set(0, {4, 10});
  ContractBinding binding;
  ASSERT_TRUE(plan.check(arguments.data(), binding));
  EXPECT_EQ(output(plan, 1, binding), (std::vector<std::int64_t>{4, 5}));
  arguments.set(0, {4, 9});
  EXPECT_NE(check(graft_contract_silu_and_mul_1, arguments), "ok");
}

Arguments attention(std::vector<std::int64_t> mask) {
  Arguments arguments(6);
  arguments.set(0, {2, 8, 3, 64});
  arguments.set(1, {2, 4, 5, 64});
  arguments.set(2, {2, 4, 5, 32});
  arguments.set(3, std::move(mask), "bool");
  return arguments;
}

TEST(ContractPlan, BroadcastsWhereTheContractSaysSo) {
  ContractPlan plan(graft_contract_attention_1);
  for (auto mask : {std::vector<std::int64_t>{2, 8, 3, 5}, {1, 1, 1, 5}, {2, 1, 3, 5}})
    EXPECT_EQ(check(graft_contract_attention_1, attention(mask)), "ok");
  EXPECT_EQ(check(graft_contract_attention_1, attention({2, 1, 3, 1})),
            "mask has shape [2, 1, 3, 1]; it must be [?B ?Q ?T S], B is 2, Q is 8, T is 3, S is 5");
  ContractBinding binding;
  ASSERT_TRUE(plan.check(attention({1, 1, 3, 5}).data(), binding));
  EXPECT_EQ(output(plan, 4, binding), (std::vector<std::int64_t>{2, 3, 8, 32}));
}

TEST(ContractPlan, MakesScalars) {
  ContractPlan plan(graft_contract_for_causal_lm_loss_1);
  Arguments arguments(5);
  arguments.set(0, {6, 8});
  arguments.set(1, {100, 8});
  arguments.set(2, {6}, "int64");
  ContractBinding binding;
  ASSERT_TRUE(plan.check(arguments.data(), binding));
  EXPECT_EQ(output(plan, 3, binding), std::vector<std::int64_t>{});
}

TEST(ContractPlan, SizesOutputsByWeightsThatWereBoundBefore) {
  ContractPlan plan(graft_contract_linear_1);
  Arguments weights(4);
  weights.set(1, {100, 8});
  ContractBinding bound;
  ASSERT_TRUE(plan.check(weights.data(), bound, ContractPart::weights));

  Arguments call(4);
  call.set(0, {2, 8});
  ContractBinding binding = bound;
  ASSERT_TRUE(plan.check(call.data(), binding, ContractPart::inputs));
  EXPECT_EQ(output(plan, 3, binding), (std::vector<std::int64_t>{2, 100}));
  ContractBinding unbound;
  ASSERT_TRUE(plan.check(call.data(), unbound, ContractPart::inputs));
  EXPECT_EQ(output(plan, 3, unbound), std::vector<std::int64_t>{-1});
  call.set(0, {2, 7});
  binding = bound;
  EXPECT_FALSE(plan.check(call.data(), binding, ContractPart::inputs));
}

TEST(ContractPlan, RefusesTensorsOfTooManyDimensions) {
  EXPECT_EQ(check(graft_contract_rms_norm_1, norm({1, 1, 1, 1, 1, 1, 1, 1, 8}, 8)),
            "x has 9 dimensions; 8 are the most");
}

struct Malformed {
  const char *name, *dtype, *in, *out;
};

class MalformedContract : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedContract, IsRefused) {
  const graft_argument arguments[] = {{"x", GRAFT_IN, 0, GetParam().dtype, GetParam().in},
                                      {"out", GRAFT_OUT, 0, "T", GetParam().out}};
  graft_contract contract{};
  contract.struct_size = sizeof contract;
  contract.alignment = 16;
  contract.name = GetParam().name;
  contract.arguments = arguments;
  contract.argument_count = 2;
  try {
    ContractPlan plan(contract);
    FAIL() << GetParam().name << " " << GetParam().in << " was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, MalformedContract,
    testing::Values(Malformed{"X", "T", "H", "H"}, Malformed{"X/0", "T", "H", "H"},
                    Malformed{"/1", "T", "H", "H"}, Malformed{"X/1", "float33", "H", "H"},
                    Malformed{"X/1", "T", "H ...", "H"}, Malformed{"X/1", "T", "... ...", "H"},
                    Malformed{"X/1", "T", "H", "I"}, Malformed{"X/1", "T", "H", "... H"},
                    Malformed{"X/1", "T", "2*", "2"}, Malformed{"X/1", "T", "2H", "H"},
                    Malformed{"X/1", "T", "0", "0"}, Malformed{"X/1", "T", "H-1", "2"},
                    Malformed{"X/1", "T", "?", "2"}, Malformed{"X/1", "T", "H", "?H"},
                    Malformed{"X/1", "T", nullptr, "2"}, Malformed{"X/1", "T", "a b c d e f g h i", "a"},
                    Malformed{"X/1", "T", "99999999999999999999", "2"}));

TEST(ContractPlan, LeavesAShapeOfNullToTheEntry) {
  const graft_argument arguments[] = {{"x", GRAFT_IN, 0, "T", "N"}, {"out", GRAFT_OUT, 0, "T", nullptr}};
  graft_contract contract{};
  contract.alignment = 16;
  contract.name = "Unique/1";
  contract.arguments = arguments;
  contract.argument_count = 2;
  ContractPlan plan(contract);
  Arguments call(2);
  call.set(0, {5});
  ContractBinding binding;
  ASSERT_TRUE(plan.check(call.data(), binding));
  EXPECT_EQ(output(plan, 1, binding), std::vector<std::int64_t>{-1});
}

}  // namespace
}  // namespace graft
