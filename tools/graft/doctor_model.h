// graft doctor MODEL: which layers would be bound and why the others not, without loading weights.
#pragma once

#include <memory>
#include <string>

#include "kernel_options.h"

namespace graft {

struct DoctorModelOptions : KernelOptions {
  std::string model;  // "Qwen/Qwen3-0.6B" or a folder; empty: the machine is looked at, not a model
  std::string revision = "main";
  bool strict = false;
  bool json = false;
};

/// Adds the optional MODEL, and the options that go with it alone.
void add_model_options(CLI::App& command, const std::shared_ptr<DoctorModelOptions>& options);

/// Returns an ExitCode, throws Error.
int examine_model(DoctorModelOptions options, bool json);

/// The function of libgraft_commands.so; returns an exit code, throws Error.
using GraftCommandDoctorModel = int (*)(const DoctorModelOptions*);
inline constexpr const char* kGraftCommandDoctorModel = "graft_command_doctor_model";

}  // namespace graft
