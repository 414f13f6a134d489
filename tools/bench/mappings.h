// LAYER=REF words of a command line.
#pragma once

#include <stdexcept>
#include <string>

#include "graft/kernel_config.h"

namespace graft {

/// Of the words from `first` on. Throws for one that is no mapping.
inline KernelConfig mappings(int count, char** words, int first) {
  KernelConfig config;
  for (int i = first; i < count; ++i) {
    const std::string mapping = words[i];
    const size_t equals = mapping.find('=');
    if (equals == std::string::npos) throw std::runtime_error("'" + mapping + "' is not LAYER=REF");
    config.add({LayerKey::parse(mapping.substr(0, equals)), mapping.substr(equals + 1)}, {.use_local_kernel = true});
  }
  return config;
}

}  // namespace graft
