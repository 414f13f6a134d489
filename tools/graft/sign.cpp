// graft sign: a publisher's Ed25519 signature over what a kernel's variants hold.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/sign.h"
#include "terminal.h"

namespace graft {
namespace {

struct SignCommand {
  SignOptions sign;
  std::string new_key;
};

int sign(const SignCommand& options, bool json) {
  if (!options.new_key.empty()) {
    std::string public_key = make_key(options.new_key);
    if (json)
      fmt::print("{}\n", nlohmann::ordered_json{{"key", options.new_key}, {"public_key", public_key}}.dump(2));
    else
      fmt::print("{} {}; its public half, for \"keys\" in a policy:\n{}", styled("made", Style::green),
                 printable(options.new_key), public_key);
    return kDone;
  }
  if (options.sign.folder.empty() || options.sign.keys.empty())
    throw Error(ErrorCode::invalid_argument, "graft sign", "needs a folder and a key",
                "graft sign ./my-kernel --key key.pem, or graft sign --new-key key.pem");
  std::vector<std::string> signed_variants = sign_variants(options.sign);
  if (json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"variants", signed_variants}}.dump(2));
  } else {
    for (const std::string& variant : signed_variants)
      fmt::print("{} {}\n", styled("signed", Style::green), printable(variant));
  }
  return kDone;
}

}  // namespace

void add_sign(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "sign", "Sign a kernel's variants with an Ed25519 key",
                                  "graft sign --new-key key.pem\n  graft sign ./my-kernel --key key.pem");
  auto options = std::make_shared<SignCommand>();
  command->add_option("DIR", options->sign.folder, "a repo with build/<variant>/, or one variant's folder");
  command->add_option("--key", options->sign.keys, "a private key in PEM; several sign side by side, for rotation")
      ->allow_extra_args(false);
  command->add_flag("--plain", options->sign.plain, "a plain signature file instead of a DSSE envelope; one key");
  command->add_option("--new-key", options->new_key, "make a private key in this file, and print its public half");
  command->callback([&line, options] { line.action = [&line, options] { return sign(*options, line.json); }; });
}

}  // namespace graft
