// Parses the options here; the work is done by libgraft_commands.so, which links LibTorch and is opened only
// now.
#include "doctor_model.h"

#include <CLI/CLI.hpp>

#include "part.h"

namespace graft {

void add_model_options(CLI::App& command, const std::shared_ptr<DoctorModelOptions>& options) {
  CLI::Option* model = command.add_option("MODEL", options->model,
                                          "a model's folder, or its name on the Hub: say which of its layers "
                                          "would be bound (reads config.json alone)");
  std::vector<CLI::Option*> others = add_kernel_options(command, *options);
  others.push_back(command.add_option("--revision", options->revision, "a branch, tag or commit of MODEL")
                       ->capture_default_str());
  others.push_back(command.add_flag(
      "--strict", options->strict,
      "exit 1 if a mapped layer would fall back, or a mapped name is none of the model's; for CI"));
  for (CLI::Option* option : others) option->needs(model);
}

int examine_model(DoctorModelOptions options, bool json) {
  options.json = json;
  return open_part<int(const DoctorModelOptions*)>("libgraft_commands.so", kGraftCommandDoctorModel,
                                                   "graft doctor MODEL",
                                                   "build Graft with GRAFT_WITH_TORCH=ON")(&options);
}

}  // namespace graft
