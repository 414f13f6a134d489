// Where a model's weights go and in which dtype, in users' words.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

namespace graft {

/// "float32", "bfloat16", "float16"; none for "auto". Throws Error(invalid_argument).
std::optional<at::ScalarType> parse_dtype(const std::string& text);

/// "cpu", "cuda", "cuda:1", or "auto", the first GPU if there is a driver with one. Opens LibTorch's CUDA
/// side for a GPU, and nothing of CUDA for "cpu". Throws Error: invalid_argument, unsupported as open_cuda().
c10::Device parse_device(const std::string& text);

}  // namespace graft
