// What kernels of lesser precision cost the real model: its perplexity over a text, and where its tokens
// part; what they leave in memory.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "file_pages.h"
#include "golden.h"
#include "graft/auto_model.h"
#include "graft/tokenizer.h"
#include "kv_cache.h"

namespace graft {
namespace {

const KernelConfig kInt8({{"DecoderLayer", "graft-kernels/decoder:Int8DecoderLayer"},
                          {"Linear", "graft-kernels/linear:Int8Linear"},
                          {"SwiGLUMLP", "graft-kernels/mlp:Int8SwiGLUMLP"}});

std::shared_ptr<PreTrainedModel> load(FromPretrainedOptions options) {
  const std::filesystem::path folder = testing::smollm2();
  if (!std::filesystem::exists(folder / "model.safetensors"))
    throw std::runtime_error("no model in " + folder.string() + ": ./tools/test sets it up");
  if (options.use_kernels || options.kernel_config) options.use_fallback = false;  // what is measured is what was asked for
  return AutoModelForCausalLM::from_pretrained(folder.string(), options);
}

/// The first two chapters of Alice's Adventures in Wonderland (Lewis Carroll, 1865, in the public domain), 5,431 tokens.
at::Tensor text() {
  std::ifstream file(std::filesystem::path(GRAFT_SOURCE_DIR) / "tests/models/perplexity/alice.txt");
  const std::string words{std::istreambuf_iterator<char>(file), {}};
  const std::vector<int64_t> ids = Tokenizer::from_file(testing::smollm2() / "tokenizer.json").encode(words);
  return at::tensor(at::ArrayRef<int64_t>(ids)).view({1, -1});
}

constexpr int64_t kWindow = 512;  // tokens, each window read by itself

/// The sum of the losses of a window's tokens.
using Loss = double (*)(PreTrainedModel&, const at::Tensor& window);

double loss_at_once(PreTrainedModel& model, const at::Tensor& window) {
  return model.forward(window, {.labels = window}).loss.item<double>() * double(window.size(1) - 1);
}

/// In steps of 16 tokens behind a KV cache: what kernels take for few rows, as in decode.
double loss_of_steps(PreTrainedModel& model, const at::Tensor& window) {
  constexpr int64_t kStep = 16;
  KVCache cache(model.config(), 1, kWindow, model.parameters()[0].options());
  double loss = 0;
  for (int64_t at = 0; at + 1 < window.size(1); at += kStep) {
    const int64_t tokens = std::min(kStep, window.size(1) - 1 - at);
    const at::Tensor logits = model.forward(window.narrow(1, at, tokens), {.past_key_values = &cache}).logits;
    const at::Tensor next = window.narrow(1, at + 1, tokens).unsqueeze(-1);
    loss -= at::log_softmax(logits, -1, at::kFloat).gather(-1, next).sum().item<double>();
  }
  return loss;
}

double perplexity(const FromPretrainedOptions& options, const at::Tensor& ids, Loss loss_of) {
  const std::shared_ptr<PreTrainedModel> model = load(options);
  const at::NoGradGuard no_grad;
  double loss = 0, predicted = 0;
  for (int64_t begin = 0; begin + 1 < ids.size(1); begin += kWindow) {
    const at::Tensor window = ids.narrow(1, begin, std::min(kWindow, ids.size(1) - begin));
    loss += loss_of(*model, window);
    predicted += double(window.size(1) - 1);
  }
  return std::exp(loss / predicted);
}

/// Of each kind of kernel beside the model's own layers, which read the windows at once. in_bfloat16: how far apart it may be there.
void expect_perplexity_of_the_model(const at::Tensor& ids, Loss loss_of, double in_bfloat16) {
  const double own = perplexity({.dtype = "float32"}, ids, loss_at_once);
  std::cout << "own layers in float32  " << own << "\n";
  const auto expect_near = [&](const char* what, const FromPretrainedOptions& options, double share) {
    const double found = perplexity(options, ids, loss_of);
    std::cout << what << found << " (" << 100 * (found / own - 1) << " %)\n";
    EXPECT_NEAR(found, own, share * own) << what;
  };
  expect_near("kernels in float32     ", {.use_kernels = true, .dtype = "float32"}, 0.0001);
  expect_near("kernels in bfloat16    ", {.use_kernels = true, .dtype = "bfloat16"}, in_bfloat16);
  expect_near("kernels in int8        ", {.kernel_config = kInt8, .dtype = "float32"}, 0.01);
  expect_near("and in bfloat16        ", {.kernel_config = kInt8, .dtype = "bfloat16"}, 0.01);
}

TEST(Precision, PerplexityOfEachKindOfKernelIsThatOfTheModel) {
  const at::Tensor ids = text();
  ASSERT_GE(ids.size(1), 5000);
  expect_perplexity_of_the_model(ids, loss_at_once, 0.001);
}

// Of fewer tokens what bfloat16 rounds averages out less: by the order of a variant's sums from -0.24 % (AVX2) to 0.08 % (AVX-512).
TEST(Precision, PerplexityInStepsIsThatOfTheModel) {
  expect_perplexity_of_the_model(text().narrow(1, 0, 2048), loss_of_steps, 0.005);
}

TEST(Precision, TokensOfInt8PartFromTheModelsOnlyWhereTwoAreAboutAsLikely) {
  const auto exact = load({.dtype = "float32"}), quantised = load({.kernel_config = kInt8, .dtype = "float32"});
  const nlohmann::json golden = testing::load_json(testing::kGolden / "smollm2.json");
  const at::NoGradGuard no_grad;
  for (const nlohmann::json& prompt : golden["prompts"]) {
    SCOPED_TRACE(prompt["prompt"].get<std::string>());
    const at::Tensor prompt_ids = testing::ids(prompt["prompt_ids"]), expected = testing::ids(prompt["greedy_ids_ignoring_eos"]);
    const at::Tensor ids = at::cat({prompt_ids, expected}, 1);
    const at::Tensor found =
        quantised->generate(prompt_ids, {.max_new_tokens = expected.size(1), .eos_token_id = std::vector<int64_t>{}});
    int64_t at = prompt_ids.size(1);
    while (at < ids.size(1) && found[0][at].item<int64_t>() == ids[0][at].item<int64_t>()) ++at;
    std::cout << at - prompt_ids.size(1) << " of " << expected.size(1) << " tokens are the same\n";
    if (at == ids.size(1)) continue;
    const at::Tensor logits = exact->forward(ids.narrow(1, 0, at), {.logits_to_keep = 1}).logits.flatten();
    const double lost = (logits.max() - logits[found[0][at].item<int64_t>()]).item<double>();
    EXPECT_LT(lost, 0.5) << "the model itself gives this token exp(-" << lost << ") times its best one's probability";
  }
}

// The table of embeddings is lm_head's weight as well, of which a kernel has its own in 8 bits: else each
// word looked up would leave 64 KiB of the file in memory, and a long text all of it.
TEST(Precision, WordsLookedUpInInt8LeaveLittleOfTheFileInMemory) {
  constexpr size_t kFaultAround = 1 << 16;
  const auto model = load({.kernel_config = kInt8, .dtype = "float32"});
  const at::NoGradGuard no_grad;
  const at::Tensor table = model->named_parameters()["model.embed_tokens.weight"];
  ASSERT_TRUE(table.defined());
  release_pages(table);
  KVCache cache(model->config(), 1, 120, at::TensorOptions(at::kFloat));
  const at::Tensor ids = at::arange(200, 49000, 400).view({1, -1});
  model->forward(ids.narrow(1, 0, 100), {.past_key_values = &cache});
  for (int64_t i = 100; i < 120; ++i) model->forward(ids.narrow(1, i, 1), {.past_key_values = &cache});
  EXPECT_LT(release_pages(table), 2 * kFaultAround);
  at::embedding(table, ids);  // who is not the model leaves them
  EXPECT_GT(release_pages(table), 60 * kFaultAround);
}

}  // namespace
}  // namespace graft
