#include "draw.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <unistd.h>

#include <cstdio>

#include "graft/error.h"

namespace graft::reference {

std::string to_text(const Sizes& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

Draw::Draw(at::ScalarType dtype, c10::Device device)
    : dtype_(dtype), device_(device), generator_(at::detail::createCPUGenerator(/*seed=*/1)) {}

at::Tensor Draw::normal(const Sizes& sizes, double deviation, double mean) {
  constexpr double kBytesPerValue =
      16;  // float32 while drawing, the dtype for both layers, float64 for the reference
  double count = 1;
  for (int64_t size : sizes) count *= double(size);
  bytes_ += count * kBytesPerValue;
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  if (bytes_ > memory) {
    char why[128];
    std::snprintf(why, sizeof why,
                  "needs more than %.0f GB, and this machine has %.0f GB: give a smaller --shape",
                  bytes_ / 1e9, memory / 1e9);
    throw Error(ErrorCode::unsupported, "this shape", why);
  }
  return at::randn(sizes, generator_, at::kFloat).mul_(deviation).add_(mean).to(device_, dtype_);
}

at::Tensor Draw::uniform(int64_t count) { return at::rand({count}, generator_, at::kDouble).to(device_); }

at::Tensor Draw::indices(int64_t count, int64_t end) {
  return at::randint(end, {count}, generator_, at::kLong).to(device_);
}

}  // namespace graft::reference
