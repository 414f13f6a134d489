// HostPlatform: this machine, as far as it decides which variant of a kernel fits.
#pragma once

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
  };

  std::string os;                         // "linux"
  std::string cpu;                        // "x86_64", "aarch64"
  std::string cpu_level;                  // x86-64 psABI level: "x86_64_v1" … "x86_64_v4"; empty elsewhere
  std::vector<std::string> cpu_features;  // as in /proc/cpuinfo ("avx2", "fma", …), sorted
  std::string glibc;                      // "2.36"; empty with another libc
  std::optional<Cuda> cuda;               // detect() leaves it empty: see with_cuda()

  /// Reads this machine once; the same object afterwards. Does not touch the CUDA driver. Any thread.
  static const HostPlatform& detect();

  /// This platform with `cuda` filled in from the driver (libcuda.so.1, opened on first use, which takes some
  /// 100 ms); unchanged if there is no driver or no device. Any thread.
  HostPlatform with_cuda() const;

  /// {os, cpu, cpu_level, cpu_features, glibc, cuda: {driver, capabilities}} and back.
  /// from_json throws Error(invalid_argument), naming the field.
  std::string to_json() const;
  static HostPlatform from_json(std::string_view text);

  /// The first of `needed` (names separated by spaces; null: none) that this CPU lacks; empty if it has them
  /// all.
  std::string missing_cpu_feature(const char* needed) const;
};

/// "x86_64_v3" for these features (sorted) of an x86-64 CPU. Source: x86-64 psABI, micro-architecture levels.
std::string x86_64_level(const std::vector<std::string>& features);

/// The features that a text of the form of /proc/cpuinfo gives for its first CPU, sorted.
std::vector<std::string> parse_cpuinfo(std::string_view text);

}  // namespace graft
