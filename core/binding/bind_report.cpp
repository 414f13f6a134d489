#include "graft/bind_report.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>

#include "module_tree.h"

namespace graft {
namespace {

std::string shortened(const std::string& text, size_t length) {
  return text.size() <= length ? text : text.substr(0, length);
}

/// Columns of a terminal that UTF-8 text takes (no wide characters occur here).
size_t width(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string_view name(LayerState state) {
  switch (state) {
    case LayerState::own: return "own";
    case LayerState::bound: return "bound";
    case LayerState::fallback: return "fallback";
    case LayerState::disabled: return "disabled";
  }
  return "own";
}

int BindReport::count(LayerState state) const {
  return int(std::count_if(layers.begin(), layers.end(), [&](const LayerReport& l) { return l.state == state; }));
}

std::string BindReport::json() const {
  nlohmann::ordered_json out;
  out["layers"] = nlohmann::ordered_json::array();
  for (const LayerReport& l : layers) {
    nlohmann::ordered_json row = {{"layer", l.layer},   {"module", l.module}, {"state", name(l.state)},
                                  {"repo", l.repo},     {"commit", l.commit}, {"variant", l.variant},
                                  {"entry", l.entry},   {"digest", l.digest}, {"trust", l.trust},
                                  {"publisher", l.publisher}, {"license", l.license}, {"signer", l.signer},
                                  {"rule", l.rule},     {"reason", l.reason}, {"calls", l.counters.calls},
                                  {"unsupported", l.counters.unsupported},    {"errors", l.counters.errors}};
    if (l.counters.timed > 0) row["seconds"] = l.counters.seconds;
    if (!l.reference.empty()) row["reference"] = l.reference;
    if (!l.covered_by.empty()) row["covered_by"] = l.covered_by;
    for (const LayerTiming& t : l.timings) {
      row["timings"].push_back({{"shapes", t.shapes}, {"kernel_seconds", t.kernel_seconds}, {"own_seconds", t.own_seconds},
                                {"keeps", t.keeps_kernel ? "kernel" : "own"}});
    }
    out["layers"].push_back(std::move(row));
  }
  out["warnings"] = warnings;
  out["seconds"] = seconds;
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string BindReport::table() const {
  struct Row {
    std::vector<std::string> cells;
    std::string reason;
    int count = 0;
  };
  std::vector<Row> rows;
  std::map<std::string, size_t> seen;
  for (const LayerReport& l : layers) {
    const std::string covered = folded(l.covered_by);
    std::vector<std::string> cells = {l.layer,
                                      folded(l.module),
                                      std::string(name(l.state)),
                                      l.repo.empty() ? l.reference : l.repo + (l.entry.empty() ? "" : ":" + l.entry),
                                      shortened(l.commit, 7),
                                      l.variant,
                                      // "sha256:" and the first digits tell one build from another
                                      shortened(l.digest, 7 + 12),
                                      l.trust,
                                      // without a key's id or a certificate's issuer, which --json tells
                                      shortened(l.signer.substr(0, l.signer.find(" (")), 48)};
    std::string reason = l.reason;
    if (!covered.empty()) reason += (reason.empty() ? "" : "; ") + ("its work is done by " + covered);
    std::string key = reason;
    for (const std::string& cell : cells) key += '\0' + cell;
    const auto [found, fresh] = seen.emplace(key, rows.size());
    if (fresh) rows.push_back({std::move(cells), std::move(reason), 0});
    ++rows[found->second].count;
  }

  std::vector<std::vector<std::string>> lines = {
      {"layer", "module", "state", "kernel", "commit", "variant", "digest", "trust", "signer"}};
  for (Row& row : rows) {
    if (row.count > 1) row.cells[1] += " × " + std::to_string(row.count);
    for (std::string& cell : row.cells) {
      if (cell.empty()) cell = "-";
    }
    lines.push_back(row.cells);
  }
  std::vector<size_t> widths(lines[0].size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  std::string out;
  for (size_t n = 0; n < lines.size(); ++n) {
    std::string text;
    for (size_t i = 0; i < lines[n].size(); ++i) {
      text += lines[n][i] + std::string(widths[i] - width(lines[n][i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
    if (n == 0) {
      size_t total = 0;
      for (size_t w : widths) total += w + 2;
      for (size_t i = 0; i + 2 < total; ++i) out += "─";
      out += "\n";
    } else if (!rows[n - 1].reason.empty()) {
      out += "    " + rows[n - 1].reason + "\n";
    }
  }
  for (const std::string& warning : warnings) out += "warning: " + warning + "\n";
  return out;
}

std::ostream& operator<<(std::ostream& out, const BindReport& report) { return out << report.table(); }

}  // namespace graft
