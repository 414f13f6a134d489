// What `graft serve` was asked for. Handed to the part of the command that links the HTTP library.
#pragma once

#include <string>
#include <vector>

#include "hub_server.h"

namespace graft {

struct ServeOptions {
  ServerOptions server;
  std::vector<std::string> faults;  // as of parse_faults
  bool log = false;
  bool json = false;
};

/// The function of libgraft_serve.so; returns an exit code once SIGINT or SIGTERM came, throws Error.
using GraftCommandServe = int(const ServeOptions*);
inline constexpr const char* kGraftCommandServe = "graft_command_serve";

}  // namespace graft
