// HubStatus: whether the Hub answers, and as whom.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "graft/error.h"
#include "graft/hub_options.h"

namespace graft {

struct HubStatus {
  std::optional<Error> problem = {};  // why it does not answer; none: it does
  std::chrono::milliseconds latency{0};
  std::string user = {};       // whose token it is; empty without one, or from a Hub that does not say
  bool token_refused = false;  // the Hub answers, and does not know the token
};

/// One request, without retries, given up after `timeout`; none at all for file:// and where options.offline is set, both of
/// which are no problem. Throws Error(invalid_argument) for an endpoint that is no address, not_found for a folder that is not
/// there.
HubStatus ask_hub(const HubOptions& options, std::chrono::milliseconds timeout);

}  // namespace graft
