// From an endpoint to the Hub that speaks its scheme.
#include "folder_hub.h"
#include "graft/error.h"
#include "http/http_hub.h"

namespace graft {

std::shared_ptr<Hub> open_hub(const HubOptions& options) {
  constexpr std::string_view kFile = "file://";
  if (!options.endpoint.starts_with(kFile)) return std::make_shared<HttpHub>(options);
  std::string path = options.endpoint.substr(kFile.size());
  if (!path.starts_with("/"))
    throw Error(ErrorCode::invalid_argument, "hub " + options.endpoint, "its path is not absolute",
                "write three slashes: file:///path");
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return std::make_shared<FolderHub>(path);
}

std::shared_ptr<Hub> open_hub(const std::string& endpoint) {
  HubOptions options = HubOptions::from_environment();
  options.endpoint = endpoint;
  return open_hub(options);
}

}  // namespace graft
