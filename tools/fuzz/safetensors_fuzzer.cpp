// The header of a stranger's .safetensors: accepted tensors lie within the file.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <unistd.h>

#include "graft/error.h"
#include "graft/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/tmp/graft-fuzz-" + std::to_string(getpid()) + ".safetensors";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data), std::streamsize(size));
  try {
    const auto file = graft::SafetensorsFile::open(path);
    unsigned sum = 0;
    for (const std::string& name : file->names()) {
      const graft::TensorView& tensor = file->tensor(name);
      for (std::size_t i = 0; i < tensor.bytes; ++i) sum += unsigned(tensor.data[i]);  // faults if it lies outside
    }
    if (sum == 1) std::fputc(0, stderr);  // so that the reading is not optimised away
  } catch (const graft::Error& error) {
    if (error.code() == graft::ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
