#include "whole_file.h"

#include <fstream>
#include <iterator>

#include "graft/error.h"

namespace graft {
namespace fs = std::filesystem;

std::string read_whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_whole(const fs::path& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  fs::path beside = file.parent_path() / ("." + file.filename().string() + ".new");
  std::ofstream out(beside, std::ios::binary);
  out << text;
  out.close();
  if (!out)
    throw Error(ErrorCode::io, "file " + file.string(), "cannot be written",
                "check permissions and disk space");
  fs::rename(beside, file);
}

}  // namespace graft
