// The `graft` program as a test runs it.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace graft::test {

struct Result {
  int exit;
  std::string out;  // standard output and standard error
};

inline Result run_graft(const std::string& arguments) {
  std::string command = std::string(GRAFT_PROGRAM) + " " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  Result result{-1, ""};
  for (int c; (c = std::fgetc(pipe)) != EOF;) result.out += static_cast<char>(c);
  result.exit = WEXITSTATUS(pclose(pipe));
  return result;
}

}  // namespace graft::test
