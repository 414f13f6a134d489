// From a command's words to a model's kernels: what `graft run` and `graft doctor MODEL` share.
#pragma once

#include <string>

#include "graft/bind_report.h"
#include "graft/pretrained_model.h"
#include "kernel_options.h"

namespace graft {

/// Throws Error(invalid_argument) for a malformed reference and for a layer that is named twice; to be asked
/// before a model is fetched or loaded.
ModelKernelizeOptions kernelize_options(const KernelOptions& options);

/// "2 mapped layers fall back; 1 mapped name is none of the model's": why strict fails. Empty: it does not.
std::string strict_failure(const BindReport& report);

}  // namespace graft
