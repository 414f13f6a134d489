// graft run: parses its options here; the work is done by libgraft_commands.so, which links LibTorch and is
// opened only now.
#include "command.h"
#include "part.h"
#include "run_options.h"

namespace graft {
namespace {

int run(const RunOptions& options) {
  return open_part<int(const RunOptions*)>("libgraft_commands.so", kGraftCommandRun, "graft run",
                                           "build Graft with GRAFT_WITH_TORCH=ON")(&options);
}

}  // namespace

void add_run(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "run", "Let a model answer a prompt, its layers with kernels bound onto them",
                  "graft run ./SmolLM2-135M-Instruct --prompt \"What is gravity?\" --kernels compare");
  auto options = std::make_shared<RunOptions>();
  command->add_option("MODEL", options->model, "a model's folder, or its name on the Hub")->required();
  command->add_option("--prompt", options->prompt, "what to say to it")->required();
  command->add_option("--kernels", options->kernels, "strict: fail if a mapped layer fell back, or a mapped name is none of the model's")
      ->check(CLI::IsMember({"on", "off", "compare", "strict"}))
      ->capture_default_str();
  add_kernel_options(*command, *options);
  command->add_option("--kernel-policy", options->kernel_policy,
                      "fastest: of kernel and own forward what is faster, by the shapes seen first; the table shows both times")
      ->check(CLI::IsMember({"always", "fastest"}))
      ->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--report", options->report, "also write a page that shows each layer and its kernel, which needs no network");
  command->callback([&line, options] {
    line.action = [&line, options] {
      options->json = line.json;
      return run(*options);
    };
  });
}

}  // namespace graft
