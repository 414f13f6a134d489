// graft run: a model answers a prompt, with its own layers, with kernels, or with both one after the other.
#include "run_options.h"

#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "graft/auto_model.h"
#include "graft/chat_template.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "graft/stream_decoder.h"
#include "graft/tokenizer.h"
#include "html_file.h"
#include "model_kernels.h"
#include "terminal.h"

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> interrupted = false;

/// Ctrl-C ends the answer after the current token, for as long as this lives.
class Interruptible {
 public:
  Interruptible() : previous_(std::signal(SIGINT, [](int) { interrupted = true; })) {}
  ~Interruptible() { std::signal(SIGINT, previous_); }

 private:
  void (*previous_)(int);
};

struct Answer {
  std::vector<int64_t> ids;  // without the prompt
  std::string text;
  double prefill_seconds = 0;    // until the first token
  double tokens_per_second = 0;  // of the tokens after the first; 0 if there is none
};

Answer answer(PreTrainedModel& model, const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
              const RunOptions& options) {
  Answer result;
  StreamDecoder stream(tokenizer, {.skip_special_tokens = true});
  const auto show = [&](const std::string& text) {
    result.text += text;
    if (!options.json) std::cout << text << std::flush;
  };
  const auto start = Clock::now();
  Clock::time_point first = start, last = start;
  model.generate(at::tensor(at::ArrayRef<int64_t>(prompt)).unsqueeze(0),
                 {.max_new_tokens = options.max_new_tokens, .streamer = [&](std::span<const int64_t> tokens) {
                    last = Clock::now();
                    if (result.ids.empty()) first = last;
                    result.ids.push_back(tokens[0]);
                    show(stream.push(tokens[0]));
                    return !interrupted;
                  }});
  show(stream.finish());
  if (!options.json) std::cout << "\n";
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  result.prefill_seconds = seconds(first - start);
  if (result.ids.size() > 1) result.tokens_per_second = double(result.ids.size() - 1) / seconds(last - first);
  return result;
}

/// The model's own chat format around the prompt; a model without a template gets the text as it is.
std::vector<int64_t> encode(const Tokenizer& tokenizer, const std::filesystem::path& folder, const std::string& prompt) {
  std::optional<ChatTemplate> chat;
  try {
    chat = ChatTemplate::from_folder(folder);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return tokenizer.encode(prompt);
  }
  const ChatMessage message{"user", prompt};
  return tokenizer.encode(chat->render({&message, 1}), {.add_special_tokens = false});
}

BindReport bind(PreTrainedModel& model, const ModelKernelizeOptions& kernels, const std::string& attn_implementation) {
  BindReport report = model.kernelize(kernels);
  if (attn_implementation.empty()) return report;
  return model.set_attn_implementation(attn_implementation, kernels.allow_all_kernels);
}

nlohmann::ordered_json json_of(const Answer& answer) {
  return {{"output_ids", answer.ids},
          {"text", answer.text},
          {"tokens_per_second", answer.tokens_per_second},
          {"prefill_seconds", answer.prefill_seconds}};
}

void write_report(const RunOptions& options, const BindReport& report) {
  if (options.report.empty()) return;
  write_html_file("--report", options.report, report.html({.title = "graft run " + options.model}));
}

std::string speed(const Answer& answer) {
  char text[96];
  std::snprintf(text, sizeof text, "%.1f tokens/s after %.0f ms of prompt", answer.tokens_per_second,
                answer.prefill_seconds * 1e3);
  return text;
}

