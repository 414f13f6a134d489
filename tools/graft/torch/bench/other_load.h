// OtherLoad: how busy other processes kept this one's processors. Threads that wait for each other, as those
// of a forward do, lose a scheduler's time slice (some milliseconds) whenever one of them has to share its
// processor.
#pragma once

#include <chrono>
#include <optional>

namespace graft::bench {

class OtherLoad {
 public:
  OtherLoad();
  /// Since it was made, as a share of the processors that this process may use; 0 where the system does not
  /// tell, or in less than a tenth of a second.
  double share() const;

 private:
  struct Clocks {
    double busy = 0, own = 0;  // seconds of processor time: of everyone on these processors, of this process
  };
  static std::optional<Clocks> now();

  std::optional<Clocks> before_;
  std::chrono::steady_clock::time_point start_;
};

/// From this share on a report warns.
inline constexpr double kDisturbing = 0.1;

}  // namespace graft::bench
