// graft pack: an author's working copy becomes a commit in a Hub's folder.
#include "graft/pack.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "terminal.h"

namespace graft {
namespace {

int pack(const PackOptions& options, bool json) {
  PackResult result = pack_repo(options);
  if (json) {
    nlohmann::ordered_json object = {{"repo", options.repo},
                                     {"tag", options.tag},
                                     {"commit", result.commit},
                                     {"variants", result.variants},
                                     {"changed", result.changed}};
    fmt::print("{}\n", object.dump(2));
  } else {
    fmt::print("{} {}  {}  {}\n",
               result.changed ? styled("packed", Style::green) : styled("unchanged", Style::dim),
               options.repo, options.tag, result.commit);
    for (const std::string& variant : result.variants) fmt::print("  {}\n", printable(variant));
  }
  return kDone;
}

}  // namespace

void add_pack(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "pack", "Put a built kernel repo into a hub's folder, with digests, under a tag",
                  "graft pack repos/me/norm --hub /srv/hub --repo me/norm --tag v1.0.0");
  auto options = std::make_shared<PackOptions>();
  command->add_option("DIR", options->source, "the repo as built: build/<variant>/<library>.so")->required();
  command->add_option("--hub", options->hub, "the hub's folder; made if it is not there")->required();
  command->add_option("--repo", options->repo, "org/name")->required();
  command->add_option("--tag", options->tag, "the version's tag, as in v1.0.0")->required();
  command->add_option("--license", options->license, "SPDX name, for metadata.json");
  command->add_option("--algorithm", options->algorithm, "of the digests")
      ->check(CLI::IsMember({"sha256", "sha512"}))
      ->capture_default_str();
  command->add_option("--key", options->key, "an Ed25519 private key in PEM to sign each variant with");
  command->add_flag("--move-tag", options->move_tag, "let the tag leave the commit that it names now");
  command->callback(
      [&line, options] { line.action = [&line, options] { return pack(*options, line.json); }; });
}

}  // namespace graft
