#include "graft/check.h"

#include <dlfcn.h>

#include <algorithm>
#include <set>

#include "elf_file.h"
#include "graft/contract.h"
#include "graft/error.h"
#include "graft/host_platform.h"
#include "graft/variant.h"
#include "plugin_loader.h"
#include "variant_digest.h"
#include "variant_name.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using State = VariantCheck::State;

void skip(VariantCheck& check, std::string why) {
  check.state = State::skipped;
  check.notes.push_back(std::move(why));
}

/// The name's parts; throws Error(invalid_argument, unsupported) for one that Graft never looks at.
VariantName parse_name(const std::string& variant) {
  std::optional<VariantName> name = VariantName::parse(variant);
  if (!name)
    throw Error(ErrorCode::invalid_argument, "variant " + variant, "this is no variant's name",
                "name the folder as in graft1-cpu-x86_64-linux, graft1-cu130-x86_64-linux or graft1-cpu-x86_64-linux-x86_64_v3");
  if (name->family == VariantFamily::graft && name->framework.major != GRAFT_ABI_MAJOR)
    throw Error(ErrorCode::unsupported, "variant " + variant,
                "is for plugin ABI " + std::to_string(name->framework.major) + "; this Graft has " +
                    std::to_string(GRAFT_ABI_MAJOR),
                "build it against this Graft's plugin_api");
  return *name;
}

/// The library's bytes, after those of all files were held against metadata.json, if it is there.
SealedCopy read_library(const fs::path& path, VariantCheck& check) {
  if (!fs::is_directory(path)) return SealedCopy::make(path);
  VerifiedVariant verified = verify_variant(path, read_metadata(path));
  if (!verified.has_digest() && !check.variant.empty())
    check.notes.push_back("it has no digests yet: graft pack writes them");
  return std::move(verified.library);
}

/// Of what the preflight admitted, the libraries that are not on this machine.
std::vector<std::string> missing_libraries(const SealedCopy& library) {
  std::vector<std::string> missing;
  const ElfFile file(library.bytes(), library.source());
  for (const Elf64_Dyn& entry : file.dynamic()) {
    if (entry.d_tag != DT_NEEDED) continue;
    const std::string name(file.name_at(entry.d_un.d_val, "a needed library"));
    if (void* found = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL))
      dlclose(found);
    else
      missing.push_back(name);
  }
  return missing;
}

/// False: it failed there, and is not to be opened in this process.
bool passes_probe(const SealedCopy& library, const std::string& name, const std::string& device, VariantCheck& check) {
  const ProbeResult result = probe(library, name, {.device = device});
  for (const std::string& note : result.notes) check.notes.push_back("graft-probe: " + note);
  if (result.state == ProbeResult::State::refused) throw Error(*result.error);
  if (result.state == ProbeResult::State::failed)
    check.problems.push_back("graft-probe: " + result.reason);
  return result.state == ProbeResult::State::passed;
}

void check_entries(const LoadedPlugin& plugin, const std::string& device, VariantCheck& check) {
  for (const graft_entry* entry : plugin.entries()) {
    if (entry->device_type != device_type(device))
      check.problems.push_back("entry " + std::string(entry->name) + " is for another device than " + device +
                               ": set its device_type, or build it as another variant");
    for (std::uint32_t i = 0; i < entry->contract_count; ++i)
      if (!ContractRegistry::shared().find(entry->contracts[i]))
        check.notes.push_back("entry " + std::string(entry->name) + " fulfils " + entry->contracts[i] +
                              ", which a host has to register before it can be bound");
  }
  check.entries = plugin.entries();
}

void look_at_library(const fs::path& path, const std::string& device, VariantCheck& check) {
  SealedCopy library = read_library(path, check);
  const std::string name = check.variant.empty() ? path.filename().string() : check.variant;
  const ElfRules rules{.device = device};
  for (const std::string& warning : check_elf(library.bytes(), library.source(), rules).warnings)
    check.notes.push_back(warning);
  if (device != "cpu")
    if (const std::vector<std::string> missing = missing_libraries(library); !missing.empty())
      return skip(check, "it was not loaded: " + missing.front() + " is not on this machine");
  if (!passes_probe(library, name, device, check)) return;
  check_entries(*load_plugin(std::move(library), name, {.elf = rules, .probe = false}), device, check);
}

VariantCheck look_at(const fs::path& path, const std::string& variant, const std::string& device_of_bare,
                     const HostPlatform& host) {
  VariantCheck check;
  check.variant = variant;
  try {
    if (variant.empty()) {
      look_at_library(path, device_of_bare, check);
    } else if (const VariantName name = parse_name(variant); name.family != VariantFamily::graft) {
      skip(check, "it is a kernel for Python, which Graft does not load");
    } else if (name.cpu != host.cpu || name.os != host.os) {
      skip(check, "it was not looked at: it is for " + name.cpu + " and " + name.os);
    } else if (const VariantTrace fits = resolve_variant({variant}, host, "cpu").trace.front();
               name.backend == "cpu" && !fits.accepted) {
      skip(check, "it was not loaded: it " + fits.reason);
    } else {
      look_at_library(path, name.backend, check);
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::io || (e.code() == ErrorCode::not_found && e.failed() == "graft-probe")) throw;
    check.problems.push_back(e.what());
  }
  if (!check.problems.empty()) check.state = State::failed;
  return check;
}

/// Notes which entries a variant lacks that others have: a layer stays with its own forward on that device.
void compare_entries(std::vector<VariantCheck>& variants) {
  std::set<std::string> all;
  const auto names = [](const VariantCheck& check) {
    std::set<std::string> own;
    for (const graft_entry* entry : check.entries) own.insert(entry->name);
    return own;
  };
  for (const VariantCheck& check : variants) all.merge(names(check));
  for (VariantCheck& check : variants) {
    if (check.entries.empty()) continue;
    std::string missing;
    const std::set<std::string> own = names(check);
    for (const std::string& name : all)
      if (!own.contains(name)) missing += (missing.empty() ? "" : ", ") + name;
    if (!missing.empty()) check.notes.push_back("other variants have entries that it lacks: " + missing);
  }
}

}  // namespace

bool RepoCheck::passed() const {
  return std::none_of(variants.begin(), variants.end(),
                      [](const VariantCheck& check) { return check.state == State::failed; });
}

RepoCheck check_repo(const fs::path& path, const CheckOptions& options) try {
  if (!fs::exists(path))
    throw Error(ErrorCode::not_found, "kernel " + path.string(), "there is nothing at this path",
                "build it, or mend the path");
  const HostPlatform host = HostPlatform::detect();
  const fs::path whole = fs::weakly_canonical(path);
  RepoCheck result;
  if (!fs::is_directory(whole / "build")) {
    const bool in_repo = fs::is_directory(whole) && whole.parent_path().filename() == "build";
    result.variants.push_back(
        look_at(whole, in_repo ? whole.filename().string() : "", device_kind(options.device), host));
    return result;
  }
  for (const std::string& name : find_variants(whole))
    result.variants.push_back(look_at(whole / "build" / name, name, {}, host));
  compare_entries(result.variants);
  return result;
} catch (const fs::filesystem_error& e) {
  throw Error(ErrorCode::io, "checking " + path.string(), e.what(), "check its permissions");
}

}  // namespace graft
