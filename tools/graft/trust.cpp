// graft trust: what this machine has been told to believe.
#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/runtime.h"
#include "graft/verify.h"
#include "terminal.h"

namespace graft {
namespace {

int accept(const std::string& ref, bool json) {
  std::string revision = Runtime::shared().accept(KernelRef::parse(ref));
  if (json)
    fmt::print("{}\n", nlohmann::ordered_json{{"ref", ref}, {"revision", revision}}.dump(2));
  else
    fmt::print("{} {} as {}\n", styled("accepted", Style::green), printable(ref), printable(revision));
  return kDone;
}

std::string date(std::int64_t seconds) {
  std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

int root(const std::string& file, bool json) {
  if (!file.empty()) replace_trusted_root(file);
  TrustedRoot root = trusted_root_in_force();
  if (json) {
    nlohmann::ordered_json services = nlohmann::ordered_json::array();
    for (const TrustedRoot::Service& service : root.services())
      services.push_back({{"kind", service.kind}, {"uri", service.uri}, {"start", date(service.start)},
                          {"end", service.end ? date(*service.end) : ""}});
    fmt::print("{}\n", nlohmann::ordered_json{{"expires", root.expires() ? date(*root.expires()) : ""},
                                              {"services", services}}.dump(2));
    return kDone;
  }
  for (const TrustedRoot::Service& service : root.services())
    fmt::print("  {:<22} {}  {} – {}\n", service.kind, printable(service.uri), date(service.start),
               service.end ? date(*service.end) : "");
  fmt::print("signatures can be verified {}\n",
             root.expires() ? "until " + date(*root.expires()) : "without an end that is known");
  return kDone;
}

}  // namespace

void add_trust(CLI::App& app, CommandLine& line) {
  CLI::App* command = app.add_subcommand("trust", "Change what this machine believes of kernels' publishers");
  command->require_subcommand(1);
  command->footer("Example:\n  graft trust accept org/name@v1.1.0");
  CLI::App* accepted =
      add_command(*command, line, "accept", "Let an older version, or a tag with other bytes, run from now on",
                  "graft trust accept org/name@v1.1.0");
  auto ref = std::make_shared<std::string>();
  accepted->add_option("REF", *ref, "as it was refused: org/name[@revision]")->required();
  CLI::App* rooted = add_command(*command, line, "root", "Show the trusted root, or replace it after checking it",
                                 "graft trust root ./trusted_root.json");
  auto file = std::make_shared<std::string>();
  rooted->add_option("FILE", *file, "Sigstore's trusted_root.json");
  rooted->callback([&line, file] { line.action = [&line, file] { return root(*file, line.json); }; });
  accepted->callback([&line, ref] { line.action = [&line, ref] { return accept(*ref, line.json); }; });
}

}  // namespace graft
