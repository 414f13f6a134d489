// Batches of unequal lengths: over packed tokens, and over a KV cache in pages, each row as it is alone.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "golden.h"
#include "graft/auto_model.h"
#include "graft/error.h"
#include "kv_cache.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using testing::kGolden;

const std::vector<int64_t> kNever;

/// tiny-llama, tiny-qwen3, or that one with a sliding window of 5 in its second layer.
class Model {
 public:
  explicit Model(const std::string& name) : path_(kGolden / name) {
    if (name != "windows") return;
    path_ = folder_.path();
    nlohmann::json config = testing::load_json(kGolden / "tiny-qwen3/config.json");
    config.update({{"sliding_window", 5}, {"use_sliding_window", true}, {"max_window_layers", 1}});
    test::write_file(path_ / "config.json", config.dump());
    fs::copy_file(kGolden / "tiny-qwen3/model.safetensors", path_ / "model.safetensors");
  }
  std::shared_ptr<PreTrainedModel> load(bool use_kernels, const std::string& attention = "sdpa") const {
    return AutoModelForCausalLM::from_pretrained(path_.string(),
                                                 {.use_kernels = use_kernels, .attn_implementation = attention});
  }

 private:
  test::TempFolder folder_;
  fs::path path_;
};

struct Batch {
  std::vector<at::Tensor> rows;  // [1, T]
  at::Tensor ids, mask;          // [B, T]
};

Batch batch(const std::vector<int64_t>& lengths, bool pad_left) {
  Batch made;
  const int64_t most = *std::max_element(lengths.begin(), lengths.end());
  std::vector<at::Tensor> ids, masks;
  for (const int64_t length : lengths) {
    made.rows.push_back(at::randint(3, 250, {1, length}, at::kLong));
    const at::Tensor padding = at::zeros({1, most - length}, at::kLong), ones = at::full({1, length}, 1, at::kLong);
    ids.push_back(pad_left ? at::cat({padding, made.rows.back()}, 1) : at::cat({made.rows.back(), padding}, 1));
    masks.push_back(pad_left ? at::cat({padding, ones}, 1) : at::cat({ones, padding}, 1));
  }
  made.ids = at::cat(ids);
  made.mask = at::cat(masks);
  return made;
}

uint64_t calls(const PreTrainedModel& model, const std::string& layer) {
  uint64_t sum = 0;
  for (const LayerReport& each : model.kernel_report().layers)
    if (each.layer == layer) sum += each.counters.calls;
  return sum;
}

LayerState state(const PreTrainedModel& model, const std::string& layer) {
  for (const LayerReport& each : model.kernel_report().layers)
    if (each.layer == layer) return each.state;
  throw std::runtime_error("no layer " + layer);
}

class PackedBatches : public ::testing::TestWithParam<std::string> {
 protected:
  Model model_{GetParam()};
};

TEST_P(PackedBatches, LogitsAreThoseOfEachRowAlone) {
  const at::NoGradGuard no_grad;
  const auto own = model_.load(false), with_kernels = model_.load(true);
  for (bool left : {true, false}) {
    const Batch padded = batch({3, 11, 1, 70}, left);
    const at::Tensor logits = with_kernels->forward(padded.ids, {.attention_mask = padded.mask}).logits;
    for (int64_t b = 0; b < 4; ++b) {
      const int64_t length = padded.rows[size_t(b)].size(1);
      const at::Tensor row = logits[b].narrow(0, left ? 70 - length : 0, length);
      const at::Tensor expected = own->forward(padded.rows[size_t(b)]).logits[0];
      EXPECT_LT((row - expected).abs().max().item<float>(), 2e-5f) << "row " << b << (left ? " left" : " right");
    }
  }
  EXPECT_EQ(calls(*with_kernels, "varlen_attention"), 4u);  // 2 layers, 2 batches
  EXPECT_EQ(calls(*with_kernels, "attention"), 0u);
}

