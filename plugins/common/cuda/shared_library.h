// A library of the CUDA toolkit, opened when it is first asked for. A host on LibTorch has it loaded, and its soname finds it
// there; where the loader only looks at a plugin it need not exist, so no plugin is linked against it.
#pragma once

#include <dlfcn.h>

#include <graft/plugin.hpp>
#include <string>

namespace graft::gpu {

// Never closed. Throws plugin::Unsupported where it is missing. package: PyPI's name of it.
inline void* open_library(const char* soname, const char* package) {
  void* library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    throw plugin::Unsupported(std::string(soname) + " cannot be opened (" + (why != nullptr ? why : "no reason given") +
                              "): install it (PyPI: " + package +
                              ") and name its folder in LD_LIBRARY_PATH, or use a host that has loaded LibTorch for CUDA 13");
  }
  return library;
}

}  // namespace graft::gpu
