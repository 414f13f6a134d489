#include "allowed_libraries.h"

#include <string>

namespace graft {
namespace {

enum class For { all, other_families };  // the second: not Graft's own variants

struct AllowedLibrary {
  std::string_view name;         // a '*' at its end stands for any rest without a slash
  std::string_view device = {};  // empty: every device
  For who = For::all;
};

// Rationale: what is here is on every host, or is the device's own runtime. OpenMP and TBB are not: plugins
// start no threads, the host's parallel_for does.
constexpr AllowedLibrary kAllowed[] = {
    {"libc.so.6"},
    {"libm.so.6"},
    {"libpthread.so.0"},
    {"libdl.so.2"},
    {"librt.so.1"},
    {"ld-linux-x86-64.so.2"},
    {"ld-linux-aarch64.so.1"},
    {"libgcc_s.so.1"},
    {"libstdc++.so.6"},
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    {"libasan.so.*"},  // what Graft itself is then linked to
    {"libtsan.so.*"},
    {"libubsan.so.*"},
#endif
    {"libcuda.so.1", "cuda"},
    {"libcudart.so.*", "cuda"},
    {"libcublas.so.*", "cuda"},
    {"libcublasLt.so.*", "cuda"},
    {"libamdhip64.so.*", "rocm"},
    {"libhipblas.so.*", "rocm"},
    {"libze_loader.so.1", "xpu"},
    {"libsycl.so.*", "xpu"},
    {"libgomp.so.1", "", For::other_families},
    {"libtorch*", "", For::other_families},
    {"libc10*", "", For::other_families},
    {"libtvm_ffi.so*", "", For::other_families},
    {"libcudnn*", "cuda", For::other_families},
    {"libcusparse.so.*", "cuda", For::other_families},
    {"libcusolver.so.*", "cuda", For::other_families},
    {"libcurand.so.*", "cuda", For::other_families},
    {"libcufft.so.*", "cuda", For::other_families},
    {"libnvrtc.so.*", "cuda", For::other_families},
};

bool matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(pattern.substr(0, pattern.size() - 1)) && name.find('/') == name.npos;
}

}  // namespace

bool is_allowed_library(std::string_view library, ElfFamily family, std::string_view device) {
  std::string_view kind = device.substr(0, device.find(':'));
  for (const AllowedLibrary& allowed : kAllowed)
    if (matches(allowed.name, library) && (allowed.device.empty() || allowed.device == kind) &&
        (allowed.who == For::all || family == ElfFamily::other))
      return true;
  return false;
}

}  // namespace graft
