// What a kernel may ask of its host, see abi/host.h.
#pragma once

#include "../abi/host.h"
#include "call.hpp"
#include "error.hpp"

namespace graft::plugin {

// Null where this host has none.
template <class Extension>
const Extension* host_extension(const char* id) {
  return host() == nullptr ? nullptr : static_cast<const Extension*>(host()->get_extension(host(), id));
}

// body(begin, end, worker) over [0, count) in ranges of at least `grain`, on the host's threads, or in one
// range where it lends none. For prepare(), which gets no Call. It must not throw.
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  const auto* threads = host_extension<graft_host_parallel_for>(GRAFT_EXT_PARALLEL_FOR);
  if (threads == nullptr || count <= grain) return body(int64_t{0}, count, 0u);
  threads->parallel_for(host(), count, grain, run_body<Body>, const_cast<Body*>(&body));
}

}  // namespace graft::plugin
