#include <algorithm>
#include <array>
#include <cstdint>
#include <sstream>

#include "graft/host_platform.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace graft {
namespace {

bool has_all(const std::vector<std::string>& features, std::string_view needed) {
  std::istringstream names{std::string(needed)};
  for (std::string name; names >> name;)
    if (!std::binary_search(features.begin(), features.end(), name)) return false;
  return true;
}

#if defined(__x86_64__)
enum Register { eax, ebx, ecx, edx };
// What the operating system must save between threads (XCR0) for registers to be used.
enum State : std::uint64_t { none = 0, ymm = 0x6, zmm = 0xe6, tiles = 0x60000 };

struct Bit {
  const char* name;
  std::uint32_t leaf, subleaf;
  Register in;
  int bit;
  State needs;
};

// Intel's Software Developer's Manual, volume 2, CPUID; AMD's, volume 3, appendix E.
constexpr Bit kBits[] = {
    {"sse2", 1, 0, edx, 26, none},          {"pni", 1, 0, ecx, 0, none},             {"pclmulqdq", 1, 0, ecx, 1, none},
    {"ssse3", 1, 0, ecx, 9, none},          {"fma", 1, 0, ecx, 12, ymm},             {"cx16", 1, 0, ecx, 13, none},
    {"sse4_1", 1, 0, ecx, 19, none},        {"sse4_2", 1, 0, ecx, 20, none},         {"movbe", 1, 0, ecx, 22, none},
    {"popcnt", 1, 0, ecx, 23, none},        {"aes", 1, 0, ecx, 25, none},            {"xsave", 1, 0, ecx, 26, none},
    {"avx", 1, 0, ecx, 28, ymm},            {"f16c", 1, 0, ecx, 29, ymm},            {"bmi1", 7, 0, ebx, 3, none},
    {"avx2", 7, 0, ebx, 5, ymm},            {"bmi2", 7, 0, ebx, 8, none},            {"avx512f", 7, 0, ebx, 16, zmm},
    {"avx512dq", 7, 0, ebx, 17, zmm},       {"avx512ifma", 7, 0, ebx, 21, zmm},      {"avx512cd", 7, 0, ebx, 28, zmm},
    {"sha_ni", 7, 0, ebx, 29, none},        {"avx512bw", 7, 0, ebx, 30, zmm},        {"avx512vl", 7, 0, ebx, 31, zmm},
    {"avx512vbmi", 7, 0, ecx, 1, zmm},      {"avx512_vbmi2", 7, 0, ecx, 6, zmm},     {"vaes", 7, 0, ecx, 9, ymm},
    {"avx512_vnni", 7, 0, ecx, 11, zmm},    {"avx512_bitalg", 7, 0, ecx, 12, zmm},   {"avx512_vpopcntdq", 7, 0, ecx, 14, zmm},
    {"amx_bf16", 7, 0, edx, 22, tiles},     {"avx512_fp16", 7, 0, edx, 23, zmm},     {"amx_tile", 7, 0, edx, 24, tiles},
    {"amx_int8", 7, 0, edx, 25, tiles},     {"avx_vnni", 7, 1, eax, 4, ymm},         {"avx512_bf16", 7, 1, eax, 5, zmm},
    {"lahf_lm", 0x80000001, 0, ecx, 0, none}, {"abm", 0x80000001, 0, ecx, 5, none},
};

std::array<std::uint32_t, 4> cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  std::array<std::uint32_t, 4> out{};
  __get_cpuid_count(leaf, subleaf, &out[eax], &out[ebx], &out[ecx], &out[edx]);  // zeros if there is no such leaf
  return out;
}

std::uint64_t saved_state() {
  constexpr int kOsxsave = 27;
  if (!(cpuid(1, 0)[ecx] >> kOsxsave & 1)) return 0;
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

std::vector<std::string> read_features() {
  const std::uint64_t saved = saved_state();
  std::vector<std::string> features;
  for (const Bit& bit : kBits)
    if (cpuid(bit.leaf, bit.subleaf)[bit.in] >> bit.bit & 1 && (saved & bit.needs) == bit.needs) features.push_back(bit.name);
  return features;
}
#elif defined(__aarch64__)
std::vector<std::string> read_features() {
  // Linux, arch/arm64/include/uapi/asm/hwcap.h.
  constexpr std::pair<const char*, int> kFirst[] = {{"fp", 0},        {"asimd", 1},   {"aes", 3},  {"sha2", 6},
                                                    {"crc32", 7},     {"atomics", 8}, {"fphp", 9}, {"asimdhp", 10},
                                                    {"asimdrdm", 12}, {"asimddp", 20}, {"sve", 22}, {"asimdfhm", 23}};
  constexpr std::pair<const char*, int> kSecond[] = {{"sve2", 1}, {"svei8mm", 9}, {"svebf16", 12}, {"i8mm", 13}, {"bf16", 14}, {"sme", 23}};
  std::vector<std::string> features;
  for (auto [name, bit] : kFirst)
    if (getauxval(AT_HWCAP) >> bit & 1) features.push_back(name);
  for (auto [name, bit] : kSecond)
    if (getauxval(AT_HWCAP2) >> bit & 1) features.push_back(name);
  return features;
}
#else
std::vector<std::string> read_features() {
  return {};
}
#endif

}  // namespace

std::string x86_64_level(const std::vector<std::string>& features) {
  // In /proc/cpuinfo's words: pni is SSE3, abm is LZCNT.
  constexpr std::array<std::string_view, 3> kAdded = {
      "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
      "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
      "avx512f avx512bw avx512cd avx512dq avx512vl",
  };
  int level = 1;
  for (std::string_view added : kAdded) {
    if (!has_all(features, added)) break;
    ++level;
  }
  return "x86_64_v" + std::to_string(level);
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> features = read_features();
  std::sort(features.begin(), features.end());
  return features;
}

std::string HostPlatform::missing_cpu_feature(const char* needed) const {
  std::istringstream names(needed ? needed : "");
  for (std::string name; names >> name;)
    if (!std::binary_search(cpu_features.begin(), cpu_features.end(), name)) return name;
  return {};
}

}  // namespace graft
