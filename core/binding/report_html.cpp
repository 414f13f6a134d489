// BindReport::html(): the tree of modules as nested <details>, which keyboards and screen readers know by themselves.
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "graft/bind_report.h"
#include "html_page.h"
#include "module_tree.h"
#include "report_page.h"

namespace graft {
namespace {

constexpr std::array kStates = {LayerState::bound, LayerState::fallback, LayerState::disabled, LayerState::own};

/// A sign for each, so that colour is not all that tells them apart.
const char* sign(LayerState state) {
  switch (state) {
    case LayerState::bound: return "✓";
    case LayerState::fallback: return "▲";
    case LayerState::disabled: return "⊘";
    case LayerState::own: return "○";
  }
  return "○";
}

std::string badge(LayerState state, const std::string& count = "") {
  return "<span class=\"state " + std::string(name(state)) + "\">" + sign(state) + " " + (count.empty() ? "" : count + " ") +
         std::string(name(state)) + "</span>";
}

using Counts = std::array<int, kStates.size()>;

void count(const ModuleTree& tree, Counts& counts) {
  for (const LayerReport* layer : tree.layers) {
    for (size_t i = 0; i < kStates.size(); ++i) counts[i] += layer->state == kStates[i];
  }
  for (const ModuleTree& child : tree.children) count(child, counts);
}

std::string badges(const ModuleTree& tree) {
  Counts counts{};
  count(tree, counts);
  std::string text;
  for (size_t i = 0; i < kStates.size(); ++i) {
    if (counts[i] > 0) text += " " + badge(kStates[i], std::to_string(counts[i]));
  }
  return text;
}

std::string time_of(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 1e-3 ? "%.3g µs" : seconds < 1 ? "%.3g ms" : "%.3g s",
                seconds < 1e-3 ? seconds * 1e6 : seconds < 1 ? seconds * 1e3 : seconds);
  return text;
}

std::string calls_of(const LayerCounters& counters) {
  std::string text = std::to_string(counters.calls) + " by the kernel, " + std::to_string(counters.unsupported) +
                     " left to the own forward, " + std::to_string(counters.errors) + " failed";
  if (counters.timed > 0) {
    text += "; " + time_of(counters.seconds) + " in " + std::to_string(counters.timed) + " timed calls, " +
            time_of(counters.seconds / double(counters.timed)) + " each";
  }
  return text;
}

std::string kernel_of(const LayerReport& layer) {
  return layer.repo.empty() ? layer.reference : layer.repo + (layer.entry.empty() ? "" : ":" + layer.entry);
}

bool was_called(const LayerCounters& counters) { return counters.calls + counters.unsupported + counters.errors > 0; }

/// All that is known of a layer; what is empty is left out.
std::string facts(const LayerReport& layer) {
  const std::pair<const char*, std::string> rows[] = {
      {"module", layer.module},       {"kernel", kernel_of(layer)},
      {"mapped to", layer.reference == kernel_of(layer) ? "" : layer.reference},
      {"commit", layer.commit},       {"variant", layer.variant},
      {"digest", layer.digest},       {"trust", layer.trust},
      {"publisher", layer.publisher}, {"signer", layer.signer},
      {"rule", layer.rule},           {"license", layer.license},
      {"reason", layer.reason},       {"work done by", layer.covered_by},
      {"calls", was_called(layer.counters) ? calls_of(layer.counters) : ""}};
  std::string text = "<dl>";
  for (const auto& [key, value] : rows) {
    if (!value.empty()) text += "<dt>" + std::string(key) + "</dt><dd>" + escaped(value) + "</dd>";
  }
  return text + "</dl>";
}

/// `path`: the module's name where that is not told already by what the layer stands in.
std::string item(const LayerReport& layer, const std::string& path) {
  std::string text = "<li class=\"layer\" data-state=\"" + std::string(name(layer.state)) + "\"><details><summary>";
  if (!path.empty()) text += "<code>" + escaped(path) + "</code> ";
  text += escaped(layer.layer) + " " + badge(layer.state);
  if (const std::string kernel = kernel_of(layer); !kernel.empty()) text += " <code>" + escaped(kernel) + "</code>";
  if (was_called(layer.counters)) text += " <span class=\"faint\">" + std::to_string(layer.counters.calls) + " calls</span>";
  if (!layer.covered_by.empty()) text += "<div class=\"why\">its work is done by " + escaped(layer.covered_by) + "</div>";
  if (!layer.reason.empty()) text += "<div class=\"why\">" + escaped(layer.reason) + "</div>";
  return text + "</summary>" + facts(layer) + "</details></li>\n";
}

std::string contents(const ModuleTree& tree);

std::string branch(const ModuleTree& tree, bool open) {
  if (tree.children.empty() && tree.layers.size() == 1) return item(*tree.layers[0], tree.name);
  return "<li class=\"module\"><details" + std::string(open ? " open" : "") + "><summary><code>" + escaped(tree.name) +
         "</code>" + badges(tree) + "</summary>\n<ul>" + contents(tree) + "</ul></details></li>\n";
}

std::string fold(std::span<const ModuleTree> run) {
  std::string text = "<li class=\"module\"><details><summary><code>" + escaped(run.front().name) + " … " +
                     escaped(run.back().name) + "</code> " + std::to_string(run.size()) + " alike, each" +
                     badges(run.front()) + "</summary>\n<ul>";
  for (const ModuleTree& each : run) text += branch(each, /*open=*/false);
  return text + "</ul></details></li>\n";
}

std::string contents(const ModuleTree& tree) {
  std::string text;
  for (const LayerReport* layer : tree.layers) text += item(*layer, "");
  for (const std::span<const ModuleTree> run : tree.runs()) {
    text += run.size() == 1 ? branch(run[0], /*open=*/true) : fold(run);
  }
  return text;
}

std::string now() {
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&time, &parts));
  return text;
}

