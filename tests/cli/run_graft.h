// The `graft` program as a test runs it.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace graft::test {

struct Result {
  int exit;
  std::string out;  // standard output and standard error
};

inline Result run_command(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  Result result{-1, ""};
  for (int c; (c = std::fgetc(pipe)) != EOF;) result.out += static_cast<char>(c);
  result.exit = WEXITSTATUS(pclose(pipe));
  return result;
}

inline Result run_graft(const std::string& arguments) {
  return run_command(std::string(GRAFT_PROGRAM) + " " + arguments);
}

inline Result run_graft_in(const std::filesystem::path& folder, const std::string& arguments) {
  return run_command("cd " + folder.string() + " && " + GRAFT_PROGRAM + " " + arguments);
}

}  // namespace graft::test
