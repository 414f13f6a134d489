// One model's figures in one process, for tools/bench/cpu: from its folder to the first token, decoding, a long prompt, memory.
//   model_bench MODEL DTYPE off|strict PROMPT NEW_TOKENS PREFILL_TOKENS [LAYER=REF]…
// Prints one line of JSON; "strict" fails where a mapped layer fell back.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "graft/auto_model.h"
#include "graft/chat_template.h"
#include "graft/stream_decoder.h"
#include "graft/tokenizer.h"
#include "mappings.h"
#include "sampling.h"

namespace {

using namespace graft;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

at::Tensor batch_of_one(const std::vector<int64_t>& ids) { return at::tensor(at::ArrayRef<int64_t>(ids)).unsqueeze(0); }

/// VmHWM, RssAnon, …: a line of /proc/self/status, in MiB.
double memory_mib(const std::string& line) {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key; status.ignore(256, '\n')) {
    double kib;
    if (key == line + ":" && status >> kib) return kib / 1024;
  }
  throw std::runtime_error("/proc/self/status has no " + line);
}

/// What is in memory of libraries' files, not counting what was written, in MiB.
double code_mib() {
  std::ifstream maps("/proc/self/smaps");
  double kib = 0;
  bool of_library = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string key;
    double value = 0;
    words >> key;
    if (!key.ends_with(':'))  // a mapping begins: its last words are the file's path
      of_library = line.ends_with(".so") || line.find(".so.") != std::string::npos ||
                   line.find(".so ") != std::string::npos;
    else if (of_library && (key == "Rss:" || key == "Anonymous:") && words >> value)
      kib += key == "Rss:" ? value : -value;
  }
  return kib / 1024;
}

/// What a token's choice takes, the median of some; logits [1, vocab] of the model, since how many tokens are likely matters.
double sampling_seconds(const Sampling& sampling, const at::Tensor& logits) {
  at::Generator generator = at::detail::createCPUGenerator(1);
  std::vector<double> seconds;
  for (int i = 0; i < 51; ++i) {
    const auto start = Clock::now();
    next_tokens(logits, sampling, generator);
    seconds.push_back(since(start));
  }
  std::nth_element(seconds.begin(), seconds.begin() + 25, seconds.end());
  return seconds[25];
}

nlohmann::ordered_json measure(const std::string& folder, const std::string& dtype, bool kernels, const std::string& text,
                               int64_t new_tokens, int64_t prefill_tokens, const KernelConfig& config) {
  nlohmann::ordered_json out;
  const double libraries_mib = memory_mib("VmHWM"), code_before_mib = code_mib();
  const auto start = Clock::now();
  // As graft run does: both at once, and binding before the tokenizer is needed.
  auto reading = std::async(std::launch::async, [&] {
    Tokenizer tokenizer = Tokenizer::from_file(std::filesystem::path(folder) / "tokenizer.json");
    return std::pair(std::move(tokenizer), since(start));
  });
  const auto model = AutoModelForCausalLM::from_pretrained(folder, {.device_map = "cpu", .dtype = dtype});
  out["open_seconds"] = since(start);
  if (kernels) {
    const BindReport report = model->kernelize({.kernel_config = config});
    if (!report.as_mapped()) throw std::runtime_error("a mapped layer fell back, or is none of the model's:\n" + report.table());
    out["bind_seconds"] = report.seconds;
  }
  const auto [tokenizer, tokenizer_seconds] = reading.get();
  out["tokenizer_seconds"] = tokenizer_seconds;
  out["ready_seconds"] = since(start);
  const ChatTemplate chat = ChatTemplate::from_folder(folder);
  const auto encode_start = Clock::now();
  const ChatMessage message{"user", text};
  const std::vector<int64_t> prompt = tokenizer.encode(chat.render({&message, 1}), {.add_special_tokens = false});
  out["encode_seconds"] = since(encode_start);
  StreamDecoder stream(tokenizer, {.skip_special_tokens = true});
  std::vector<int64_t> ids;
  Clock::time_point first, last;
  double decoding = 0;  // seconds that turning tokens into text took
  model->generate(batch_of_one(prompt), {.max_new_tokens = new_tokens, .streamer = [&](std::span<const int64_t> tokens) {
                                           last = Clock::now();
                                           if (ids.empty()) first = last;
                                           ids.push_back(tokens[0]);
                                           stream.push(tokens[0]);
                                           decoding += since(last);
                                           return true;
                                         }});
  if (ids.size() < 2) throw std::runtime_error("the model answered with less than two tokens: give another prompt");
  const double token_seconds = std::chrono::duration<double>(last - first).count() / double(ids.size() - 1);
  out["first_token_seconds"] = std::chrono::duration<double>(first - start).count();
  out["first_token_at"] = std::chrono::duration<double>(first.time_since_epoch()).count();  // CLOCK_MONOTONIC
  out["tokens_per_second"] = 1 / token_seconds;
  out["peak_mib"] = memory_mib("VmHWM");
  // Until the model was opened, and code that was read later.
  out["libraries_mib"] = libraries_mib + code_mib() - code_before_mib;
  out["own_mib"] = memory_mib("RssAnon");

  std::vector<int64_t> longer(static_cast<size_t>(prefill_tokens));
  for (size_t i = 0; i < longer.size(); ++i) longer[i] = prompt[i % prompt.size()];
  double best = 0;
  for (int i = 0; i < 2; ++i) {  // the first one also makes the plans for its shapes
    const auto prefill_start = Clock::now();
    model->generate(batch_of_one(longer), {.max_new_tokens = 1});
    best = std::max(best, double(prefill_tokens) / since(prefill_start));
  }
  out["prefill_tokens_per_second"] = best;

  const at::NoGradGuard no_grad;
  const at::Tensor logits = model->forward(batch_of_one(prompt), {.logits_to_keep = 1}).logits.select(1, -1);
  out["sampling_share"] = {
      {"greedy", sampling_seconds({}, logits) / token_seconds},
      {"drawn", sampling_seconds({.do_sample = true, .temperature = 0.7, .top_k = 50, .top_p = 0.9}, logits) / token_seconds},
      {"top_p_alone", sampling_seconds({.do_sample = true, .top_p = 0.9}, logits) / token_seconds}};
  out["tokenizer_share"] = decoding / double(ids.size()) / token_seconds;
  out["prompt_ids"] = prompt;
  out["output_ids"] = ids;
  return out;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 7 || (std::string(argv[3]) != "off" && std::string(argv[3]) != "strict")) {
    std::fprintf(stderr, "usage: model_bench MODEL DTYPE off|strict PROMPT NEW_TOKENS PREFILL_TOKENS [LAYER=REF]...\n");
    return 2;
  }
  const KernelConfig config = mappings(argc, argv, 7);
  const bool kernels = std::string(argv[3]) == "strict";
  std::printf("%s\n", measure(argv[1], argv[2], kernels, argv[4], std::stoll(argv[5]), std::stoll(argv[6]), config).dump().c_str());
} catch (const std::exception& e) {
  std::fprintf(stderr, "model_bench: %s\n", e.what());
  return 1;
}
