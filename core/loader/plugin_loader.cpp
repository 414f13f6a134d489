#include "plugin_loader.h"

#include <boost/dll/shared_library.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "check_plugin.h"
#include "elf_check.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "plugin_host.h"
#include "shutdown.h"

namespace graft {
namespace {

namespace dll = boost::dll;

/// What became of one digest. Failures stay, too: init runs once per process.
struct Slot {
  std::mutex loading;
  std::shared_ptr<const LoadedPlugin> plugin;
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

/// The dynamic linker's sentence in Boost's message, "… (dlerror system message: SENTENCE): Bad file
/// descriptor", without the descriptor's path, which says nothing to a user.
std::string linker_message(std::string text, const std::string& path) {
  constexpr std::string_view kBefore = "system message: ", kAfter = "): ";
  if (std::size_t begin = text.find(kBefore); begin != text.npos) {
    std::size_t end = text.rfind(kAfter);
    text = text.substr(begin + kBefore.size(), end == text.npos ? end : end - begin - kBefore.size());
  }
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

/// Graphs, autograd nodes and thread locals may point into a plugin, so it is never closed.
void keep_loaded(const dll::shared_library& library) {
  static auto& mutex = *new std::mutex;
  static auto& all = *new std::vector<dll::shared_library>;
  std::lock_guard lock(mutex);
  all.push_back(library);
}

const graft_plugin& link(SealedCopy& library, const std::string& name) {
  dll::shared_library shared;
  try {
    shared.load(library.path(), dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    library.keep_open();
    keep_loaded(shared);
  } catch (const std::exception& e) {
    throw Error(ErrorCode::plugin, "plugin " + name,
                "cannot be linked: " + linker_message(e.what(), library.path()),
                "install the library it misses, or link it into the plugin");
  }
  if (!shared.has("graft_plugin_entry"))
    throw Error(ErrorCode::plugin, "plugin " + name, "does not export graft_plugin_entry",
                "it is no Graft plugin, or hides the symbol: define it with GRAFT_EXPORT");
  return shared.get<const graft_plugin>("graft_plugin_entry");
}

std::shared_ptr<const LoadedPlugin> load_now(SealedCopy& library, const std::string& name) {
  check_elf(library.bytes(), library.source());
  const graft_plugin& plugin = link(library, name);
  check_abi(plugin, name);

  PluginHost& host = PluginHost::make(name);
  if (plugin.init) {
    graft_status status = call_plugin([&] { return plugin.init(&host.host); });
    if (status != GRAFT_OK) throw_plugin_error(status, name, "init");
  }
  deinit_at_exit(plugin);
  return std::make_shared<LoadedPlugin>(library.digest(), &plugin, host, check_entries(plugin, name));
}

}  // namespace

std::shared_ptr<const LoadedPlugin> load_plugin(SealedCopy library, const std::string& name) {
  std::shared_ptr<Slot> slot = slot_of(library.digest());
  std::lock_guard lock(slot->loading);
  if (slot->failure) throw Error(*slot->failure);
  if (slot->plugin) return slot->plugin;
  try {
    return slot->plugin = load_now(library, name);
  } catch (const Error& e) {
    slot->failure = e;
    throw;
  }
}

}  // namespace graft
