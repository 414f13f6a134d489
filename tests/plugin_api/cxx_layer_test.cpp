// The C++ layer: what an author's class throws, declares or leaves out, as a host sees it through the C
// structs.
#include <graft/abi/contract.h>
#include <gtest/gtest.h>

#include <array>
#include <graft/plugin.hpp>
#include <string>

namespace {

using namespace graft::plugin;

const graft_argument kArguments[] = {
    {"x", GRAFT_IN, GRAFT_ARG_ROWS, "T", "... H"},
    {"bias", GRAFT_IN, GRAFT_ARG_OPTIONAL, "T", "H"},
    {"out", GRAFT_OUT, 0, "T", "... H"},
};
const graft_attribute kAttributes[] = {
    {"fail", GRAFT_STRING, 0, 0, 0, "nothing"},
    {"factor", GRAFT_FLOAT, 0, 0, 2.5, nullptr},
    {"count", GRAFT_INT, 0, 3, 0, nullptr},
    {"negate", GRAFT_BOOL, 0, 1, 0, nullptr},
};
const graft_contract kContract = {
    sizeof(graft_contract), 16, "Test/1", kArguments, 3, 4, kAttributes, nullptr, 0};

// Adds the bias, if there is one, or fails as its attribute says.
struct AddBias {
  std::string fail;
  double factor;
  int64_t count;
  bool negate;
  bool prepared = false;

  explicit AddBias(const Attributes& a)
      : fail(a.string("fail")),
        factor(a.number("factor")),
        count(a.integer("count")),
        negate(a.boolean("negate")) {
    if (fail == "attribute") a.number("no_such");
    if (fail == "type") a.number("count");
    if (fail == "create") throw std::runtime_error("create fails");
  }
  void prepare(Arguments arguments) { prepared = arguments.has(1); }
  size_t workspace_size(Arguments arguments, uint32_t threads) const {
    return size_t(arguments.tensor(0).numel()) * threads;
  }
  static bool supports(const Attributes& a, Arguments arguments) {
    return arguments.tensor(0).size(-1) % 2 == 0 && a.string("fail") != "support";
  }
  void forward(const Call&, Tensor x, std::optional<Tensor> bias, Tensor out) const {
    if (fail == "unsupported") throw Unsupported("not for me");
    if (fail == "invalid") throw std::invalid_argument("broken contract");
    if (fail == "memory") throw std::bad_alloc();
    if (fail == "error") throw std::runtime_error("went wrong");
    if (fail == "other") throw 7;
    for (int64_t i = 0; i < x.numel(); ++i)
      out.data<float>()[i] = x.data<float>()[i] + (bias ? bias->data<float>()[i % bias->numel()] : 0.0f);
  }
};

// Has backward, and nothing that could be left out.
struct Copy {
  explicit Copy(const Attributes&) {}
  void forward(const Call&, Tensor, std::optional<Tensor>, Tensor) const {}
  void backward(const Call&, Arguments, Arguments, uint64_t, Arguments) const {}
};

std::string message;

class CxxLayer : public testing::Test {
 protected:
  void SetUp() override {
    message.clear();
    ASSERT_EQ(graft_plugin_entry.init(&host_), GRAFT_OK);
  }
  static const graft_entry* find(const std::string& name) {
    for (uint32_t i = 0; i < graft_plugin_entry.entry_count(); ++i)
      if (graft_plugin_entry.entry_at(i)->name == name) return graft_plugin_entry.entry_at(i);
    return nullptr;
  }
  std::array<graft_value, 4> failing(const char* how) {
    std::array<graft_value, 4> values{};
    values[0].tag = GRAFT_STRING;
    values[0].length = uint32_t(std::strlen(how));
    values[0].as.string = how;
    return values;
  }
  graft_value value(graft_tensor& tensor) {
    graft_value v{GRAFT_TENSOR, 0, {}};
    v.as.tensor = &tensor;
    return v;
  }
  graft_tensor vector_of(float* data, int64_t* size) {
    static int64_t stride = 1;
    return {data, {GRAFT_DEVICE_CPU, 0}, 1, float32, size, &stride, 0};
  }
  // Status of forward on an instance with that attribute.
  graft_status forward(const char* how, const graft_value* arguments) {
    const graft_entry* entry = find("AddBias");
    graft_instance* instance = nullptr;
    const auto attributes = failing(how);
    EXPECT_EQ(entry->create(entry, &kContract, {GRAFT_DEVICE_CPU, 0}, attributes.data(), &instance),
              GRAFT_OK);
    const graft_call call{sizeof(graft_call), 0, {GRAFT_DEVICE_CPU, 0}, nullptr, nullptr, 0, 1, 0, nullptr};
    const graft_status status = entry->forward(instance, &call, arguments);
    entry->destroy(instance);
    return status;
  }

