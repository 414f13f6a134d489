#include "part.h"

#include <boost/dll/shared_library.hpp>
#include <list>

#include "graft/error.h"
#include "graft/install.h"

namespace graft {

void* find_in_part(const std::string& library, const std::string& symbol, const std::string& command,
                   const std::string& mend) try {
  namespace dll = boost::dll;
  static std::list<dll::shared_library> parts;  // LibTorch, for one, bears no unloading
  parts.emplace_back(library_folder() / library, dll::load_mode::rtld_now | dll::load_mode::rtld_global);
  return reinterpret_cast<void*>(&parts.back().get<int()>(symbol));
} catch (const std::exception& e) {
  throw Error(ErrorCode::not_found, command, "its part " + library + " cannot be opened: " + e.what(), mend);
}

}  // namespace graft
