#include "graft/host_platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "graft/error.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

HostPlatform read_host() {
  HostPlatform host;
  utsname system{};
  uname(&system);
  host.os = system.sysname;
  std::transform(host.os.begin(), host.os.end(), host.os.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  host.cpu = system.machine;
  std::ifstream cpuinfo("/proc/cpuinfo");
  host.cpu_features = parse_cpuinfo(std::string(std::istreambuf_iterator<char>(cpuinfo), {}));
  if (host.cpu == "x86_64") host.cpu_level = x86_64_level(host.cpu_features);
#ifdef __GLIBC__
  host.glibc = gnu_get_libc_version();
#endif
  return host;
}

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "host description", why, "print one with: graft doctor --host");
}

template <class T>
T field(const ordered_json& object, const char* name, T fallback) try {
  return object.contains(name) ? object.at(name).get<T>() : fallback;
} catch (const nlohmann::json::exception&) {
  refuse("its field \"" + std::string(name) + "\" has the wrong type");
}

/// "13.0" ↔ 13000, as the driver counts.
std::string cuda_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int parse_cuda_version(const std::string& text) {
  int major = 0, minor = 0;
  if (std::sscanf(text.c_str(), "%3d.%2d", &major, &minor) < 1 || major < 0 || minor < 0)
    refuse("cuda.driver \"" + text + "\" is no version");
  return major * 1000 + minor * 10;
}

}  // namespace

const HostPlatform& HostPlatform::detect() {
  static const HostPlatform host = read_host();
  return host;
}

std::string HostPlatform::to_json() const {
  ordered_json object;
  object["os"] = os;
  object["cpu"] = cpu;
  if (!cpu_level.empty()) object["cpu_level"] = cpu_level;
  if (!cpu_features.empty()) object["cpu_features"] = cpu_features;
  if (!glibc.empty()) object["glibc"] = glibc;
  if (cuda) object["cuda"] = {{"driver", cuda_version(cuda->driver)}, {"capabilities", cuda->capabilities}};
  return object.dump(2);
}

HostPlatform HostPlatform::from_json(std::string_view text) {
  ordered_json object = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) refuse("is no JSON object");
  HostPlatform host;
  host.os = field<std::string>(object, "os", "");
  host.cpu = field<std::string>(object, "cpu", "");
  if (host.os.empty() || host.cpu.empty()) refuse("lacks \"os\" or \"cpu\"");
  host.cpu_level = field<std::string>(object, "cpu_level", "");
  host.cpu_features = field<std::vector<std::string>>(object, "cpu_features", {});
  std::sort(host.cpu_features.begin(), host.cpu_features.end());
  host.glibc = field<std::string>(object, "glibc", "");
  if (object.contains("cuda")) {
    const ordered_json& described = object["cuda"];
    if (!described.is_object()) refuse("its field \"cuda\" has the wrong type");
    host.cuda = Cuda{parse_cuda_version(field<std::string>(described, "driver", "")),
                     field<std::vector<std::string>>(described, "capabilities", {})};
  }
  return host;
}

}  // namespace graft
