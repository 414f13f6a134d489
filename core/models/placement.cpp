#include "placement.h"

#include "cuda_runtime.h"
#include "graft/error.h"

namespace graft {

std::optional<at::ScalarType> parse_dtype(const std::string& text) {
  if (text == "auto") return std::nullopt;
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16") return at::kHalf;
  throw Error(ErrorCode::invalid_argument, "dtype '" + text + "'", "there is no such dtype",
              "use auto, float32, bfloat16 or float16");
}

c10::Device parse_device(const std::string& text) {
  if (text == "cpu") return c10::kCPU;
  if (text == "auto" && !cuda_driver_present()) return c10::kCPU;
  if (text == "auto" || text == "cuda" || text.starts_with("cuda:")) {
    const std::string index = text.starts_with("cuda:") ? text.substr(5) : "0";
    if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "the index is not a number",
                  "use cuda:0");
    }
    const int devices = open_cuda(), device = std::stoi(index);
    if (device >= devices) {
      throw Error(ErrorCode::invalid_argument, "device '" + text + "'",
                  "this machine has " + std::to_string(devices) + " CUDA device(s)");
    }
    return {c10::kCUDA, c10::DeviceIndex(device)};
  }
  throw Error(ErrorCode::invalid_argument, "device '" + text + "'", "there is no such device",
              "use auto, cpu, cuda or cuda:N");
}

}  // namespace graft
