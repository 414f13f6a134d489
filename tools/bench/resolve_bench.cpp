// What it costs to read a reference, to resolve a repo's variants, and to read a lock file. No LibTorch, no Hub.
#include <benchmark/benchmark.h>
#include <graft/host_platform.h>
#include <graft/kernel_ref.h>
#include <graft/lock_file.h>
#include <graft/variant.h>
#include <graft/version.h>

#include <string>
#include <vector>

namespace {

void parse(benchmark::State& state, const char* text) {
  for (auto _ : state) benchmark::DoNotOptimize(graft::KernelRef::parse(text));
}
BENCHMARK_CAPTURE(parse, repo_and_entry, "graft-kernels/norm:RMSNorm");
BENCHMARK_CAPTURE(parse, tag, "kernels-community/liger_kernels@v1.2.0:LigerRMSNorm");
BENCHMARK_CAPTURE(parse, range, "kernels-community/liger_kernels@>=2.0,<3.0:LigerRMSNorm");
BENCHMARK_CAPTURE(parse, local, "/home/me/norm/build:RMSNorm");

void parse_attention(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(graft::AttentionRef::parse("paged|org/attention@>=2.0,<3.0:Attention"));
}
BENCHMARK(parse_attention);

/// As a repo with many Torch versions has them.
std::vector<std::string> variants(std::size_t count) {
  std::vector<std::string> names;
  const char* frameworks[] = {"torch29-cxx11", "torch210", "torch211", "torch-stable-abi29", "tvm-ffi01", "graft1"};
  const char* backends[] = {"cpu", "cu126", "cu128", "cu130", "rocm64", "rocm70", "xpu20252", "metal", "cann82"};
  const char* platforms[] = {"x86_64-linux", "aarch64-linux", "aarch64-darwin", "x86_64-windows"};
  for (int round = 0; names.size() < count; ++round)
    for (const char* framework : frameworks)
      for (const char* backend : backends)
        for (const char* platform : platforms)
          if (names.size() < count)
            names.push_back(std::string(framework) + "-" + backend + "-" + platform + (round ? "-x86_64_v" + std::to_string(round) : ""));
  return names;
}

void resolve(benchmark::State& state) {
  const std::vector<std::string> listing = variants(static_cast<std::size_t>(state.range(0)));
  graft::HostPlatform host = graft::HostPlatform::detect();
  host.cuda = graft::HostPlatform::Cuda{13000, {"9.0"}, 13000};
  host.torch = "2.11";
  host.adapters = {"torch", "torch-stable-abi", "tvm-ffi"};
  for (auto _ : state) benchmark::DoNotOptimize(graft::resolve_variant(listing, host, "cuda"));
}
BENCHMARK(resolve)->Arg(10)->Arg(500)->Unit(benchmark::kMicrosecond);

void highest(benchmark::State& state) {
  std::vector<std::string> names;
  for (int minor = 0; minor < 100; ++minor) names.push_back("v1." + std::to_string(minor) + ".0");
  const graft::VersionRange range = graft::VersionRange::parse(">=1.0,<1.50");
  for (auto _ : state) benchmark::DoNotOptimize(graft::highest_version(names, &range));
}
BENCHMARK(highest)->Unit(benchmark::kMicrosecond);

void lock_file(benchmark::State& state) {
  graft::LockFile lock;
  for (int i = 0; i < 10; ++i) {
    lock.kernels.push_back({.repo = "org/name" + std::to_string(i), .asked = "", .revision = "v1.0.0", .commit = std::string(40, 'a')});
    for (const std::string& variant : variants(30))
      lock.kernels.back().variants[variant] = {.metadata = "sha256:" + std::string(64, 'a'), .digest = "sha256:" + std::string(64, 'b')};
  }
  const std::string text = lock.graft_lock();
  for (auto _ : state) benchmark::DoNotOptimize(graft::LockFile::parse(text, "graft.lock"));
}
BENCHMARK(lock_file)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