TEST_P(PackedBatches, GradientsAreThoseOfTheOwnLayers) {
  const auto own = model_.load(false), with_kernels = model_.load(true);
  own->train();
  with_kernels->train();
  const Batch padded = batch({3, 11, 1, 20}, /*pad_left=*/false);
  const at::Tensor labels = at::where(padded.mask == 1, padded.ids, -100);
  const auto loss = [&](PreTrainedModel& model) {
    return model.forward(padded.ids, {.labels = labels, .attention_mask = padded.mask}).loss;
  };
  loss(*own).backward();
  loss(*with_kernels).backward();
  EXPECT_EQ(calls(*with_kernels, "varlen_attention"), 2u);
  for (const auto& parameter : own->named_parameters()) {
    const at::Tensor expected = parameter.value().grad(), gradient = with_kernels->named_parameters()[parameter.key()].grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    EXPECT_LE((gradient - expected).abs().max().item<double>(), 1e-3 * expected.abs().max().item<double>() + 1e-7)
        << parameter.key();
  }
}

TEST_P(PackedBatches, TheLossIsThatOfTheRealTokensAlone) {
  const auto own = model_.load(false), with_kernels = model_.load(true);
  for (const bool left : {true, false}) {
    const Batch padded = batch({3, 11, 2, 20}, left);
    double sum = 0, count = 0;
    for (const at::Tensor& row : padded.rows) {
      const double predicted = double(row.size(1) - 1);
      sum += predicted * own->forward(row, {.labels = row}).loss.item<double>();
      count += predicted;
    }
    const at::Tensor labels = at::where(padded.mask == 1, padded.ids, -100);
    for (const auto& model : {own, with_kernels}) {
      for (const bool skip_logits : {true, false}) {
        const double loss = model->forward(padded.ids, {.labels = labels, .attention_mask = padded.mask, .skip_logits = skip_logits}).loss.item<double>();
        EXPECT_NEAR(loss, sum / count, 1e-4) << (left ? "left" : "right") << (skip_logits ? "" : ", with logits");
      }
    }
  }
}

TEST_P(PackedBatches, TheLossBehindACacheIsOfTheNewTokens) {
  const auto own = model_.load(false), with_kernels = model_.load(true);
  const at::NoGradGuard no_grad;
  const Batch padded = batch({9, 16}, /*pad_left=*/true);
  const auto loss = [&](PreTrainedModel& model) {
    KVCache cache(model.config(), 2, 16, at::kFloat);
    model.forward(padded.ids.narrow(1, 0, 10), {.attention_mask = padded.mask.narrow(1, 0, 10), .past_key_values = &cache});
    const at::Tensor rest = padded.ids.narrow(1, 10, 6);
    return model.forward(rest, {.labels = rest, .attention_mask = padded.mask, .past_key_values = &cache}).loss.item<double>();
  };
  EXPECT_NEAR(loss(*with_kernels), loss(*own), 1e-5);
}

TEST_P(PackedBatches, NothingIsComputedForPadding) {
  const auto model = model_.load(true);
  {
    const at::NoGradGuard no_grad;
    model->named_parameters()["model.embed_tokens.weight"][0].fill_(std::numeric_limits<float>::quiet_NaN());  // padding's
  }
  model->train();
  const Batch padded = batch({3, 11, 1, 20}, /*pad_left=*/false);
  const at::Tensor labels = at::where(padded.mask == 1, padded.ids, -100);
  const CausalLMOutput output = model->forward(padded.ids, {.labels = labels, .attention_mask = padded.mask, .skip_logits = false});
  EXPECT_TRUE(output.logits.index_select(-1, at::arange(1, 250)).isfinite().all().item<bool>());
  model->forward(padded.ids, {.labels = labels, .attention_mask = padded.mask});
  EXPECT_EQ(calls(*model, "varlen_attention"), 4u);
}

