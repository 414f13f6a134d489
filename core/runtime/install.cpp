#include "graft/install.h"

#include <boost/dll/runtime_symbol_info.hpp>
#include <cstdlib>

#include "graft/error.h"

namespace graft {
namespace fs = std::filesystem;

fs::path library_folder() try {
  return fs::canonical(boost::dll::symbol_location(library_folder)).parent_path();
} catch (const std::exception& e) {
  throw Error(ErrorCode::io, "Graft's own folder", e.what(), "set GRAFT_HUB to the embedded hub's path");
}

fs::path find_embedded_hub() {
  if (const char* set = std::getenv("GRAFT_HUB"); set && *set) {
    if (!fs::is_directory(set))
      throw Error(ErrorCode::not_found, "GRAFT_HUB=" + std::string(set), "there is no such folder",
                  "set it to a hub's folder, or unset it for the one that comes with Graft");
    return fs::absolute(set);
  }
  fs::path folder = library_folder();
  for (const char* place : {"../hub", "../share/graft/hub", "../../share/graft/hub"})
    if (fs::is_directory(folder / place / "kernels")) return (folder / place).lexically_normal();
  return {};
}

}  // namespace graft
