#include "graft/hub_status.h"

#include "../json_text.h"
#include "graft/hub.h"
#include "http_client.h"

namespace graft {

HubStatus ask_hub(const HubOptions& options, std::chrono::milliseconds timeout) {
  open_hub(options);  // throws for what is no address
  if (options.endpoint.starts_with("file://") || options.offline) return {};
  HubStatus status;
  const auto start = std::chrono::steady_clock::now();
  try {
    HttpResponse response = HttpClient(options).get({.url = options.endpoint + "/api/whoami-v2", .timeout = timeout, .max_body = 1 << 20});
    status.latency = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    status.token_refused = !options.token.empty() && (response.status == 401 || response.status == 403);
    if (is_unavailable(response.status))
      throw Error(ErrorCode::unavailable, options.endpoint, "answers " + std::to_string(response.status), "try again later");
    if (response.status == 200)
      status.user = detail::Fields(detail::parse_object(response.body, options.endpoint), options.endpoint).optional_text("name").value_or("");
  } catch (const Error& e) {
    status.problem = e;
  }
  return status;
}

}  // namespace graft