TEST_P(PackedBatches, ATokenMaskedAwayBetweenOthersKeepsTheMask) {
  const at::NoGradGuard no_grad;
  const auto own = model_.load(false), with_kernels = model_.load(true);
  Batch padded = batch({12, 8}, /*pad_left=*/true);
  padded.mask[0][4] = 0;
  const auto logits = [&](PreTrainedModel& model) {
    return model.forward(padded.ids, {.attention_mask = padded.mask}).logits * padded.mask.unsqueeze(-1);
  };
  EXPECT_LT((logits(*with_kernels) - logits(*own)).abs().max().item<float>(), 2e-5f);
  EXPECT_EQ(calls(*with_kernels, "varlen_attention"), 0u);
  EXPECT_EQ(calls(*with_kernels, "attention"), 2u);
}

TEST_P(PackedBatches, GreedyTokensOfALeftPaddedBatchAreThoseOfEachRowAlone) {
  const auto own = model_.load(false), with_kernels = model_.load(true);
  const Batch padded = batch({3, 11, 1, 40}, /*pad_left=*/true);
  const at::Tensor out =
      with_kernels->generate(padded.ids, {.max_new_tokens = 12, .eos_token_id = kNever, .attention_mask = padded.mask});
  for (int64_t b = 0; b < 4; ++b) {
    const at::Tensor alone = own->generate(padded.rows[size_t(b)], {.max_new_tokens = 12, .eos_token_id = kNever});
    EXPECT_TRUE(out[b].narrow(0, 40, 12).equal(alone[0].narrow(0, alone.size(1) - 12, 12))) << "row " << b;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PackedBatches, ::testing::Values("tiny-llama", "tiny-qwen3", "windows"),
                         [](const auto& info) { return "model_" + std::to_string(info.index); });

TEST(AttnImplementation, AKernelThatIsNamedServesPaddedBatchesToo) {
  const auto model = Model("tiny-llama").load(true);
  EXPECT_EQ(state(*model, "varlen_attention"), LayerState::bound);
  model->set_attn_implementation("graft-kernels/attention:Attention");
  EXPECT_EQ(state(*model, "varlen_attention"), LayerState::disabled);
  model->set_attn_implementation("sdpa");
  EXPECT_EQ(state(*model, "varlen_attention"), LayerState::bound);
  model->kernelize({.kernel_config = KernelConfig({{"varlen_attention", "graft-kernels/attention:VarlenAttention"}})});
  model->set_attn_implementation("graft-kernels/attention");
  EXPECT_EQ(state(*model, "varlen_attention"), LayerState::bound);
}

/// An attn_implementation, beside the kernels or alone.
class Paged : public ::testing::TestWithParam<std::tuple<std::string, std::string, bool>> {
 protected:
  Model model_{std::get<0>(GetParam())};
  std::shared_ptr<PreTrainedModel> load() const {
    return model_.load(std::get<2>(GetParam()), "paged|" + std::get<1>(GetParam()));
  }
  bool has_kernel() const { return std::get<1>(GetParam()).find('/') != std::string::npos; }
};

TEST_P(Paged, GreedyTokensAreThoseOfADenseCache) {
  const auto paged = load(), dense = model_.load(false);
  for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{7}, {5, 5}, {3, 60, 1, 64, 65}}) {
    const Batch padded = batch(lengths, /*pad_left=*/true);
    const GenerateOptions options{.max_new_tokens = 10, .eos_token_id = kNever, .attention_mask = padded.mask};
    const at::Tensor expected = dense->generate(padded.ids, options), tokens = paged->generate(padded.ids, options);
    EXPECT_TRUE(tokens.equal(expected)) << tokens << expected;
  }
  EXPECT_EQ(calls(*paged, "paged_attention"), has_kernel() ? 2u * 3 * 10 : 0u);
}

