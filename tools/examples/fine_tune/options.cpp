#include "options.h"

#include <CLI/CLI.hpp>

Parsed parse_options(int argc, char** argv) {
  Parsed parsed;
  Options& options = parsed.options;
  std::string kernels = "on";
  CLI::App app("Trains a model on a text, with kernels or with its own layers, on the CPU.", "fine_tune");
  app.add_option("MODEL", options.model,
                 "A name on the Hub, or a folder with config.json, *.safetensors, tokenizer.json")
      ->required();
  app.add_option("TEXT", options.text, "A file in UTF-8")->required()->check(CLI::ExistingFile);
  app.add_option("--steps", options.steps, "Steps of the optimizer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--sequence-length", options.sequence_length, "Tokens of a row")
      ->check(CLI::Range(int64_t(2), int64_t(1) << 20))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Rows of a step")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 16))
      ->capture_default_str();
  app.add_option("--learning-rate", options.learning_rate, "AdamW's")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "What weights, gradients and AdamW's moments are kept in")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--kernels", kernels, "Whether kernels are bound")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  app.add_flag("--checkpoint", options.checkpoint,
               "Compute activations again in backward instead of keeping them");
  app.add_option("--output", options.output, "Folder that the trained model goes to, as MODEL's");
  app.add_flag("--json", options.json, "Print one object at the end, and nothing else");
  app.footer(
      "Example:\n  fine_tune HuggingFaceTB/SmolLM2-135M-Instruct tools/examples/fine_tune/text.txt --steps "
      "20 --output tuned\n"
      "  graft run ./tuned --prompt 'What is a kernel?'\n\n"
      "Ctrl-C ends the training after the step under way; what was learned until then is saved.\n"
      "Exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error);
    parsed.exit = asked ? 0 : 2;
  }
  options.kernels = kernels == "on";
  return parsed;
}