int run(const RunOptions& options) {
  const bool compare = options.kernels == "compare", kernels = options.kernels != "off";
  const ModelKernelizeOptions asked = [&] {
    ModelKernelizeOptions given = kernelize_options(options);
    if (options.kernel_policy == "fastest") given.kernel_policy = KernelPolicy::fastest;
    return given;
  }();
  if (!options.report.empty()) check_html_file("--report", options.report);
  const FetchedModel fetched = fetch_model(options.model);
  const std::filesystem::path& folder = fetched.folder;
  if (!fetched.note.empty()) std::cerr << "note: model " << options.model << " is " << fetched.note << "\n";
  const auto start = Clock::now();
  // At once: where weights are mapped as they are, the tokenizer takes longer than opening the model and binding its layers.
  auto reading = std::async(std::launch::async, [&] { return Tokenizer::from_file(folder / "tokenizer.json"); });
  const auto model =
      AutoModelForCausalLM::from_pretrained(folder.string(), {.device_map = options.device, .dtype = options.dtype});
  std::optional<BindReport> bound_already;
  if (kernels && !compare) bound_already = bind(*model, asked, options.attn_implementation);
  const Tokenizer tokenizer = reading.get();
  const std::vector<int64_t> prompt = encode(tokenizer, folder, options.prompt);
  const double load_seconds =
      std::chrono::duration<double>(Clock::now() - start).count() - (bound_already ? bound_already->seconds : 0);
  const Interruptible until_the_end;

  Answer own, bound;
  if (compare || !kernels) {
    if (compare && !options.json) std::cout << "── its own layers ──\n";
    own = answer(*model, tokenizer, prompt, options);
    if (interrupted) return 130;
  }
  BindReport report = model->kernel_report();
  if (kernels) {
    report = bound_already ? std::move(*bound_already) : bind(*model, asked, options.attn_implementation);
    if (const std::string why = strict_failure(report); options.kernels == "strict" && !why.empty()) {
      write_report(options, report);
      if (options.json) {
        std::cout << report.json() << "\n";
      } else {
        std::cerr << printable(report.table()) << "graft: --kernels strict: " << why << "\n";
      }
      return 1;
    }
    if (compare && !options.json) std::cout << "\n── with kernels ──\n";
    bound = answer(*model, tokenizer, prompt, options);
    if (interrupted) return 130;
    const double bind_seconds = report.seconds;
    std::vector<std::string> warnings = std::move(report.warnings);
    report = model->kernel_report();  // after the run, so that failures while running show
    report.seconds = bind_seconds;
    report.warnings = std::move(warnings);
  }

  write_report(options, report);
  const Answer& last = kernels ? bound : own;
  if (options.json) {
    nlohmann::ordered_json out = {{"prompt_ids", prompt}};
    out.update(json_of(last));
    if (compare) {
      out["own"] = json_of(own);
      out["same_tokens"] = own.ids == bound.ids;
    }
    out["load_seconds"] = load_seconds;
    out.update(nlohmann::ordered_json::parse(report.json()));
    out["bind_seconds"] = out["seconds"];
    out.erase("seconds");
    std::cout << out.dump() << "\n";
    return 0;
  }
  if (kernels) std::cout << "\n" << printable(report.table());
  std::cout << "\n";
  if (compare) std::cout << "own layers    " << speed(own) << "\n";
  if (kernels) {
    std::cout << "with kernels  " << speed(bound);
    if (compare && own.tokens_per_second > 0) {
      std::printf("  (%.2f ×)", bound.tokens_per_second / own.tokens_per_second);
      std::fflush(stdout);
    }
    std::cout << "\n";
    char bound_line[128];
    std::snprintf(bound_line, sizeof bound_line, "bound         %d of %zu layers in %.1f ms\n",
                  report.count(LayerState::bound), report.layers.size(), report.seconds * 1e3);
    std::cout << bound_line;
  } else {
    std::cout << "own layers    " << speed(own) << "\n";
  }
  if (compare) {
    std::cout << "tokens        "
              << (own.ids == bound.ids ? "the same in both runs" : "different: kernels round in another order") << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace graft

extern "C" __attribute__((visibility("default"))) int graft_command_run(const graft::RunOptions* options) {
  try {
    return graft::run(*options);
  } catch (const c10::Error& error) {  // its what() carries a backtrace
    throw graft::Error(graft::ErrorCode::internal, "graft run", error.what_without_backtrace(), "please report it");
  }
}
