// HostPlatform: this machine, as far as it decides which variant of a kernel fits.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// A value. What is absent on the host is empty; the JSON form leaves it out.
struct HostPlatform {
  struct Cuda {
    int driver = 0;                         // newest CUDA the driver serves, major * 1000 + minor * 10: 13000
    std::vector<std::string> capabilities;  // one per device: "9.0"
    int runtime = 0;                        // of LibTorch's CUDA; 0: none is known, and the driver alone decides
  };

  std::string os;                         // "linux", "darwin", "windows"
  std::string cpu;                        // "x86_64", "aarch64"
  std::string cpu_level;                  // x86-64 psABI level: "x86_64_v1" … "x86_64_v4"; empty elsewhere
  std::vector<std::string> cpu_features;  // in /proc/cpuinfo's words ("avx2", "fma", …), sorted
  std::string glibc;                      // "2.36"; empty with another libc
  std::string torch;                      // "2.11": the LibTorch that graft::graft was built with
  std::optional<bool> torch_cxx11_abi;    // none without torch
  std::string tvm_ffi;                    // "0.1"
  // Kernels built for Python that this Graft can load: "torch", "torch-stable-abi", "tvm-ffi".
  std::vector<std::string> adapters;

  // What detect() leaves empty: see with_device().
  std::optional<Cuda> cuda;
  std::string rocm;   // "6.4"
  std::string metal;  // macOS's version, which Metal's goes by: "26.0"
  std::string xpu;    // of oneAPI: "2025.2"
  std::string cann;   // of the npu device: "8.2"; known of described hosts alone

  /// Reads this machine once; the same object afterwards. Asks no driver. Any thread.
  static const HostPlatform& detect();

  /// This platform with what a device needs: of "cuda" driver and devices (libcuda.so.1, opened on first use, which takes
  /// some 100 ms; no context is made), of "rocm" and "xpu" the installed version; "" is all of them. What is not there
  /// stays empty. Any thread.
  HostPlatform with_device(std::string_view kind) const;

  /// {os, cpu, cpu_level, cpu_features, glibc, torch, torch_cxx11_abi, cuda: {driver, runtime, capabilities}, rocm, metal,
  /// xpu, cann, tvm_ffi, adapters} and back. from_json throws Error(invalid_argument), naming the field; a field that it
  /// does not know is one.
  std::string to_json() const;
  static HostPlatform from_json(std::string_view text);

  /// The first of `needed` (names separated by spaces; null: none) that this CPU lacks; empty if it has them
  /// all.
  std::string missing_cpu_feature(const char* needed) const;
};

/// "x86_64_v3" for these features (sorted) of an x86-64 CPU. Source: x86-64 psABI, micro-architecture levels.
std::string x86_64_level(const std::vector<std::string>& features);

/// What this process may use of its CPU, in /proc/cpuinfo's words, sorted: by cpuid and xgetbv on x86-64, by getauxval on
/// aarch64.
std::vector<std::string> cpu_features();

/// "13.0" ↔ 13000, as CUDA counts.
std::string cuda_version_text(int version);

/// "6.4" of an installation of ROCm, "2025.2" of oneAPI's below `root` ("/"); empty if there is none.
std::string find_rocm(const std::filesystem::path& root);
std::string find_oneapi(const std::filesystem::path& root);

}  // namespace graft
