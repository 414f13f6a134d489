#include "doctor_rows.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "graft/error.h"
#include "graft/host_platform.h"
#include "graft/hub_options.h"
#include "graft/hub_status.h"
#include "graft/install.h"
#include "graft/lock_file.h"
#include "graft/policy.h"
#include "graft/quarantine.h"
#include "graft/verify.h"

extern char** environ;

namespace graft {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{3};
constexpr std::uintmax_t kLittleSpace = 1'000'000'000;  // bytes
constexpr int kOldestCuda13Device = 75;                 // Turing: CUDA 13 dropped what came before

template <class F>
DoctorRow row(const char* name, F&& look) try {
  DoctorRow found = look();
  found.name = name;
  return found;
} catch (const Error& e) {
  return {name, RowState::bad, e.failed() + ": " + e.why(), e.mend().empty() ? "mend what it names" : e.mend()};
} catch (const std::exception& e) {
  return {name, RowState::bad, e.what(), "mend what it names"};
}

/// "9.0" → 90.
int number_of(const std::string& capability) {
  int major = 0, minor = 0;
  std::sscanf(capability.c_str(), "%3d.%1d", &major, &minor);
  return major * 10 + minor;
}

DoctorRow machine(const HostPlatform& host) {
  return {{}, RowState::good, fmt::format("{} on {}", host.os, host.cpu_level.empty() ? host.cpu : host.cpu_level)};
}

/// kernel-builder builds for manylinux_2_28.
DoctorRow glibc(const HostPlatform& host) {
  if (host.glibc.empty()) return {{}, RowState::bad, "another C library", "use a distribution with glibc 2.28 or newer: published kernels are built for it"};
  int major = 0, minor = 0;
  std::sscanf(host.glibc.c_str(), "%3d.%3d", &major, &minor);
  const bool old = major < 2 || (major == 2 && minor < 28);
  return {{}, old ? RowState::bad : RowState::good, host.glibc, old ? "published kernels need 2.28 or newer: use a newer distribution, or build them here" : ""};
}

DoctorRow libtorch(const HostPlatform& host) {
  const fs::path library = library_folder() / "libgraft.so";
  if (host.torch.empty()) return {{}, RowState::absent, "this Graft was built without it: runtime and commands alone, no models"};
  if (!fs::exists(library)) return {{}, RowState::bad, library.string() + " is not there", "install Graft again, whole"};
  std::string text = host.torch;
#ifdef GRAFT_LIBTORCH_CUDA
  text += ", built with CUDA " GRAFT_LIBTORCH_CUDA;
#endif
  return {{}, RowState::good, text + (host.torch_cxx11_abi.value_or(true) ? ", C++11 ABI" : ", old C++ ABI")};
}

DoctorRow cuda(const HostPlatform& host) {
  if (!host.cuda) {
    const bool device = fs::exists("/dev/nvidia0") || fs::exists("/proc/driver/nvidia/version");
    if (!device) return {{}, RowState::absent, "no driver with a device: kernels run on the CPU"};
    return {{}, RowState::bad, "an NVIDIA device is here, and libcuda.so.1 does not serve it",
            "in a container run with --gpus all; else install the driver's libcuda, of the kernel module's version"};
  }
  std::string text = fmt::format("driver serves {}, {} device(s): {}", cuda_version_text(host.cuda->driver), host.cuda->capabilities.size(),
                                 fmt::join(host.cuda->capabilities, ", "));
  const int runtime = host.cuda->runtime;
  if (runtime != 0) text += fmt::format("; LibTorch's runtime {}", cuda_version_text(runtime));
  if (runtime / 1000 > host.cuda->driver / 1000)
    return {{}, RowState::bad, text, fmt::format("update the driver to one that serves CUDA {}, or use a LibTorch for {}", cuda_version_text(runtime), cuda_version_text(host.cuda->driver))};
  for (const std::string& capability : host.cuda->capabilities)
    if (runtime / 1000 >= 13 && number_of(capability) < kOldestCuda13Device)
      return {{}, RowState::bad, text, "CUDA 13 serves capability 7.5 and newer: hide the older device with CUDA_VISIBLE_DEVICES"};
  return {{}, RowState::good, text};
}

DoctorRow other_devices(const HostPlatform& host) {
  std::vector<std::string> found;
  for (auto [name, version] : {std::pair{"ROCm", &host.rocm}, {"XPU (oneAPI)", &host.xpu}, {"Metal (macOS)", &host.metal}})
    if (!version->empty()) found.push_back(std::string(name) + " " + *version);
  return {{}, found.empty() ? RowState::absent : RowState::good, found.empty() ? "none" : fmt::format("{}", fmt::join(found, ", "))};
}

DoctorRow first_party() {
  const fs::path folder = find_embedded_hub();
  if (folder.empty()) return {{}, RowState::bad, "there are none", "build or install them, or set GRAFT_HUB"};
  return {{}, RowState::good, folder.string()};
}

DoctorRow probe() {
  if (!Policy::load().probe) return {{}, RowState::absent, "switched off by the policy"};
  return {{}, RowState::good, find_probe().string()};
}

/// The folder itself, or the first one above it that is there.
fs::path existing(fs::path folder) {
  while (!fs::exists(folder) && folder.has_parent_path() && folder != folder.parent_path()) folder = folder.parent_path();
  return folder;
}

DoctorRow writable(const fs::path& folder, const char* mend) {
  if (folder.empty()) return {{}, RowState::bad, "the environment names no home folder", mend};
  const fs::path there = existing(folder);
  if (!fs::is_directory(there) || access(there.c_str(), W_OK) != 0) return {{}, RowState::bad, folder.string() + " cannot be written", mend};
  const std::uintmax_t space = fs::space(there).available;
  const std::string text = fmt::format("{}, {:.0f} GB free", folder.string(), static_cast<double>(space) / 1e9);
  if (space < kLittleSpace) return {{}, RowState::bad, fmt::format("{}, {:.0f} MB free", folder.string(), static_cast<double>(space) / 1e6), "make room: graft gc --max-size 10GB"};
  return {{}, RowState::good, text};
}

DoctorRow cache() {
  return writable(HubOptions::from_environment().kernels_cache_dir, "mend its permissions, or set HF_HUB_CACHE (KERNELS_CACHE for kernels alone)");
}

DoctorRow state() {
  return writable(state_folder(), "mend its permissions, or set GRAFT_STATE_DIR: without it nothing is remembered of what crashed or ran here");
}

/// One request tells of Hub and token.
std::vector<DoctorRow> hub() {
  HubOptions options;
  HubStatus status;
  std::vector<DoctorRow> rows;
  rows.push_back(row("Hub", [&]() -> DoctorRow {
    options = HubOptions::from_environment();
    status = ask_hub(options, kPatience);
    if (options.offline) return {{}, RowState::absent, options.endpoint + ", switched off: HF_HUB_OFFLINE"};
    if (status.problem) return {{}, RowState::bad, options.endpoint + ": " + status.problem->why(), status.problem->mend().empty() ? "check the network, the proxy (https_proxy) and HF_ENDPOINT, or set HF_HUB_OFFLINE=1" : status.problem->mend()};
    if (options.endpoint.starts_with("file://")) return {{}, RowState::good, options.endpoint};
    return {{}, RowState::good, fmt::format("{}, answers in {} ms", options.endpoint, status.latency.count())};
  }));
  rows.push_back(row("token", [&]() -> DoctorRow {
    if (options.token.empty()) return {{}, RowState::absent, "none: public repos alone"};
    if (status.token_refused) return {{}, RowState::bad, "the Hub does not know it", "make a new one at " + options.endpoint + "/settings/tokens, and put it into HF_TOKEN or HF_TOKEN_PATH's file"};
    return {{}, RowState::good, status.user.empty() ? "there is one" : "of " + status.user};
  }));
  return rows;
}

DoctorRow policy() {
  const Policy policy = Policy::load();
  return {{}, RowState::good, policy.sources.empty() ? "the defaults" : fmt::format("{}", fmt::join(policy.sources, ", "))};
}

DoctorRow root() {
  const TrustedRoot root = trusted_root_in_force();
  const auto end = root.expires();
  if (!end) return {{}, RowState::good, "no end that is known"};
  const auto days = (*end - static_cast<std::int64_t>(std::time(nullptr))) / 86'400;
  if (days > 0) return {{}, RowState::good, fmt::format("{} days left", days)};
  return {{}, RowState::bad, fmt::format("out of date since {} days", -days), "get Sigstore's newest trusted_root.json: graft trust root FILE"};
}

DoctorRow quarantined() {
  const auto all = list_quarantine();
  if (all.empty()) return {{}, RowState::good, "empty"};
  std::vector<std::string> names;
  for (const QuarantinedDigest& each : all) names.push_back(each.name);
  return {{}, RowState::bad, fmt::format("{} digest(s): {}", all.size(), fmt::join(names, ", ")), "see why, and lift: graft quarantine"};
}

DoctorRow lock_file() {
  const char* file = std::getenv("GRAFT_LOCK");
  if (!file || !*file) return {{}, RowState::absent, "none"};
  return {{}, RowState::good, fmt::format("{}: {} kernels", file, LockFile::read(file).kernels.size())};
}

/// What changes Graft's ways, as it is set; a token is not shown.
DoctorRow environment() {
  constexpr std::array<std::string_view, 16> kPrefixes = {"HF_", "HUGGING", "TRANSFORMERS_OFFLINE", "KERNELS_CACHE", "LOCAL_KERNELS", "GRAFT_",
                                                          "USE_HUB_KERNELS", "DISABLE_KERNEL_MAPPING", "CUDA_VISIBLE_DEVICES", "http_proxy=",
                                                          "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "no_proxy=", "SSL_CERT_", "XDG_CONFIG_HOME"};
  std::vector<std::string> found;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    if (std::none_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) { return text.starts_with(prefix); })) continue;
    const std::string name(text.substr(0, text.find('=')));
    const bool secret = name.find("TOKEN") != name.npos && name != "HF_TOKEN_PATH" && name.find("DISABLE") == name.npos;
    // A proxy's address may hold a password.
    const bool proxy = name.size() > 5 && name.ends_with("proxy") && text.find('@') != text.npos;
    found.push_back(secret || proxy ? name + "=…" : std::string(text));
  }
  std::sort(found.begin(), found.end());
  return {{}, found.empty() ? RowState::absent : RowState::good, found.empty() ? "no variable that Graft reads is set" : fmt::format("{}", fmt::join(found, "  "))};
}

}  // namespace

std::vector<DoctorRow> doctor_rows() {
  const HostPlatform host = HostPlatform::detect().with_device("");
  std::vector<DoctorRow> rows = {
      row("machine", [&] { return machine(host); }),        row("glibc", [&] { return glibc(host); }),
      row("LibTorch", [&] { return libtorch(host); }),      row("CUDA", [&] { return cuda(host); }),
      row("other devices", [&] { return other_devices(host); }), row("own kernels", first_party),
      row("probe", probe),                                  row("cache", cache),
      row("state", state)};
  for (DoctorRow& each : hub()) rows.push_back(std::move(each));
  for (DoctorRow& each : std::vector{row("lock file", lock_file), row("policy", policy), row("trusted root", root), row("quarantine", quarantined),
                                     row("environment", environment)})
    rows.push_back(std::move(each));
  return rows;
}

}  // namespace graft
