// cuBLASLt, opened when a product first asks for it.
#pragma once

#include <cublasLt.h>

#include <array>
#include <mutex>
#include <stdexcept>
#include <string>

#include "portability.h"
#include "shared_library.h"

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
    void* library = open_library(kCublasLtSoname, "nvidia-cublas");
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
