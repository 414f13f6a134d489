#include "graft/host_platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <set>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include "graft/error.h"
#include "json_text.h"
#include "variant_name.h"

namespace graft {
namespace {

using detail::Fields;
using nlohmann::ordered_json;

const std::string kSource = "host description";

HostPlatform read_host() {
  HostPlatform host;
  utsname system{};
  uname(&system);
  host.os = system.sysname;
  std::transform(host.os.begin(), host.os.end(), host.os.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  host.cpu = system.machine;
  host.cpu_features = graft::cpu_features();
  if (host.cpu == "x86_64") host.cpu_level = x86_64_level(host.cpu_features);
#ifdef __GLIBC__
  host.glibc = gnu_get_libc_version();
#endif
#ifdef GRAFT_LIBTORCH_VERSION
  host.torch = ShortVersion::parse(GRAFT_LIBTORCH_VERSION).value_or(ShortVersion()).str();
  host.torch_cxx11_abi = _GLIBCXX_USE_CXX11_ABI == 1;
#endif
  return host;
}

void put(ordered_json& object, const char* name, const std::string& value) {
  if (!value.empty()) object[name] = value;
}

void put(ordered_json& object, const char* name, const std::vector<std::string>& values) {
  if (!values.empty()) object[name] = values;
}

std::string version_field(const Fields& object, const char* name) {
  std::string text = object.optional_text(name).value_or("");
  if (!text.empty() && !ShortVersion::parse(text)) object.fail(name, "is no version, as in \"13.0\"");
  return text;
}

int cuda_field(const Fields& object, const char* name) {
  std::string text = version_field(object, name);
  if (text.empty()) return 0;
  ShortVersion version = *ShortVersion::parse(text);
  if (version.major > 999 || version.minor > 99) object.fail(name, "is no version of CUDA");
  return version.major * 1000 + version.minor * 10;
}

std::vector<std::string> texts_field(const Fields& object, const char* name) {
  std::vector<std::string> texts;
  if (!object.has(name)) return texts;
  for (const detail::Json& item : object.array(name)) {
    if (!item.is_string()) object.fail(name, "holds what is no text");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

/// A misspelt field would leave its own one absent, and every variant that needs it rejected.
void check_names(const Fields& object, const std::set<std::string>& known) {
  for (const auto& [name, value] : object.items())
    if (!known.contains(name)) object.fail(name, "is no field of a host description");
}

HostPlatform read_json(std::string_view text) {
  const detail::Json json = detail::parse_object(text, kSource, detail::DuplicateKeys::refused);
  Fields object(json, kSource);
  check_names(object, {"os", "cpu", "cpu_level", "cpu_features", "glibc", "torch", "torch_cxx11_abi", "cuda", "rocm", "metal",
                       "xpu", "cann", "tvm_ffi", "adapters"});
  HostPlatform host;
  host.os = object.text("os");
  host.cpu = object.text("cpu");
  host.cpu_level = object.optional_text("cpu_level").value_or("");
  host.cpu_features = texts_field(object, "cpu_features");
  std::sort(host.cpu_features.begin(), host.cpu_features.end());
  host.glibc = version_field(object, "glibc");
  host.torch = version_field(object, "torch");
  if (object.has("torch_cxx11_abi")) host.torch_cxx11_abi = object.boolean("torch_cxx11_abi", false);
  host.tvm_ffi = version_field(object, "tvm_ffi");
  host.adapters = texts_field(object, "adapters");
  if (object.has("cuda")) {
    Fields cuda = object.object("cuda");
    check_names(cuda, {"driver", "runtime", "capabilities"});
    host.cuda = HostPlatform::Cuda{cuda_field(cuda, "driver"), texts_field(cuda, "capabilities"), cuda_field(cuda, "runtime")};
    if (host.cuda->driver == 0) cuda.fail("driver", "is missing");
  }
  host.rocm = version_field(object, "rocm");
  host.metal = version_field(object, "metal");
  host.xpu = version_field(object, "xpu");
  host.cann = version_field(object, "cann");
  return host;
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
  put(object, "cpu_level", cpu_level);
  put(object, "cpu_features", cpu_features);
  put(object, "glibc", glibc);
  put(object, "torch", torch);
  if (torch_cxx11_abi) object["torch_cxx11_abi"] = *torch_cxx11_abi;
  if (cuda) {
    object["cuda"]["driver"] = cuda_version_text(cuda->driver);
    if (cuda->runtime != 0) object["cuda"]["runtime"] = cuda_version_text(cuda->runtime);
    put(object["cuda"], "capabilities", cuda->capabilities);
  }
  put(object, "rocm", rocm);
  put(object, "metal", metal);
  put(object, "xpu", xpu);
  put(object, "cann", cann);
  put(object, "tvm_ffi", tvm_ffi);
  put(object, "adapters", adapters);
  return object.dump(2);
}

HostPlatform HostPlatform::from_json(std::string_view text) try {
  return read_json(text);
} catch (const Error& e) {  // it was given by the user, not by a stranger
  throw Error(ErrorCode::invalid_argument, e.failed(), e.why(), "print one with: graft doctor --host");
}

std::string cuda_version_text(int version) {
  return ShortVersion{version / 1000, version % 1000 / 10}.str();
}

}  // namespace graft
