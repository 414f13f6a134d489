#include "graft/variant.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "graft/abi/tensor.h"
#include "graft/abi/version.h"
#include "graft/error.h"

namespace graft {
namespace {

constexpr std::string_view kFamily = "graft";
constexpr std::string_view kX86Level = "x86_64_v";

/// A name of Graft's family, taken apart.
struct Name {
  int abi_major = 0;
  std::string backend;  // "cpu", "cu"
  int toolkit = 0;      // of "cu130": 13000, as the driver counts
  std::string cpu;      // "x86_64"
  std::string os;       // "linux"
  int level = 0;        // of a suffix "x86_64_v3": 3
};

std::optional<int> number(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || value < 0)
    return std::nullopt;
  return value;
}

std::optional<Name> parse(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find('-', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() < 4 || parts.size() > 5 || !parts[0].starts_with(kFamily)) return std::nullopt;
  Name name;
  auto major = number(parts[0].substr(kFamily.size()));
  if (!major) return std::nullopt;
  name.abi_major = *major;
  name.backend = parts[1];
  if (parts[1].starts_with("cu")) {
    // "cu130" is 13.0, "cu92" would be 9.2: the last digit is the minor.
    auto toolkit = number(parts[1].substr(2));
    if (!toolkit || *toolkit < 10 || *toolkit > 9999) return std::nullopt;
    name.backend = "cuda";
    name.toolkit = *toolkit / 10 * 1000 + *toolkit % 10 * 10;
  }
  name.cpu = parts[2];
  name.os = parts[3];
  if (parts.size() == 5) {
    if (!parts[4].starts_with(kX86Level)) return std::nullopt;
    auto level = number(parts[4].substr(kX86Level.size()));
    if (!level) return std::nullopt;
    name.level = *level;
  }
  return name;
}

int level_of(const HostPlatform& host) {
  if (!host.cpu_level.starts_with(kX86Level)) return 0;
  return number(std::string_view(host.cpu_level).substr(kX86Level.size())).value_or(0);
}

std::string version(int cuda) {
  return std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10);
}

/// Empty if the variant fits.
std::string why_not(const std::optional<Name>& name, const HostPlatform& host, const std::string& device) {
  if (!name) return "is not of Graft's family (graft1-…)";
  if (name->abi_major != GRAFT_ABI_MAJOR)
    return "needs plugin ABI " + std::to_string(name->abi_major) + "; this Graft has " +
           std::to_string(GRAFT_ABI_MAJOR);
  if (name->os != host.os) return "is for " + name->os + "; this is " + host.os;
  if (name->cpu != host.cpu) return "is for " + name->cpu + "; this CPU is " + host.cpu;
  if (name->backend != device) return "is for device " + name->backend + "; asked for " + device;
  if (name->backend == "cuda") {
    if (!host.cuda) return "needs CUDA; no CUDA driver with a device is here";
    if (name->toolkit > host.cuda->driver)
      return "needs CUDA " + version(name->toolkit) + "; the driver serves " + version(host.cuda->driver);
  }
  if (name->level > level_of(host))
    return "needs " + std::string(kX86Level) + std::to_string(name->level) + "; this CPU is " +
           (host.cpu_level.empty() ? "below" : host.cpu_level);
  return {};
}

}  // namespace

VariantChoice resolve_variant(const std::vector<std::string>& listing, const HostPlatform& host,
                              std::string_view device) {
  struct Candidate {
    VariantTrace trace;
    int toolkit = 0, level = 0;
  };
  std::string kind = device_kind(device);
  std::vector<Candidate> candidates;
  for (const std::string& text : std::set<std::string>(listing.begin(), listing.end())) {
    std::optional<Name> name = parse(text);
    std::string reason = why_not(name, host, kind);
    bool accepted = reason.empty();
    candidates.push_back(
        {{text, accepted, accepted ? "fits" : reason}, name ? name->toolkit : 0, name ? name->level : 0});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    auto rank = [](const Candidate& c) { return std::array{int{c.trace.accepted}, c.toolkit, c.level}; };
    return rank(a) > rank(b);
  });
  VariantChoice choice;
  for (Candidate& candidate : candidates) choice.trace.push_back(std::move(candidate.trace));
  if (!choice.trace.empty() && choice.trace.front().accepted) choice.chosen = choice.trace.front().name;
  return choice;
}

std::string VariantChoice::why_none() const {
  if (trace.empty()) return "there are no variants (folders below build/)";
  std::string text;
  for (const VariantTrace& variant : trace)
    text += (text.empty() ? "" : "; ") + variant.name + " " + variant.reason;
  return text;
}

std::string device_kind(std::string_view device) {
  std::size_t colon = device.find(':');
  std::string kind(device.substr(0, colon));
  if (kind == "mps") kind = "metal";
  constexpr std::array kKinds = {"cpu", "cuda", "rocm", "metal", "xpu", "npu", "tpu", "neuron"};
  bool index_ok = colon == device.npos || number(device.substr(colon + 1));
  if (!index_ok || std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end())
    throw Error(ErrorCode::invalid_argument, "device \"" + std::string(device) + "\"",
                "is no device that Graft knows",
                "use cpu, cuda, cuda:1, rocm, metal, xpu, npu, tpu or neuron");
  return kind;
}

int device_type(std::string_view kind) {
  if (kind == "cpu") return GRAFT_DEVICE_CPU;
  if (kind == "cuda") return GRAFT_DEVICE_CUDA;
  if (kind == "rocm") return GRAFT_DEVICE_ROCM;
  if (kind == "metal") return GRAFT_DEVICE_METAL;
  if (kind == "xpu") return GRAFT_DEVICE_XPU;
  return -1;
}

}  // namespace graft
