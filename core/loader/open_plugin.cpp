#include "open_plugin.h"

#include <boost/dll/shared_library.hpp>
#include <mutex>

#include "check_plugin.h"
#include "graft/error.h"
#include "graft/plugin_call.h"
#include "plugin_host.h"
#include "shutdown.h"

namespace graft {
namespace {

namespace dll = boost::dll;

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

const graft_plugin& link(const std::string& path, const std::string& name) {
  dll::shared_library shared;
  try {
    shared.load(path, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    keep_loaded(shared);
  } catch (const std::exception& e) {
    throw Error(ErrorCode::plugin, "plugin " + name, "cannot be linked: " + linker_message(e.what(), path),
                "install the library it misses, or link it into the plugin");
  }
  if (!shared.has("graft_plugin_entry"))
    throw Error(ErrorCode::plugin, "plugin " + name, "does not export graft_plugin_entry",
                "it is no Graft plugin, or hides the symbol: define it with GRAFT_EXPORT");
  return shared.get<const graft_plugin>("graft_plugin_entry");
}

}  // namespace

OpenedPlugin open_plugin(const std::string& path, const std::string& name,
                         const std::function<void(const char*)>& step) {
  auto next = [&step](const char* what) {
    if (step) step(what);
  };
  next("link");
  const graft_plugin& plugin = link(path, name);
  next("abi");
  check_abi(plugin, name);

  PluginHost& host = PluginHost::make(name);
  next("init");
  if (plugin.init) {
    graft_status status = call_plugin([&] { return plugin.init(&host.host); });
    if (status != GRAFT_OK) throw_plugin_error(status, name, "init");
  }
  deinit_at_exit(plugin);
  next("entries");
  return {&plugin, &host, check_entries(plugin, name)};
}

}  // namespace graft
