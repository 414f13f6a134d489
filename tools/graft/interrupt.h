// Ctrl-C as a request to stop, for work that then leaves things in order.
#pragma once

#include <csignal>
#include <cstdlib>
#include <stop_token>
#include <thread>

namespace graft {

/// While it lives, SIGINT and SIGTERM stop() the work instead of ending the process; a second one ends it. Made before
/// other threads are, which inherit that these signals are not theirs.
class Interrupt {
 public:
  Interrupt() {
    sigemptyset(&signals_);
    for (int signal : {SIGINT, SIGTERM, kDone}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    waiter_ = std::thread([this] {
      for (int signal; sigwait(&signals_, &signal) == 0 && signal != kDone;) {
        if (source_.stop_requested()) std::_Exit(kExit);
        source_.request_stop();
      }
    });
  }
  ~Interrupt() {
    pthread_kill(waiter_.native_handle(), kDone);
    waiter_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupt(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }

  static constexpr int kExit = 130;  // as of a program that SIGINT ended

 private:
  static constexpr int kDone = SIGUSR2;  // to the waiting thread alone

  sigset_t signals_{}, before_{};
  std::stop_source source_;
  std::thread waiter_;
};

}  // namespace graft
