// fine_tune: a host that trains a model on a text. Labels are the tokens themselves, the loss is the next
// token's, AdamW steps, and what was learned is saved. Kernels change how fast that is and how much memory it
// takes, not what is learned.
#include <c10/util/Exception.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "adamw.h"
#include "graft/auto_model.h"
#include "graft/error.h"
#include "graft/fetch_model.h"
#include "graft/tokenizer.h"
#include "options.h"
#include "report.h"
#include "save.h"
#include "windows.h"

namespace {

namespace fs = std::filesystem;

std::atomic<bool> interrupted = false;

/// The first Ctrl-C is a request; the second one ends the process as it would any other.
void stop_after_this_step(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

/// Each step takes the same memory as the one before. Given back in between, its pages would be cleared by
/// the system anew every time: 4 % of a step.
void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
}

std::string read(const fs::path& file) {
  std::ostringstream text;
  if (!(text << std::ifstream(file, std::ios::binary).rdbuf())) {
    throw graft::Error(graft::ErrorCode::io, "text " + file.string(), "it is empty, or cannot be read");
  }
  return text.str();
}

Step train(graft::PreTrainedModel& model, AdamW& optimizer, const at::Tensor& ids) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  const at::Tensor loss = model.forward(ids, {.labels = ids}).loss;
  loss.backward();
  optimizer.step();
  model.zero_grad(/*set_to_none=*/true);  // their memory serves the next step's activations
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {loss.item<double>(), seconds.count(), cpu_seconds() - cpu};
}

int run(const Options& options) {
  const fs::path folder = graft::fetch_model(options.model).folder;
  const graft::Tokenizer tokenizer = graft::Tokenizer::from_file(folder / "tokenizer.json");
  const Windows windows(tokenizer.encode(read(options.text)), options.sequence_length);

  const auto model = graft::AutoModelForCausalLM::from_pretrained(
      folder.string(), {.use_kernels = options.kernels, .device_map = "cpu", .dtype = options.dtype});
  model->train();
  model->gradient_checkpointing_enable(options.checkpoint);
  AdamW optimizer(model->parameters(), {.learning_rate = options.learning_rate});

  Summary summary{.tokens_per_step = options.batch * options.sequence_length};
  std::signal(SIGINT, stop_after_this_step);
  std::signal(SIGTERM, stop_after_this_step);
  for (int64_t step = 0; step < options.steps && !interrupted; ++step) {
    summary.steps.push_back(train(*model, optimizer, windows.batch(step, options.batch)));
    if (!options.json) std::cout << line_of(step + 1, summary.steps.back()) << std::endl;
  }

  const graft::BindReport report = model->kernel_report();
  summary.bound = report.count(graft::LayerState::bound);
  summary.layers = int(report.layers.size());
  summary.interrupted = interrupted;
  if (!options.output.empty()) save_pretrained(*model, folder, options.output);
  std::cout << (options.json ? summary.json() : summary.text()) << "\n";
  return interrupted ? 130 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Parsed parsed = parse_options(argc, argv);
  if (parsed.exit) return *parsed.exit;
  keep_freed_memory();
  try {
    return run(parsed.options);
  } catch (const graft::Error& error) {
    std::cerr << "fine_tune: " << error.what() << "\n";
    return error.code() == graft::ErrorCode::invalid_argument ? 2 : 1;
  } catch (const c10::Error& error) {  // its what() carries a backtrace
    std::cerr << "fine_tune: " << error.what_without_backtrace() << "\n";
  } catch (const std::exception& error) {
    std::cerr << "fine_tune: " << error.what() << "\n";
  }
  return 1;
}
