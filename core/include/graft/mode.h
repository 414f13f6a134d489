// Mode: what a model is about to do, and so which kernels fit.
#pragma once

#include <string>
#include <utility>

namespace graft {

/// A set of flags. Inference together with Training is an error where a Mode is taken; TorchCompile goes with either.
/// Fallback stands in mappings only: the kernel for every mode that has none of its own.
enum class Mode : unsigned { Inference = 1, Training = 2, TorchCompile = 4, Fallback = 8 };

constexpr Mode operator|(Mode a, Mode b) { return Mode(unsigned(a) | unsigned(b)); }
constexpr bool has(Mode mode, Mode flag) { return (unsigned(mode) & unsigned(flag)) != 0; }

/// "inference", "training|torch_compile", …
inline std::string name(Mode mode) {
  std::string text;
  for (auto [flag, word] : {std::pair{Mode::Inference, "inference"}, std::pair{Mode::Training, "training"},
                            std::pair{Mode::TorchCompile, "torch_compile"}, std::pair{Mode::Fallback, "fallback"}}) {
    if (has(mode, flag)) text += (text.empty() ? "" : "|") + std::string(word);
  }
  return text;
}

}  // namespace graft
