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
  std::optional<Cuda> cuda;               // filled by detect_cuda()

  /// Reads this machine once; the same object afterwards. Does not touch the CUDA driver. Any thread.
  static const HostPlatform& detect();

  /// {os, cpu, cpu_level, cpu_features, glibc, cuda: {driver, capabilities}} and back.
  /// from_json throws Error(invalid_argument), naming the field.
  std::string to_json() const;
  static HostPlatform from_json(std::string_view text);

  /// The first of `needed` (names separated by spaces; null: none) that this CPU lacks; empty if it has them
  /// all.
  std::string missing_cpu_feature(const char* needed) const;
};

}  // namespace graft
