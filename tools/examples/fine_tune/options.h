// What fine_tune is asked for on its command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

struct Options {
  std::string model, text;
  int64_t steps = 20, sequence_length = 256, batch = 4;
  double learning_rate = 2e-5;
  std::string dtype = "float32";
  bool kernels = true, checkpoint = false, json = false;
  std::string output;  // empty: nothing is saved
};

/// Prints the help or what is wrong, and then `exit` is the program's exit code; else the options.
struct Parsed {
  Options options;
  std::optional<int> exit;
};
Parsed parse_options(int argc, char** argv);