  graft_host host_{sizeof(graft_host),
                   GRAFT_ABI_MAJOR,
                   GRAFT_ABI_MINOR,
                   "test",
                   "1",
                   [](const graft_host*, const char* text) { message = text; },
                   nullptr};
  float data_[4] = {1, 2, 3, 4}, bias_[2] = {10, 20}, out_[4] = {};
  int64_t four_ = 4, two_ = 2, three_ = 3;
};

TEST_F(CxxLayer, DescribesPluginAndEntries) {
  EXPECT_EQ(graft_plugin_entry.struct_size, sizeof(graft_plugin));
  EXPECT_EQ(graft_plugin_entry.abi_major, GRAFT_ABI_MAJOR);
  ASSERT_EQ(graft_plugin_entry.entry_count(), 2u);
  EXPECT_EQ(graft_plugin_entry.entry_at(2), nullptr);
  const graft_entry* entry = find("AddBias");
  ASSERT_NE(entry, nullptr);
  ASSERT_EQ(entry->contract_count, 2u);
  EXPECT_STREQ(entry->contracts[0], "Test/1");
  EXPECT_STREQ(entry->contracts[1], "Test/2");
  ASSERT_EQ(entry->dtype_count, 2u);
  EXPECT_TRUE(same(entry->dtypes[1], bfloat16));
  EXPECT_STREQ(entry->cpu_features, "sse2");
  EXPECT_EQ(entry->flags, uint32_t{GRAFT_ENTRY_DETERMINISTIC});
  EXPECT_EQ(entry->backward, nullptr);
}

TEST_F(CxxLayer, WhatAClassLacksIsNull) {
  const graft_entry* entry = find("Copy");
  EXPECT_EQ(entry->prepare, nullptr);
  EXPECT_EQ(entry->supports, nullptr);
  EXPECT_EQ(entry->workspace_size, nullptr);
  EXPECT_EQ(entry->cpu_features, nullptr);
  EXPECT_NE(entry->backward, nullptr);
  EXPECT_EQ(entry->flags, uint32_t{GRAFT_ENTRY_HAS_BACKWARD});
  ASSERT_EQ(entry->dtype_count, 1u);
  EXPECT_TRUE(same(entry->dtypes[0], float32));
}

TEST_F(CxxLayer, OptionalArgumentsMayBeAbsent) {
  graft_tensor x = vector_of(data_, &four_), bias = vector_of(bias_, &two_), out = vector_of(out_, &four_);
  const graft_value with[] = {value(x), value(bias), value(out)};
  EXPECT_EQ(forward("nothing", with), GRAFT_OK);
  EXPECT_EQ(out_[3], 24);
  const graft_value without[] = {value(x), {}, value(out)};
  EXPECT_EQ(forward("nothing", without), GRAFT_OK);
  EXPECT_EQ(out_[3], 4);
  const graft_value missing[] = {{}, {}, value(out)};
  EXPECT_EQ(forward("nothing", missing), GRAFT_INVALID_ARGUMENT);
  EXPECT_EQ(message, "a tensor that the contract demands is absent");
}

TEST_F(CxxLayer, ExceptionsBecomeStatusAndMessage) {
  const graft_value none[3] = {};
  graft_tensor x = vector_of(data_, &four_);
  const graft_value arguments[3] = {value(x), none[0], value(x)};
  const struct {
    const char* how;
    graft_status status;
    const char* text;
  } cases[] = {{"unsupported", GRAFT_UNSUPPORTED, "not for me"},
               {"invalid", GRAFT_INVALID_ARGUMENT, "broken contract"},
               {"memory", GRAFT_OUT_OF_MEMORY, "out of memory"},
               {"error", GRAFT_FAILED, "went wrong"},
               {"other", GRAFT_FAILED, "an exception that is no std::exception"}};
  for (const auto& c : cases) {
    EXPECT_EQ(forward(c.how, arguments), c.status) << c.how;
    EXPECT_EQ(message, c.text);
  }
}

TEST_F(CxxLayer, AConstructorThatThrowsFailsCreateAndLeavesNoInstance) {
  const graft_entry* entry = find("AddBias");
  const struct {
    const char* how;
    graft_status status;
    const char* text;
  } cases[] = {{"create", GRAFT_FAILED, "create fails"},
               {"attribute", GRAFT_INVALID_ARGUMENT, "Test/1 has no attribute 'no_such' of that type"},
               {"type", GRAFT_INVALID_ARGUMENT, "Test/1 has no attribute 'count' of that type"}};
  for (const auto& c : cases) {
    graft_instance* instance = nullptr;
    EXPECT_EQ(entry->create(entry, &kContract, {GRAFT_DEVICE_CPU, 0}, failing(c.how).data(), &instance),
              c.status);
    EXPECT_EQ(instance, nullptr);
    EXPECT_EQ(message, c.text);
  }
}

TEST_F(CxxLayer, AbsentAttributesHaveTheContractsDefaults) {
  const AddBias defaults(Attributes(&kContract, nullptr));
  EXPECT_EQ(defaults.fail, "nothing");
  EXPECT_EQ(defaults.factor, 2.5);
  EXPECT_EQ(defaults.count, 3);
  EXPECT_TRUE(defaults.negate);
  std::array<graft_value, 4> given{};
  given[1].tag = GRAFT_FLOAT, given[1].as.number = 0.5;
  given[2].tag = GRAFT_INT, given[2].as.integer = -7;
  given[3].tag = GRAFT_BOOL, given[3].as.integer = 0;
  const AddBias own(Attributes(&kContract, given.data()));
  EXPECT_EQ(own.factor, 0.5);
  EXPECT_EQ(own.count, -7);
  EXPECT_FALSE(own.negate);
}

TEST_F(CxxLayer, SupportsAnswersFromShapesAndAttributes) {
  const graft_entry* entry = find("AddBias");
  graft_tensor even = vector_of(nullptr, &four_), odd = vector_of(nullptr, &three_);
  const graft_value fits[] = {value(even), {}, value(even)}, does_not[] = {value(odd), {}, value(odd)};
  EXPECT_EQ(entry->supports(entry, &kContract, nullptr, fits), GRAFT_OK);
  EXPECT_EQ(entry->supports(entry, &kContract, nullptr, does_not), GRAFT_UNSUPPORTED);
  EXPECT_NE(message, "");
  EXPECT_EQ(entry->supports(entry, &kContract, failing("support").data(), fits), GRAFT_UNSUPPORTED);
}

TEST_F(CxxLayer, WorkspaceIsThatOfThePassAskedFor) {
  const graft_entry* entry = find("AddBias");
  graft_instance* instance = nullptr;
  ASSERT_EQ(entry->create(entry, &kContract, {GRAFT_DEVICE_CPU, 0}, nullptr, &instance), GRAFT_OK);
  graft_tensor x = vector_of(nullptr, &four_);
  const graft_value arguments[] = {value(x), {}, value(x)};
  size_t bytes = 1;
  EXPECT_EQ(entry->workspace_size(instance, GRAFT_WORKSPACE_FORWARD, arguments, 3, &bytes), GRAFT_OK);
  EXPECT_EQ(bytes, 12u);
  EXPECT_EQ(entry->workspace_size(instance, GRAFT_WORKSPACE_BACKWARD, arguments, 3, &bytes), GRAFT_OK);
  EXPECT_EQ(bytes, 0u);
  entry->destroy(instance);
}

TEST_F(CxxLayer, ParallelForRunsSmallWorkOnTheCallersThread) {
  struct Counting {
    graft_call call;
    int calls = 0;
  } counting;
  counting.call = {sizeof(graft_call),
                   0,
                   {GRAFT_DEVICE_CPU, 0},
                   nullptr,
                   nullptr,
                   0,
                   4,
                   0,
                   [](const graft_call* call, int64_t count, int64_t, graft_parallel_body body, void* data) {
                     ++reinterpret_cast<Counting*>(const_cast<graft_call*>(call))->calls;
                     body(data, 0, count / 2, 0);
                     body(data, count / 2, count, 1);
                   }};
  const Call call(&counting.call);
  int64_t sum = 0;
  const auto add = [&](int64_t begin, int64_t end, uint32_t) {
    for (int64_t i = begin; i < end; ++i) sum += i;
  };
  call.parallel_for(10, 10, add);
  EXPECT_EQ(sum, 45);
  EXPECT_EQ(counting.calls, 0);
  call.parallel_for(11, 10, add);
  EXPECT_EQ(sum, 45 + 55);
  EXPECT_EQ(counting.calls, 1);
  call.parallel_for(0, 1, [](int64_t, int64_t, uint32_t) { FAIL() << "nothing to do"; });
}

TEST_F(CxxLayer, TensorSeesShapeStridesAndOffset) {
  int64_t shape[] = {2, 3}, strides[] = {4, 1}, packed[] = {3, 1};
  float data[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  graft_tensor c{data, {GRAFT_DEVICE_CPU, 0}, 2, float32, shape, strides, 4};
  const Tensor tensor(&c);
  EXPECT_EQ(tensor.size(-1), 3);
  EXPECT_EQ(tensor.stride(0), 4);
  EXPECT_EQ(tensor.numel(), 6);
  EXPECT_EQ(tensor.data<float>()[0], 1);
  EXPECT_FALSE(tensor.is_contiguous());
  c.strides = packed;
  EXPECT_TRUE(tensor.is_contiguous());
}

}  // namespace

GRAFT_PLUGIN(entry<AddBias>("AddBias", "Test/1")
                 .also("Test/2")
                 .dtypes({float32, bfloat16})
                 .cpu_features("sse2")
                 .flags(GRAFT_ENTRY_DETERMINISTIC),
             entry<Copy>("Copy", "Test/1"))
