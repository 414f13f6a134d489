#include "html_file.h"

#include <unistd.h>

#include "graft/error.h"
#include "whole_file.h"  // of core/runtime

namespace graft {
namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(std::string_view option, const fs::path& file, const std::string& why, const std::string& mend) {
  throw Error(ErrorCode::io, std::string(option) + " " + file.string(), why, mend);
}

}  // namespace

void check_html_file(std::string_view option, const fs::path& file) {
  std::error_code error;
  const fs::path folder = fs::absolute(file).parent_path();
  if (fs::is_directory(file, error)) refuse(option, file, "is a folder", "name a file in it");
  if (!fs::is_directory(folder, error))
    refuse(option, file, "its folder does not exist", "mkdir -p " + folder.string());
  if (access(folder.c_str(), W_OK) != 0)
    refuse(option, file, "its folder cannot be written to", "choose another one");
}

void write_html_file(std::string_view option, const fs::path& file, std::string_view page) {
  try {
    write_whole(fs::absolute(file), page);
  } catch (const fs::filesystem_error& error) {
    refuse(option, file, error.code().message(), "check permissions and disk space");
  }
}

}  // namespace graft
