#include "local_package.h"

#include "graft/error.h"
#include "variant_digest.h"

namespace graft {
namespace fs = std::filesystem;

LocalPackage find_local_package(const fs::path& path, const HostPlatform& host, const std::string& device) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    throw Error(ErrorCode::not_found, "kernel " + path.string(), "there is nothing at this path",
                "build it, or mend the path");
  if (!fs::is_directory(status)) return {path, "", {}};
  if (!fs::is_directory(path / "build", error)) {
    fs::path folder = path.has_filename() ? path : path.parent_path();
    bool variant = folder.parent_path().filename() == "build";
    return {path / library_name(path), variant ? folder.filename().string() : "", {}};
  }
  std::vector<std::string> listing;
  for (const fs::directory_entry& item : fs::directory_iterator(path / "build", error))
    if (item.is_directory(error)) listing.push_back(item.path().filename().string());
  LocalPackage package{{}, {}, resolve_variant(listing, host, device)};
  package.variant = package.variants.chosen;
  if (!package.variant.empty()) {
    fs::path folder = path / "build" / package.variant;
    package.library = folder / library_name(folder);
  }
  return package;
}

}  // namespace graft