TEST_P(Paged, RowsThatEndLeaveTheOthersAsTheyWere) {
  const auto paged = load(), dense = model_.load(false);
  const Batch padded = batch({3, 20, 66}, /*pad_left=*/true);
  const at::Tensor all =
      dense->generate(padded.ids, {.max_new_tokens = 12, .eos_token_id = kNever, .attention_mask = padded.mask});
  // Ends the first row after its second token, and whoever else comes to say it.
  const GenerateOptions options{.max_new_tokens = 12,
                                .eos_token_id = std::vector<int64_t>{all[0][66 + 1].item<int64_t>()},
                                .pad_token_id = 0,
                                .attention_mask = padded.mask};
  const at::Tensor expected = dense->generate(padded.ids, options), tokens = paged->generate(padded.ids, options);
  EXPECT_TRUE(tokens.equal(expected)) << tokens << expected;
}

TEST_P(Paged, ForwardWithoutACacheStaysAsItIs) {
  const at::NoGradGuard no_grad;
  const auto paged = load(), dense = model_.load(false);
  const Batch padded = batch({9, 4}, /*pad_left=*/true);
  const auto logits = [&](PreTrainedModel& model) {
    return model.forward(padded.ids, {.attention_mask = padded.mask}).logits * padded.mask.unsqueeze(-1);
  };
  EXPECT_LT((logits(*paged) - logits(*dense)).abs().max().item<float>(), 2e-5f);
}

TEST_P(Paged, AMaskWithGapsIsRefused) {
  Batch padded = batch({9, 4}, /*pad_left=*/true);
  padded.mask[0][3] = 0;
  try {
    load()->generate(padded.ids, {.max_new_tokens = 2, .attention_mask = padded.mask});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("side by side"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Paged,
    ::testing::Combine(::testing::Values("tiny-llama", "windows"),
                       ::testing::Values("sdpa", "eager", "graft-kernels/attention:PagedAttention"),
                       ::testing::Bool()),
    [](const auto& info) { return "case_" + std::to_string(info.index); });

TEST(PagedImplementation, CanBeSetAndTakenBackAtAnyTime) {
  const auto model = Model("tiny-llama").load(false);
  const Batch padded = batch({3, 30}, /*pad_left=*/true);
  const GenerateOptions options{.max_new_tokens = 6, .eos_token_id = kNever, .attention_mask = padded.mask};
  const at::Tensor expected = model->generate(padded.ids, options);
  for (int round = 0; round < 2; ++round) {
    const BindReport bound = model->set_attn_implementation("paged|graft-kernels/attention");  // its entry by default
    EXPECT_EQ(bound.count(LayerState::bound), 2);
    for (const LayerReport& layer : bound.layers) {
      if (layer.state != LayerState::bound) continue;
      EXPECT_EQ(layer.layer, "paged_attention");
      EXPECT_EQ(layer.entry, "PagedAttention");
    }
    EXPECT_TRUE(model->generate(padded.ids, options).equal(expected));
    EXPECT_EQ(calls(*model, "paged_attention"), 2u * 6);
    EXPECT_EQ(model->set_attn_implementation("sdpa").count(LayerState::bound), 0);
    EXPECT_TRUE(model->generate(padded.ids, options).equal(expected));
  }
}

TEST(PagedImplementation, LoadsAStrangersKernelOnlyWhenAllAreAllowed) {
  test::TestHub hub;
  hub.add("stranger/attention", "v1.0.0", test::fixture("good"));
  const test::ScopedEnv endpoint("HF_ENDPOINT", hub.endpoint().c_str());
  const auto model = Model("tiny-llama").load(false);
  const auto reason = [&](bool allow) {
    const BindReport report = model->set_attn_implementation("paged|stranger/attention:TestRMSNorm", allow);
    for (const LayerReport& layer : report.layers)
      if (layer.layer == "paged_attention") return layer.reason;
    return std::string();
  };
  EXPECT_NE(reason(false).find("not a trusted publisher"), std::string::npos) << reason(false);
  EXPECT_NE(reason(true).find("paged_attention/1"), std::string::npos) << reason(true);  // found, and of another contract
  const at::Tensor ids = testing::ids(nlohmann::json{5, 6, 7});
  EXPECT_EQ(model->generate(ids, {.max_new_tokens = 3, .eos_token_id = kNever}).size(1), 6);
}

}  // namespace
}  // namespace graft
