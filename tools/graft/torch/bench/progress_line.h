// ProgressLine: what is being done, on one line of the terminal.
#pragma once

#include <string>

namespace graft::bench {

/// On standard error if that is a terminal, else nowhere. The line is gone with the object.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  void show(const std::string& text);

 private:
  bool visible_;
};

}  // namespace graft::bench
