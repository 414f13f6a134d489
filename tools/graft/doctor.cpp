// graft doctor: what makes kernels fail on this machine, and its mend.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "command.h"
#include "doctor_model.h"
#include "graft/error.h"
#include "graft/hub_options.h"
#include "graft/install.h"
#include "graft/policy.h"
#include "graft/quarantine.h"
#include "graft/verify.h"
#include "terminal.h"

namespace graft {
namespace {

using nlohmann::ordered_json;

struct Row {
  bool good;
  std::string name, state, mend;
};

template <class F>
Row row(const char* name, F&& look) try {
  return look();
} catch (const Error& e) {
  return {false, name, e.failed() + ": " + e.why(), e.mend()};
}

Row policy() {
  Policy policy = Policy::load();
  return {true, "policy", policy.sources.empty() ? "the defaults" : fmt::format("{}", fmt::join(policy.sources, ", ")), ""};
}

Row root() {
  TrustedRoot root = trusted_root_in_force();
  auto end = root.expires();
  if (!end) return {true, "trusted root", "no end that is known", ""};
  auto days = (*end - static_cast<std::int64_t>(std::time(nullptr))) / 86'400;
  return {days > 0, "trusted root", days > 0 ? fmt::format("{} days left", days) : fmt::format("out of date since {} days", -days),
          days > 0 ? "" : "get Sigstore's newest trusted_root.json: graft trust root FILE"};
}

Row quarantined() {
  auto all = list_quarantine();
  return {all.empty(), "quarantine", fmt::format("{} digests", all.size()), all.empty() ? "" : "see why, and lift: graft quarantine"};
}

Row cache() {
  HubOptions options = HubOptions::from_environment();
  std::filesystem::path folder = options.cache_dir;
  while (!std::filesystem::exists(folder) && folder.has_parent_path()) folder = folder.parent_path();
  bool writable = access(folder.c_str(), W_OK) == 0;
  return {writable, "cache", options.cache_dir.string() + (writable ? "" : " cannot be written"),
          writable ? "" : "mend its permissions, or set HF_HUB_CACHE"};
}

Row hub() {
  HubOptions options = HubOptions::from_environment();
  return {true, "hub", options.endpoint + (options.offline ? ", offline" : "") + (options.token.empty() ? "" : ", with a token"), ""};
}

Row first_party() {
  auto folder = find_embedded_hub();
  return {!folder.empty(), "own kernels", folder.empty() ? "there are none" : folder.string(), folder.empty() ? "build or install them, or set GRAFT_HUB" : ""};
}

int examine(bool json) {
  const std::vector<Row> rows = {row("policy", policy),         row("trusted root", root), row("quarantine", quarantined),
                                 row("own kernels", first_party), row("hub", hub),           row("cache", cache)};
  bool good = std::all_of(rows.begin(), rows.end(), [](const Row& each) { return each.good; });
  ordered_json list = ordered_json::array();
  for (const Row& each : rows) {
    list.push_back({{"name", each.name}, {"good", each.good}, {"state", each.state}, {"mend", each.mend}});
    if (json) continue;
    fmt::print("{} {:<13} {}\n", each.good ? styled("✓", Style::green) : styled("✗", Style::red), each.name, printable(each.state));
    if (!each.mend.empty()) fmt::print("                → {}\n", printable(each.mend));
  }
  if (json) fmt::print("{}\n", ordered_json{{"good", good}, {"rows", list}}.dump(2));
  return good ? kDone : kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_command(app, line, "doctor", "Say what would make kernels fail on this machine, or which layers of a model would be bound",
                  "graft doctor\n"
                  "  graft doctor Qwen/Qwen3-0.6B --strict      # for CI: exit 1 if a mapped layer would fall back");
  auto model = std::make_shared<DoctorModelOptions>();
  add_model_options(*command, model);
  command->callback([&line, model] {
    line.action = [&line, model] { return model->model.empty() ? examine(line.json) : examine_model(*model, line.json); };
  });
}

}  // namespace graft
