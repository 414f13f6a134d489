// EventSubscription: a host hears what becomes of its layers, as it happens.
//
//   auto subscription = graft::on_event([](const graft::Event& event) {
//     if (event.kind == graft::Event::Kind::error) alert(event.module, event.kernel, event.reason);
//   });
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace graft {

struct Event {
  enum class Kind {
    bound,     // a kernel is in force: seconds are those of finding, fetching, checking, loading and binding it; 0: its line has changed,
               // as where KernelPolicy::fastest has settled
    own,       // the layer is not mapped, or was unbound
    fallback,  // a kernel was asked for and cannot be had, or one that was bound is in force no more or slower: reason says why
    disabled,  // mapped to "", or kernels are off
    error,     // a call in which the kernel failed: the layer's own forward takes over, or the call throws
    call,      // a call that the kernel served, in these seconds; for those alone who ask for calls
  };
  Kind kind = Kind::own;
  std::string layer;   // "RMSNorm"
  std::string module;  // "model.layers.0.input_layernorm"
  std::string kernel;  // "graft-kernels/norm:RMSNorm", as it was mapped; empty if none was
  std::string reason;  // a sentence; may be empty
  double seconds = 0;  // wall time
};
/// "bound", "own", "fallback", "disabled", "error", "call".
std::string_view name(Event::Kind kind);

struct EventOptions {
  bool calls = false;  // also Kind::call, for every call of every kernel: for measuring
};

/// Ends the subscription when it goes: the callback is then in no call any more, and comes to none, but for the one that it
/// is itself ended in. Movable; one thread at a time.
class EventSubscription {
 public:
  struct Listener;

  EventSubscription() = default;  // of nobody
  explicit EventSubscription(std::shared_ptr<Listener> listener);
  EventSubscription(EventSubscription&& other) noexcept = default;
  EventSubscription& operator=(EventSubscription&& other) noexcept;
  ~EventSubscription();

 private:
  std::shared_ptr<Listener> listener_;
};

/// Of all modules of the process, from now on. The callback runs in the thread in which it happens, one event at a time, and
/// may ask for reports, bind, and run layers, whose own events it is then not told; it must not wait for another thread
/// that runs layers. What it throws becomes a warning in the log, and nothing else is lost. While anybody is subscribed, calls are
/// timed (LayerCounters::seconds). Any thread.
[[nodiscard]] EventSubscription on_event(std::function<void(const Event&)> callback, EventOptions options = {});

}  // namespace graft
