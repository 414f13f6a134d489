#include "graft/entry_call.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

Kernel fixture_kernel(const std::string& name) {
  return Runtime::shared().load(KernelRef::parse(test::fixture(name).string() + ":TestRMSNorm"));
}

class EntryCallTest : public testing::Test {
 protected:
  EntryCall& set_all(EntryCall& call) {
    return call.set("x", x_.data(), {2, 4}).set("weight", weight_.data(), {4}).set("out", out_.data(), {2, 4});
  }
  ErrorCode refusal(EntryCall& call) {
    try {
      call.run();
    } catch (const Error& error) {
      why_ = error.why();
      return error.code();
    }
    return ErrorCode::internal;
  }

  std::vector<float> x_ = {1, 2, 3, 4, -1, -2, -3, -4}, weight_ = {1, 1, 2, 2}, out_ = std::vector<float>(8, -7);
  std::string why_;
};

TEST_F(EntryCallTest, RunsAnEntryOnPlainBuffers) {
  EntryCall call(fixture_kernel("good"), {{"eps", 1e-6}});
  set_all(call).run();
  const float scale = 1 / std::sqrt(7.5f + 1e-6f);
  for (size_t i = 0; i < x_.size(); ++i) EXPECT_NEAR(out_[i], x_[i] * scale * weight_[i % 4], 1e-5) << i;
}

TEST_F(EntryCallTest, SaysWhatShapeAnOutputHas) {
  EntryCall call(fixture_kernel("good"), {{"eps", 1e-6}});
  EXPECT_THROW(call.output_shape("out"), Error);  // nothing is set
  call.set("x", x_.data(), {2, 1, 4}).set("weight", weight_.data(), {4});
  EXPECT_EQ(call.output_shape("out"), (std::vector<int64_t>{2, 1, 4}));
  EXPECT_THROW(call.output_shape("nothing"), Error);
}

TEST_F(EntryCallTest, HoldsArgumentsAgainstTheContract) {
  EntryCall call(fixture_kernel("good"), {{"eps", 1e-6}});
  EXPECT_THROW(call.set("y", x_.data(), {8}), Error);
  set_all(call).set("weight", weight_.data(), {3});
  EXPECT_EQ(refusal(call), ErrorCode::invalid_argument);
  EXPECT_NE(why_.find("3"), std::string::npos) << why_;
  set_all(call).set<float>("out", nullptr, {});
  EXPECT_EQ(refusal(call), ErrorCode::invalid_argument);
  EXPECT_NE(why_.find("'out'"), std::string::npos) << why_;
  EXPECT_EQ(out_, std::vector<float>(8, -7));  // nothing ran
}

TEST_F(EntryCallTest, RefusesADtypeThatTheEntryDoesNotServe) {
  std::vector<double> x(8), weight(4), out(8);
  EntryCall call(fixture_kernel("good"), {{"eps", 1e-6}});
  call.set("x", x.data(), {2, 4}).set("weight", weight.data(), {4}).set("out", out.data(), {2, 4});
  EXPECT_EQ(refusal(call), ErrorCode::unsupported);
  EXPECT_NE(why_.find("float64"), std::string::npos) << why_;
}

TEST_F(EntryCallTest, RefusesAttributesThatAreNotTheContracts) {
  const Kernel kernel = fixture_kernel("good");
  EXPECT_THROW(EntryCall{kernel}, Error);  // eps must be given
  EXPECT_THROW((EntryCall{kernel, {{"eps", std::string("small")}}}), Error);
  EXPECT_THROW((EntryCall{kernel, {{"eps", 1e-6}, {"epsilon", 1e-6}}}), Error);
}

TEST_F(EntryCallTest, SaysWhatAnEntrySaysOfItsFailures) {
  EXPECT_THROW((EntryCall{fixture_kernel("create_fails"), {{"eps", 1e-6}}}), Error);
  EXPECT_THROW((EntryCall{fixture_kernel("wrong_contract"), {{"eps", 1e-6}}}), Error);
  EntryCall failing(fixture_kernel("forward_fails"), {{"eps", 1e-6}});
  EXPECT_EQ(refusal(set_all(failing)), ErrorCode::plugin);
  EntryCall unsupported(fixture_kernel("forward_unsupported"), {{"eps", 1e-6}});
  EXPECT_EQ(refusal(set_all(unsupported)), ErrorCode::unsupported);
  EntryCall preparing(fixture_kernel("prepare_fails"), {{"eps", 1e-6}});
  EXPECT_EQ(refusal(set_all(preparing)), ErrorCode::unsupported);
  EXPECT_EQ(refusal(preparing), ErrorCode::unsupported);  // and is asked again
}

}  // namespace
}  // namespace graft
