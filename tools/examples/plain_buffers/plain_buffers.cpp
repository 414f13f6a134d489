// A host without LibTorch: a kernel of the Hub, on plain buffers.
#include <cmath>
#include <cstdio>
#include <vector>

#include "graft/entry_call.h"
#include "graft/error.h"

int main() try {
  constexpr int kRows = 4, kSize = 576;
  std::vector<float> x(kRows * kSize), weight(kSize, 2.0f), out(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(float(i));

  const graft::Kernel kernel = graft::Runtime::shared().load(graft::KernelRef::parse("graft-kernels/norm:RMSNorm"));
  graft::EntryCall norm(kernel, {{"eps", 1e-5}});
  norm.set("x", x.data(), {kRows, kSize}).set("weight", weight.data(), {kSize}).set("out", out.data(), {kRows, kSize});
  norm.run();

  double largest = 0;  // difference from the definition
  for (int row = 0; row < kRows; ++row) {
    const float* in = &x[size_t(row) * kSize];
    double squares = 0;
    for (int i = 0; i < kSize; ++i) squares += double(in[i]) * in[i];
    const double scale = 1 / std::sqrt(squares / kSize + 1e-5);
    for (int i = 0; i < kSize; ++i) largest = std::max(largest, std::abs(in[i] * scale * weight[size_t(i)] - out[size_t(row) * kSize + size_t(i)]));
  }
  std::printf("%s, %s at %.7s, license %s\nlargest difference %.2g\n", kernel.ref.str().c_str(), kernel.variant.c_str(),
              kernel.commit.c_str(), kernel.metadata->license.c_str(), largest);
  return largest < 1e-5 ? 0 : 1;
} catch (const graft::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
