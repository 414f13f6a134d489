#include "html_file.h"

#include <unistd.h>

#include "graft/error.h"
#include "whole_file.h"  // of core/runtime

namespace graft::bench {
namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const fs::path& file, const std::string& why, const std::string& mend) {
  throw Error(ErrorCode::io, "--html " + file.string(), why, mend);
}

}  // namespace

void check_html_file(const fs::path& file) {
  std::error_code error;
  const fs::path folder = fs::absolute(file).parent_path();
  if (fs::is_directory(file, error)) refuse(file, "is a folder", "name a file in it");
  if (!fs::is_directory(folder, error))
    refuse(file, "its folder does not exist", "mkdir -p " + folder.string());
  if (access(folder.c_str(), W_OK) != 0)
    refuse(file, "its folder cannot be written to", "choose another one");
}

void write_html_file(const fs::path& file, std::string_view page) {
  try {
    write_whole(fs::absolute(file), page);
  } catch (const fs::filesystem_error& error) {
    refuse(file, error.code().message(), "check permissions and disk space");
  }
}

}  // namespace graft::bench
