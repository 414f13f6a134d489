// What checking costs: a plugin from the cache to a loaded entry, beside SHA-256 over the same bytes. Prints a table.
//   build/bin/trust_bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "graft/hash.h"
#include "graft/pack.h"
#include "graft/runtime.h"

namespace {

namespace fs = std::filesystem;
using namespace graft;

constexpr int kRounds = 9;

template <class F>
double seconds(F&& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The plugin that does nothing, made `size` bytes long, different in each round: a digest loads once per process.
void pack(const fs::path& folder, std::size_t size, int round) {
  std::string bytes = read(GRAFT_NOOP_PLUGIN);
  bytes.resize(size, static_cast<char>(round + 1));
  fs::path variant = folder / "source" / std::to_string(round) / "build" / GRAFT_CPU_VARIANT;
  fs::create_directories(variant);
  std::ofstream(variant / "noop.so", std::ios::binary) << bytes;
  pack_repo({.source = folder / "source" / std::to_string(round), .hub = folder / "hub",
             .repo = "graft-kernels/noop" + std::to_string(round), .tag = "v1.0.0", .key = GRAFT_SIGNING_KEY});
}

void measure(std::size_t size) {
  std::string name = (fs::temp_directory_path() / "graft-trust-bench-XXXXXX").string();
  if (!mkdtemp(name.data())) std::exit(1);
  const fs::path folder = name;
  setenv("GRAFT_STATE_DIR", (folder / "state").c_str(), 1);
  for (int round = 0; round < kRounds; ++round) pack(folder, size, round);
  // As on a machine that has seen these kernels: the probe's cost is once per digest, and given apart.
  Policy policy;
  policy.probe = false;
  Runtime runtime({.endpoint = "file://" + (folder / "hub").string(), .policy = policy});
  std::vector<double> sha, first, again;
  for (int round = 0; round < kRounds; ++round) {
    KernelRef ref = KernelRef::parse("graft-kernels/noop" + std::to_string(round));
    const std::string bytes = read(folder / "source" / std::to_string(round) / "build" / GRAFT_CPU_VARIANT / "noop.so");
    sha.push_back(seconds([&] {
      Hasher hasher("sha256");
      hasher.update(bytes);
      hasher.finish();
    }));
    first.push_back(seconds([&] { runtime.load_package(ref); }));
    again.push_back(seconds([&] { runtime.load_package(ref); }));
  }
  std::printf("%8.1f MB  SHA-256 alone %7.2f ms   check and load %7.2f ms (%.2f x)   again %6.2f us\n", size / 1e6,
              median(sha) * 1e3, median(first) * 1e3, median(first) / median(sha), median(again) * 1e6);
  fs::remove_all(folder);
}

}  // namespace

int main() {
  setenv("GRAFT_HUB", fs::temp_directory_path().c_str(), 1);  // no embedded hub: what is measured is read from a folder
  for (std::size_t size : {1'000'000u, 10'000'000u, 100'000'000u}) measure(size);
}
