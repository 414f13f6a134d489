// cuBLASLt, opened when a product first asks for it. A host on LibTorch has it loaded, and its soname finds it there; where the
// loader only looks at a plugin it need not exist, so no plugin is linked against it.
#pragma once

#include <cublasLt.h>
#include <dlfcn.h>

#include <array>
#include <mutex>
#include <stdexcept>
#include <string>

#include "portability.h"

namespace graft::gpu {

inline constexpr const char* kCublasLtSoname = "libcublasLt.so.13";

// What is used of the library, by the names of its header. The library stays open for the life of the process.
class CublasLt {
 public:
  // Throws plugin::Unsupported where the library is missing; the next call looks again, since a host may have opened it by then.
  static const CublasLt& get() {
    static const CublasLt* library = new CublasLt;  // never destroyed: threads may multiply until the very end
    return *library;
  }

  decltype(&::cublasLtCreate) create;
  decltype(&::cublasLtGetStatusString) status_string;
  decltype(&::cublasLtMatmul) matmul;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) get_heuristic;
  decltype(&::cublasLtMatmulDescCreate) desc_create;
  decltype(&::cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&::cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&::cublasLtMatrixLayoutCreate) layout_create;
  decltype(&::cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&::cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&::cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) preference_set;

  void check(cublasStatus_t status, const char* what) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    check_launch();  // a lost device says more of itself
    throw std::runtime_error(std::string("cuBLASLt: ") + what + ": " + status_string(status));
  }

 private:
  CublasLt() {
    void* library = dlopen(kCublasLtSoname, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* why = dlerror();
      throw plugin::Unsupported(
          std::string(kCublasLtSoname) + " cannot be opened (" + (why != nullptr ? why : "no reason given") +
          "): install cuBLAS for CUDA 13 (PyPI: nvidia-cublas) and name its folder in LD_LIBRARY_PATH, or use a "
          "host that has loaded LibTorch for CUDA 13");
    }
    find(library, create, "cublasLtCreate");
    find(library, status_string, "cublasLtGetStatusString");
    find(library, matmul, "cublasLtMatmul");
    find(library, get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(library, desc_create, "cublasLtMatmulDescCreate");
    find(library, desc_destroy, "cublasLtMatmulDescDestroy");
    find(library, desc_set, "cublasLtMatmulDescSetAttribute");
    find(library, layout_create, "cublasLtMatrixLayoutCreate");
    find(library, layout_destroy, "cublasLtMatrixLayoutDestroy");
    find(library, preference_create, "cublasLtMatmulPreferenceCreate");
    find(library, preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(library, preference_set, "cublasLtMatmulPreferenceSetAttribute");
  }

  template <class Function>
  static void find(void* library, Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr)
      throw plugin::Unsupported(std::string(kCublasLtSoname) + " has no " + name + ": install a newer cuBLAS for CUDA 13");
  }
};

// While it lives, this thread may do what a capture of any stream forbids otherwise: the first product on a device, or of a
// shape, allocates and loads code. None of that is work on the stream being captured.
class RelaxedCapture {
 public:
  RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

// The handle of `device`, which must be current. It holds no state that products change, so all threads share it.
inline cublasLtHandle_t cublaslt_handle(int device) {
  constexpr int kMaxDevices = 64;
  static std::mutex* mutex = new std::mutex;
  static auto* handles = new std::array<cublasLtHandle_t, kMaxDevices>{};
  if (device < 0 || device >= kMaxDevices)
    throw plugin::Unsupported("device " + std::to_string(device) + " is none of the first 64");
  const std::lock_guard lock(*mutex);
  cublasLtHandle_t& handle = (*handles)[size_t(device)];
  if (handle == nullptr) CublasLt::get().check(CublasLt::get().create(&handle), "creating a handle");
  return handle;
}

}  // namespace graft::gpu
