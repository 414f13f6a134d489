// graft tokenize: the ids that a model sees for a text.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/hub.h"
#include "graft/tokenizer.h"

namespace graft {
namespace {

struct TokenizeOptions {
  std::string model, text;
  bool special_tokens = false;
};

/// Of a folder, itself, or of a model on the Hub.
std::filesystem::path tokenizer_file(const std::string& model) {
  if (std::filesystem::is_directory(model)) return std::filesystem::path(model) / "tokenizer.json";
  if (std::filesystem::exists(model)) return model;
  if (std::count(model.begin(), model.end(), '/') != 1 || model.front() == '/' || model.front() == '.')
    throw Error(ErrorCode::not_found, "model " + model, "there is no such folder, and it is no name on a Hub",
                "give the path of a folder with tokenizer.json, or org/name");
  return open_hub(HubOptions::from_environment())->file({RepoKind::model, model}, "main", "tokenizer.json");
}

int tokenize(const TokenizeOptions& options, bool json) {
  std::filesystem::path file = tokenizer_file(options.model);
  std::vector<std::int64_t> ids =
      Tokenizer::from_file(file).encode(options.text, {.add_special_tokens = options.special_tokens});
  if (json)
    fmt::print("{}\n", nlohmann::json{{"ids", ids}}.dump());
  else
    fmt::print("{}\n", fmt::join(ids, " "));
  return kDone;
}

}  // namespace

void add_tokenize(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "tokenize", "Print a text's token ids",
                                  "graft tokenize ./SmolLM2-135M-Instruct \"What is gravity?\"");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("MODEL", options->model, "a model's folder, its tokenizer.json, or its name on the Hub")->required();
  command->add_option("TEXT", options->text, "the text")->required();
  command->add_flag("--special-tokens", options->special_tokens,
                    "with those that the model's template adds, such as bos");
  command->callback(
      [&line, options] { line.action = [&line, options] { return tokenize(*options, line.json); }; });
}

}  // namespace graft