std::string head(const BindReport& report) {
  LayerCounters all;
  for (const LayerReport& layer : report.layers) {
    all.calls += layer.counters.calls;
    all.unsupported += layer.counters.unsupported;
    all.errors += layer.counters.errors;
    all.timed += layer.counters.timed;
    all.seconds += layer.counters.seconds;
  }
  std::string text = "<p>" + std::to_string(report.count(LayerState::bound)) + " of " + std::to_string(report.layers.size()) +
                     " layers are bound" + (report.seconds > 0 ? ", in " + time_of(report.seconds) : "") + ".";
  if (was_called(all)) text += " Calls: " + calls_of(all) + ".";
  text += " <span class=\"faint\">Written " + now() + "</span></p>\n";
  for (const std::string& warning : report.warnings) {
    text += "<p class=\"fallback\">Warning: " + escaped(warning) + "</p>\n";
  }
  return text;
}

/// Hidden until the script shows it: without scripts there is nothing to filter with.
std::string filter(const BindReport& report) {
  std::string text =
      "<form id=\"filter\" role=\"search\" hidden><label>Filter <input id=\"words\" type=\"search\" autocomplete=\"off\" "
      "placeholder=\"module, kernel, reason …\"></label>";
  for (const LayerState state : kStates) {
    const int count = report.count(state);
    if (count == 0) continue;
    text += "<label><input type=\"checkbox\" value=\"" + std::string(name(state)) + "\" checked> " +
            badge(state, std::to_string(count)) + "</label>";
  }
  return text + "<output id=\"shown\" aria-live=\"polite\"></output></form>\n";
}

}  // namespace

std::string BindReport::html(const ReportPage& page) const {
  const ModuleTree tree = ModuleTree::of(layers);
  return HtmlPage{.title = page.title,
                  .style = kReportStyle,
                  .body = head(*this) + filter(*this) + "<main><ul class=\"tree\">" + contents(tree) + "</ul></main>\n",
                  .script = kReportScript,
                  .refresh_seconds = page.refresh_seconds}
      .str();
}

}  // namespace graft
