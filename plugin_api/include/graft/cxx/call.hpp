// Call: the circumstances of one forward, see abi/call.h.
#pragma once

#include "../abi/call.h"

namespace graft::plugin {

// A parallel_for's body as the ABI has it: `data` is the Body.
template <class Body>
void run_body(void* data, int64_t begin, int64_t end, uint32_t worker) {
  (*static_cast<const Body*>(data))(begin, end, worker);
}

class Call {
 public:
  explicit Call(const graft_call* call) : call_(call) {}

  uint32_t thread_count() const { return call_->thread_count; }
  void* stream() const { return call_->stream; }
  graft_device device() const { return call_->device; }
  bool capturing() const { return (call_->flags & GRAFT_CALL_CAPTURING) != 0; }
  bool deterministic() const { return (call_->flags & GRAFT_CALL_DETERMINISTIC) != 0; }

  // Scratch of workspace_size() bytes, aligned to 256.
  template <class T>
  T* workspace() const {
    return static_cast<T*>(call_->workspace);
  }

  // body(begin, end, worker) over [0, count) in ranges of at least `grain`, on the host's threads. It must not throw.
  template <class Body>
  void parallel_for(int64_t count, int64_t grain, const Body& body) const {
    if (count <= 0) return;
    if (count <= grain || call_->thread_count <= 1) return body(int64_t{0}, count, 0u);
    call_->parallel_for(call_, count, grain, run_body<Body>, const_cast<Body*>(&body));
  }

 private:
  const graft_call* call_;
};

}  // namespace graft::plugin
