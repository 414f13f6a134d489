// From an endpoint to the Hub that speaks its scheme. Hubs over HTTP join here.
#include "folder_hub.h"
#include "graft/error.h"

namespace graft {

std::shared_ptr<Hub> open_hub(const std::string& endpoint) {
  constexpr std::string_view kFile = "file://";
  if (endpoint.starts_with(kFile)) {
    std::string path = endpoint.substr(kFile.size());
    if (!path.starts_with("/"))
      throw Error(ErrorCode::invalid_argument, "hub " + endpoint, "its path is not absolute",
                  "write three slashes: file:///path");
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return std::make_shared<FolderHub>(path);
  }
  throw Error(ErrorCode::unsupported, "hub " + endpoint, "this version of Graft reads hubs in a folder only",
              "set HF_ENDPOINT=file:///path to a folder with kernels/<org>/<name>");
}

}  // namespace graft
