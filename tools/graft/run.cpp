// graft run: parses its options here; the work is done by libgraft_commands.so, which links LibTorch and is
// opened only now.
#include "command.h"
#include "graft/error.h"
#include "part.h"
#include "run_options.h"

namespace graft {
namespace {

/// "LAYER=REF"; the reference may be empty.
std::pair<std::string, std::string> parse_mapping(const std::string& text) {
  std::size_t equals = text.find('=');
  if (equals == text.npos || equals == 0)
    throw Error(ErrorCode::invalid_argument, "--map \"" + text + "\"", "is not of the form LAYER=REF",
                "write it as in --map RMSNorm=graft-kernels/norm:RMSNorm");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

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
  auto maps = std::make_shared<std::vector<std::string>>();
  command->add_option("MODEL", options->model, "a model's folder, or its name on the Hub")->required();
  command->add_option("--prompt", options->prompt, "what to say to it")->required();
  command->add_option("--kernels", options->kernels, "strict: fail if a mapped layer fell back")
      ->check(CLI::IsMember({"on", "off", "compare", "strict"}))
      ->capture_default_str();
  command->add_option("--map", *maps, "LAYER=REF, as often as needed; LAYER= leaves that layer alone")
      ->allow_extra_args(false);
  command->add_option("--attn-implementation", options->attn_implementation, "a kernel reference");
  command->add_flag("--allow-all-kernels", options->allow_all_kernels,
                    "also of publishers that the policy does not trust");
  command->add_option("--device", options->device)
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--dtype", options->dtype)
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
      ->capture_default_str();
  command->add_option("--mode", options->mode)
      ->check(CLI::IsMember({"inference", "training", "inference+torch_compile", "training+torch_compile"}));
  command->add_option("--max-new-tokens", options->max_new_tokens)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->callback([&line, options, maps] {
    line.action = [&line, options, maps] {
      for (const std::string& text : *maps) options->map.push_back(parse_mapping(text));
      options->json = line.json;
      return run(*options);
    };
  });
}

}  // namespace graft
