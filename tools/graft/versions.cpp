// graft versions: the tags and branches of a kernel's repo, and which variant of each fits this machine.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/find_commit.h"
#include "graft/runtime.h"
#include "graft/version.h"
#include "host_option.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct VersionsOptions {
  std::string repo, host;
  LoadOptions load;
};

/// A tag or branch.
struct Line {
  std::string name, commit;
  bool tag = false;
  std::string fits, why;  // the variant, or why there is none
};

/// Versions first, the highest first; then other names.
bool before(const Line& a, const Line& b) {
  auto x = Version::parse(a.name), y = Version::parse(b.name);
  if (x.has_value() != y.has_value()) return x.has_value();
  if (x && *x != *y) return *x > *y;
  return std::tuple{!a.tag, a.name} < std::tuple{!b.tag, b.name};
}

std::vector<Line> lines_of(Hub& hub, const RepoId& repo, const Refs& refs, const LoadOptions& load) {
  std::vector<Line> lines;
  for (const auto& [name, commit] : refs.tags) lines.push_back({name, commit, true, {}, {}});
  for (const auto& [name, commit] : refs.branches) lines.push_back({name, commit, false, {}, {}});
  std::sort(lines.begin(), lines.end(), before);
  const HostPlatform host = host_for(load);
  for (Line& line : lines) {
    try {
      VariantChoice choice = resolve_variant(variants_of(hub.list(repo, line.commit, "")), host, load.device);
      line.fits = choice.chosen;
      if (line.fits.empty()) line.why = choice.trace.empty() ? "it has no variants" : "none fits";
    } catch (const Error& e) {  // of a cache that is offline: not all commits are there
      line.why = e.why();
    }
  }
  return lines;
}

int show(const VersionsOptions& options, bool json) {
  KernelRef ref = KernelRef::parse(options.repo);
  if (ref.is_local() || !ref.revision.empty() || !ref.entry.empty())
    throw Error(ErrorCode::invalid_argument, "\"" + options.repo + "\"", "is no repo", "write org/name");
  LoadOptions load = options.load;
  load.host = read_host_option(options.host);
  std::shared_ptr<Hub> hub = Runtime::shared().hub_for(ref.repo);
  FoundCommit found = find_kernel(*hub, ref.repo, "");
  const std::vector<Line> lines = lines_of(*hub, found.repo, found.refs, load);
  if (!found.note.empty()) fmt::print(stderr, "{} {}\n", styled("note:", Style::yellow, true), printable(found.note));
  if (json) {
    ordered_json object = {{"repo", ref.repo}, {"tags", ordered_json::array()}, {"branches", ordered_json::array()}, {"default", found.revision.name}};
    for (const Line& line : lines)
      object[line.tag ? "tags" : "branches"].push_back({{"name", line.name}, {"commit", line.commit}, {"variant", line.fits}, {"reason", line.why}});
    fmt::print("{}\n", object.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return kDone;
  }
  std::size_t width = 8;
  for (const Line& line : lines) width = std::max(width, line.name.size());
  for (const Line& line : lines) {
    const bool chosen = line.name == found.revision.name;
    fmt::print("{} {:<{}}  {:<6}  {}  {}\n", line.fits.empty() ? styled("✗", Style::dim) : styled("✓", Style::green), printable(line.name), width,
               line.tag ? "tag" : "branch", line.commit.substr(0, 12), printable(line.fits.empty() ? line.why : line.fits));
    if (chosen) fmt::print("  {:<{}}  {}\n", "", width, styled("↑ what " + ref.repo + " without a revision takes", Style::dim));
  }
  return kDone;
}

}  // namespace

void add_versions(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "versions", "List a kernel's tags and branches, and what of each fits this machine",
                                  "graft versions kernels-community/activation --device cuda");
  auto options = std::make_shared<VersionsOptions>();
  command->add_option("REPO", options->repo, "org/name")->required();
  command->add_option("--device", options->load.device, "cpu, cuda, …")->capture_default_str();
  add_host_option(*command, options->host);
  command->callback([&line, options] { line.action = [&line, options] { return show(*options, line.json); }; });
}

}  // namespace graft
