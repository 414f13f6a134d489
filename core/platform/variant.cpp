#include "graft/variant.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "graft/abi/tensor.h"
#include "graft/abi/version.h"
#include "graft/error.h"
#include "variant_name.h"

namespace graft {
namespace {

// Metal kernels are built for Metal 4, which macOS 26 brought.
constexpr ShortVersion kMetalNeeds{26, 0};

const char* label(const std::string& backend) {
  for (auto [name, label] : {std::pair{"cuda", "CUDA"}, {"rocm", "ROCm"}, {"metal", "Metal"}, {"xpu", "XPU"},
                             {"cann", "CANN"}, {"neuron", "Neuron"}, {"tpu", "TPU"}})
    if (backend == name) return label;
  return "CPU";
}

/// The device that a backend serves, as mappings name it.
std::string device_of(const std::string& backend) {
  return backend == "cann" ? "npu" : backend;
}

std::string why_not_cpu_level(const VariantName& name, const HostPlatform& host) {
  const std::string prefix = name.cpu + "_v";
  std::string_view level = host.cpu_level;
  int has = level.starts_with(prefix) && level.size() == prefix.size() + 1 ? level.back() - '0' : 0;
  if (name.cpu_level <= has) return {};
  return "needs " + prefix + std::to_string(name.cpu_level) + "; this CPU is " +
         (host.cpu_level.empty() ? "below" : host.cpu_level);
}

/// CUDA serves all older versions of its own major, and no other.
std::string why_not_cuda(const VariantName& name, const HostPlatform& host) {
  if (!host.cuda) return "needs CUDA; no CUDA driver with a device is here";
  auto version = [](int number) { return ShortVersion{number / 1000, number % 1000 / 10}; };
  const ShortVersion needs = name.backend_version, driver = version(host.cuda->driver), runtime = version(host.cuda->runtime);
  if (needs > driver) return "needs CUDA " + needs.str() + "; the driver serves " + driver.str();
  if (runtime.major != 0 && needs > runtime) return "needs CUDA " + needs.str() + "; the runtime is " + runtime.str();
  const ShortVersion has = runtime.major != 0 ? std::min(driver, runtime) : driver;
  if (needs.major != has.major) return "is for CUDA " + std::to_string(needs.major) + "; here is " + has.str();
  return {};
}

/// Of ROCm, XPU and CANN the very version is needed.
std::string why_not_version(const VariantName& name, const std::string& here) {
  const std::string needed = std::string(label(name.backend)) + " " + name.backend_version.str();
  if (here.empty()) return "needs " + needed + "; there is none here";
  if (ShortVersion::parse(here) != name.backend_version) return "needs " + needed + "; here is " + here;
  return {};
}

std::string why_not_backend(const VariantName& name, const HostPlatform& host) {
  if (name.backend == "cpu") return why_not_cpu_level(name, host);
  if (name.backend == "cuda") return why_not_cuda(name, host);
  if (name.backend == "rocm") return why_not_version(name, host.rocm);
  if (name.backend == "xpu") return why_not_version(name, host.xpu);
  if (name.backend == "cann") return why_not_version(name, host.cann);
  if (name.backend == "metal") {
    auto here = ShortVersion::parse(host.metal);
    return here && *here >= kMetalNeeds ? "" : "needs macOS " + kMetalNeeds.str() + " for Metal; here is " + (host.metal.empty() ? "none" : host.metal);
  }
  return std::string("needs ") + label(name.backend) + ", which no host description tells of";
}

std::string why_not_framework(const VariantName& name, const HostPlatform& host) {
  auto adapter = [&](const char* which) -> std::string {
    if (std::find(host.adapters.begin(), host.adapters.end(), which) != host.adapters.end()) return {};
    return std::string("was built for Python by way of ") + which + ", and this Graft has no adapter for it";
  };
  switch (name.family) {
    case VariantFamily::graft:
      if (name.framework.major == GRAFT_ABI_MAJOR) return {};
      return "needs plugin ABI " + std::to_string(name.framework.major) + "; this Graft has " + std::to_string(GRAFT_ABI_MAJOR);
    case VariantFamily::torch_stable_abi: {
      if (auto why = adapter("torch-stable-abi"); !why.empty()) return why;
      auto here = ShortVersion::parse(host.torch);
      if (here && name.framework <= *here) return {};
      return "needs Torch " + name.framework.str() + " or newer; here is " + (here ? here->str() : "none");
    }
    case VariantFamily::torch: {
      if (auto why = adapter("torch"); !why.empty()) return why;
      auto here = ShortVersion::parse(host.torch);
      if (here != name.framework) return "needs Torch " + name.framework.str() + "; here is " + (here ? here->str() : "none");
      if (name.cxx11 && name.cxx11 != host.torch_cxx11_abi) return "was built with another C++ ABI than this Torch";
      return {};
    }
    case VariantFamily::tvm_ffi: {
      if (auto why = adapter("tvm-ffi"); !why.empty()) return why;
      auto here = ShortVersion::parse(host.tvm_ffi);
      if (here == name.framework) return {};
      return "needs tvm-ffi " + name.framework.str() + "; here is " + (here ? here->str() : "none");
    }
    case VariantFamily::noarch: break;
  }
  return "is Python alone (noarch): there is nothing to load";
}

/// Empty if the variant fits.
std::string why_not(const std::optional<VariantName>& name, const HostPlatform& host, const std::string& device) {
  if (!name) return "is not of a form that Graft knows (graft1-…, torch…, tvm-ffi…)";
  if (name->family != VariantFamily::noarch) {
    if (name->os != host.os) return "is for " + name->os + "; this is " + host.os;
    if (name->cpu != host.cpu) return "is for " + name->cpu + "; this CPU is " + host.cpu;
    if (device_of(name->backend) != device) return "is for device " + device_of(name->backend) + "; asked for " + device;
  }
  if (auto why = why_not_framework(*name, host); !why.empty()) return why;
  return why_not_backend(*name, host);
}

/// The higher, the better.
auto rank(const VariantName& name) {
  const bool stable = name.family == VariantFamily::torch_stable_abi;
  return std::tuple{name.family, stable ? name.framework : ShortVersion{}, !name.cxx11, name.backend_version, name.cpu_level};
}

}  // namespace

VariantChoice resolve_variant(const std::vector<std::string>& listing, const HostPlatform& host,
                              std::string_view device) {
  struct Candidate {
    VariantTrace trace;
    std::optional<VariantName> name;
  };
  const std::string kind = device_kind(device);
  std::vector<Candidate> candidates;
  for (const std::string& text : std::set<std::string>(listing.begin(), listing.end())) {
    std::optional<VariantName> name = VariantName::parse(text);
    std::string reason = why_not(name, host, kind);
    const bool accepted = reason.empty();
    candidates.push_back({{text, accepted, accepted ? "fits" : std::move(reason)}, std::move(name)});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    if (a.trace.accepted != b.trace.accepted) return a.trace.accepted;
    if (!a.name || !b.name) return a.name.has_value() && !b.name;
    return rank(*a.name) > rank(*b.name);
  });
  VariantChoice choice;
  for (Candidate& candidate : candidates) choice.trace.push_back(std::move(candidate.trace));
  if (!choice.trace.empty() && choice.trace.front().accepted) choice.chosen = choice.trace.front().name;
  return choice;
}

std::string VariantChoice::why_none() const {
  constexpr std::size_t kMost = 12;
  if (trace.empty()) return "there are no variants (folders below build/)";
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, trace.size()); ++i)
    text += (text.empty() ? "" : "; ") + trace[i].name + " " + trace[i].reason;
  if (trace.size() > kMost) text += "; and " + std::to_string(trace.size() - kMost) + " more, which graft info lists";
  return text;
}

std::string device_kind(std::string_view device) {
  std::size_t colon = device.find(':');
  std::string kind(device.substr(0, colon));
  if (kind == "mps") kind = "metal";
  constexpr std::array kKinds = {"cpu", "cuda", "rocm", "metal", "xpu", "npu", "tpu", "neuron"};
  std::string_view index = colon == device.npos ? "0" : device.substr(colon + 1);
  bool index_ok = !index.empty() && index.size() <= 4 && index.find_first_not_of("0123456789") == index.npos;
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
