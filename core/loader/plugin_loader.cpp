#include "plugin_loader.h"

#include <map>
#include <mutex>
#include <optional>

#include "graft/error.h"
#include "graft/quarantine.h"
#include "log.h"
#include "open_plugin.h"
#include "probe_memory.h"

namespace graft {
namespace {

/// What became of one digest. A plugin's own failures stay, too: init runs once per process.
struct Slot {
  std::mutex loading;
  std::shared_ptr<const LoadedPlugin> plugin;
  ElfRules checked;  // which the plugin's bytes passed
  std::optional<Error> failure;
};

std::shared_ptr<Slot> slot_of(const std::string& digest) {
  static auto& mutex = *new std::mutex;
  static auto& slots = *new std::map<std::string, std::shared_ptr<Slot>>;  // never destroyed: plugins stay
  std::lock_guard lock(mutex);
  auto& slot = slots[digest];
  if (!slot) slot = std::make_shared<Slot>();
  return slot;
}

void preflight(const SealedCopy& library, const std::string& name, const ElfRules& rules) {
  for (const std::string& warning : check_elf(library.bytes(), library.source(), rules).warnings)
    log(LogLevel::warning, name, warning);
}

void refuse_quarantined(const std::string& digest, const std::string& name) {
  if (std::optional<QuarantinedDigest> found = find_quarantined(digest))
    throw Error(ErrorCode::plugin, "plugin " + name,
                "is quarantined since " + found->when + ": " + found->reason,
                "if that was an accident: graft quarantine lift " + digest);
}

/// The first load of a digest on this machine, in a process of its own. Errors: what the plugin itself
/// returned there (also put into `failure`), plugin (it failed, and is quarantined from now on), and those of
/// probe().
void probe_once(const SealedCopy& library, const std::string& name, const LoadRules& rules,
                std::optional<Error>& failure) {
  if (has_passed_probe(library.digest())) return;
  ProbeLock one_at_a_time(library.digest());  // other processes may be at it
  if (has_passed_probe(library.digest())) return;
  refuse_quarantined(library.digest(), name);

  ProbeResult result = probe(library, name, {.device = rules.elf.device, .limits = rules.limits});
  for (const std::string& note : result.notes) log(LogLevel::debug, name, "in its probe: " + note);
  switch (result.state) {
    case ProbeResult::State::passed:
      remember_passed_probe(library.digest());
      return;
    case ProbeResult::State::refused:
      failure = result.error;
      throw Error(*result.error);
    case ProbeResult::State::failed:
      quarantine(library.digest(), name, result.reason);
      throw Error(ErrorCode::plugin, "plugin " + name,
                  "failed when it was tried in a process of its own: " + result.reason +
                      "; it is quarantined from now on",
                  "report it to the kernel's author; if it was an accident: graft quarantine lift " +
                      library.digest());
  }
}

}  // namespace

// Preflight → quarantine → probe → link, init, entries.
std::shared_ptr<const LoadedPlugin> load_plugin(SealedCopy library, const std::string& name,
                                                const LoadRules& rules) {
  std::shared_ptr<Slot> slot = slot_of(library.digest());
  std::lock_guard lock(slot->loading);
  if (!slot->plugin || slot->checked != rules.elf) preflight(library, name, rules.elf);
  if (slot->failure) throw Error(*slot->failure);
  if (slot->plugin) return slot->plugin;

  refuse_quarantined(library.digest(), name);
  if (rules.probe) probe_once(library, name, rules, slot->failure);
  try {
    OpenedPlugin opened = open_plugin(library.path(), name, [&library](std::string_view step) {
      if (step == "abi") library.keep_open();
    });
    slot->plugin = std::make_shared<LoadedPlugin>(library.digest(), opened.plugin, *opened.host,
                                                  std::move(opened.entries));
  } catch (const Error& e) {
    slot->failure = e;
    throw;
  }
  slot->checked = rules.elf;
  return slot->plugin;
}

}  // namespace graft
