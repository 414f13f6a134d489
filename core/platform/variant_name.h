// VariantName: the name of a folder below build/, taken apart.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// "13.0" of CUDA, "2.11" of Torch, "2025.2" of XPU.
struct ShortVersion {
  int major = 0, minor = 0;
  auto operator<=>(const ShortVersion&) const = default;
  std::string str() const { return std::to_string(major) + "." + std::to_string(minor); }

  /// "13.0", "2.11.0+cu130" (what follows the second number is passed over), "26" (26.0).
  static std::optional<ShortVersion> parse(std::string_view text);
};

/// Who can load a variant: Graft itself, or an adapter for kernels that were built for Python. In order of preference.
enum class VariantFamily { noarch, tvm_ffi, torch, torch_stable_abi, graft };

/// Names as kernel-builder writes them, and Graft's own:
///
///   graft1-cpu-x86_64-linux-x86_64_v3        plugin ABI 1, with a CPU level
///   torch-stable-abi29-cu130-x86_64-linux    Torch's stable ABI of 2.9
///   torch211-cxx11-cu130-x86_64-linux        exactly Torch 2.11; the tag of the C++ ABI may be missing
///   tvm-ffi01-rocm70-aarch64-linux           tvm-ffi 0.1
///   torch-cuda, torch-universal              Python alone ("noarch"): no CPU, no OS
///
/// Backends: cpu, metal, neuron, tpu; cu130, rocm64, cann82 and xpu20252 carry a version whose last digit is the minor.
/// Source: huggingface/kernels 0.17, variants.py and backends.py.
struct VariantName {
  VariantFamily family = VariantFamily::graft;
  ShortVersion framework = {};     // of Graft: the plugin ABI's major; none of noarch
  std::optional<bool> cxx11 = {};  // Torch's tag
  std::string backend = {};        // "cuda" of cu130; of noarch as it stands, perhaps "universal"
  ShortVersion backend_version = {};
  std::string cpu = {}, os = {};   // "x86_64", "linux"; empty of noarch
  int cpu_level = 0;               // 3 of "-x86_64_v3"

  /// Nothing for a name of another form. Pure.
  static std::optional<VariantName> parse(std::string_view text);
};

}  // namespace graft
