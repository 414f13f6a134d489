#include <gtest/gtest.h>

#include "graft/bind_report.h"
#include "module_tree.h"

namespace graft {
namespace {

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(word, at)) != text.npos; at += word.size()) ++found;
  return found;
}

BindReport blocks() {
  BindReport report;
  for (int i = 0; i < 30; ++i) {
    const std::string block = "model.layers." + std::to_string(i);
    report.layers.push_back({.layer = "RMSNorm", .module = block + ".norm", .state = LayerState::bound,
                             .reference = "graft-kernels/norm:RMSNorm", .repo = "graft-kernels/norm", .entry = "RMSNorm",
                             .license = "Apache-2.0", .covered_by = block + " (AddRMSNorm)"});
    report.layers.push_back({.layer = "SiLU", .module = block + ".mlp.act_fn", .state = LayerState::fallback, .reason = "no such repo"});
  }
  report.layers.push_back({.layer = "Linear", .module = "lm_head", .state = LayerState::own, .reason = "not mapped"});
  return report;
}

TEST(ReportHtml, NeedsNothingFromElsewhere) {
  const std::string page = blocks().html();
  EXPECT_EQ(page.find("<!DOCTYPE html>"), 0u);
  for (const char* outside : {"http://", "https://", " src=", " href=", "url(", "@import", "onclick"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  EXPECT_NE(page.find("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(ReportHtml, ShowsEachLayerInTheTreeOfItsModules) {
  const std::string page = blocks().html({.title = "SmolLM2"});
  EXPECT_NE(page.find("<h1>SmolLM2</h1>"), std::string::npos);
  EXPECT_EQ(count(page, "<li class=\"layer\""), 61u);
  EXPECT_EQ(count(page, "<li class=\"layer\" data-state=\"fallback\""), 30u);
  for (const char* word : {"<code>lm_head</code>", "graft-kernels/norm:RMSNorm", "Apache-2.0", "no such repo",
                           "its work is done by model.layers.7 (AddRMSNorm)", "30 of 61 layers are bound"}) {
    EXPECT_NE(page.find(word), std::string::npos) << word;
  }
}

TEST(ReportHtml, FoldsBlocksThatAreAlikeAndLeavesTheOddOneOut) {
  BindReport report = blocks();
  EXPECT_NE(report.html().find("<details><summary><code>0 … 29</code> 30 alike, each"), std::string::npos);
  report.layers[2 * 12].counters.calls = 7;  // what differs from call to call does not part them
  EXPECT_NE(report.html().find("30 alike"), std::string::npos);
  report.layers[2 * 12].reason = "failed 1 × while running";
  const std::string page = report.html();
  EXPECT_NE(page.find("<code>0 … 11</code> 12 alike"), std::string::npos);
  EXPECT_NE(page.find("<details open><summary><code>12</code>"), std::string::npos);
  EXPECT_NE(page.find("<code>13 … 29</code> 17 alike"), std::string::npos);
}

TEST(ReportHtml, TellsStatesBySignsAndWords) {
  const std::string page = blocks().html();
  EXPECT_NE(page.find("✓ bound</span>"), std::string::npos);
  EXPECT_NE(page.find("▲ fallback</span>"), std::string::npos);
  EXPECT_NE(page.find("○ own</span>"), std::string::npos);
}

TEST(ReportHtml, ShowsNamesAndMessagesAsText) {
  BindReport report;
  const std::string hostile = "<script>alert('x')</script>\"&\033";
  report.layers.push_back({.layer = hostile, .module = hostile, .state = LayerState::fallback, .reference = hostile,
                           .repo = hostile, .commit = hostile, .variant = hostile, .entry = hostile, .digest = hostile,
                           .trust = hostile, .publisher = hostile, .license = hostile, .signer = hostile, .rule = hostile,
                           .covered_by = hostile, .reason = hostile});
  report.warnings = {hostile};
  const std::string page = report.html({.title = hostile});
  EXPECT_EQ(count(page, "<script"), 1u);  // the page's own
  EXPECT_EQ(page.find("alert('x')"), std::string::npos);
  EXPECT_EQ(page.find('\033'), std::string::npos);
  EXPECT_GT(count(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;?"), 15u);
}

TEST(ReportHtml, ShowsCountersAndTimesOfWhatWasCalled) {
  BindReport report = blocks();
  EXPECT_EQ(report.html().find("by the kernel"), std::string::npos);
  report.layers[0].counters = {.calls = 12, .unsupported = 3, .errors = 1, .timed = 4, .seconds = 0.008};
  EXPECT_NE(report.html().find("12 by the kernel, 3 left to the own forward, 1 failed; 8 ms in 4 timed calls, 2 ms each"), std::string::npos);
}

TEST(ReportHtml, AsksForItselfAnewWhereAHostWantsIt) {
  EXPECT_EQ(blocks().html().find("http-equiv=\"refresh\""), std::string::npos);
  EXPECT_NE(blocks().html({.refresh_seconds = 5}).find("http-equiv=\"refresh\" content=\"5\""), std::string::npos);
}

TEST(ReportHtml, OfAModelWithoutLayersIsAPageAsWell) { EXPECT_NE(BindReport().html().find("0 of 0 layers"), std::string::npos); }

TEST(ModuleTree, KeepsTheReportsOrderAndBothLayersOfAModule) {
  const std::vector<LayerReport> layers = {{.layer = "A", .module = ""}, {.layer = "B", .module = "b"}, {.layer = "C", .module = "a.c"},
                                           {.layer = "D", .module = "b"}};
  const ModuleTree tree = ModuleTree::of(layers);
  ASSERT_EQ(tree.layers.size(), 1u);
  ASSERT_EQ(tree.children.size(), 2u);
  EXPECT_EQ(tree.children[0].name, "b");
  EXPECT_EQ(tree.children[0].layers.size(), 2u);
  EXPECT_EQ(tree.children[1].children.at(0).name, "c");
}

}  // namespace
}  // namespace graft
