#include "progress_line.h"

#include <unistd.h>

#include <cstdio>

#include "terminal.h"

namespace graft::bench {

namespace {
constexpr const char* kClear = "\r\033[K";
}

ProgressLine::ProgressLine() : visible_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (visible_) std::fprintf(stderr, "%s", kClear);
}

void ProgressLine::show(const std::string& text) {
  if (visible_) std::fprintf(stderr, "%s%s", kClear, printable(text).c_str());
}

}  // namespace graft::bench
