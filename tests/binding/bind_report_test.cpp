#include "graft/bind_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace graft {
namespace {

BindReport report() {
  BindReport out;
  for (int i = 0; i < 30; ++i) {
    out.layers.push_back({.layer = "RMSNorm",
                          .module = "model.layers." + std::to_string(i) + ".input_layernorm",
                          .state = LayerState::bound,
                          .reference = "graft-kernels/norm:RMSNorm",
                          .repo = "graft-kernels/norm",
                          .commit = "0123456789abcdef0123456789abcdef01234567",
                          .variant = "graft1-cpu-x86_64-linux",
                          .entry = "RMSNorm",
                          .digest = "sha256:00ff",
                          .trust = "trusted"});
  }
  out.layers.push_back({.layer = "SiLU", .module = "model.layers.0.mlp.act_fn", .state = LayerState::fallback,
                        .reference = "org/x:SiLU", .reason = "no such repo"});
  out.warnings = {"no layer of this model is called 'RMSNrom'"};
  return out;
}

TEST(BindReport, TheTableFoldsEqualLayersOfDifferentBlocks) {
  const std::string table = report().table();
  EXPECT_NE(table.find("model.layers.*.input_layernorm × 30"), std::string::npos) << table;
  EXPECT_EQ(table.find("model.layers.7"), std::string::npos);
  for (const char* word : {"graft-kernels/norm:RMSNorm", "0123456", "trusted", "fallback", "no such repo", "RMSNrom"}) {
    EXPECT_NE(table.find(word), std::string::npos) << word;
  }
}

TEST(BindReport, AFallbackKeepsItsReasonAlsoWhereAnotherModuleDoesItsWork) {
  BindReport covered = report();
  covered.layers.back().covered_by = "model.layers.0.mlp (SwiGLUMLP)";
  EXPECT_NE(covered.table().find("no such repo; its work is done by model.layers.*.mlp (SwiGLUMLP)"), std::string::npos)
      << covered.table();
}

TEST(BindReport, JsonHasTheNamesThatScriptsRelyOn) {
  const nlohmann::json json = nlohmann::json::parse(report().json());
  ASSERT_EQ(json["layers"].size(), 31u);
  for (const char* key : {"layer", "module", "state", "repo", "commit", "variant", "entry", "digest", "trust", "license", "reason",
                          "calls", "unsupported", "errors"}) {
    EXPECT_TRUE(json["layers"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["layers"][0]["state"], "bound");
  EXPECT_EQ(json["layers"][30]["state"], "fallback");
  EXPECT_EQ(json["layers"][30]["reason"], "no such repo");
}

TEST(BindReport, CountsByState) {
  EXPECT_EQ(report().count(LayerState::bound), 30);
  EXPECT_TRUE(report().any_fallback());
  EXPECT_EQ(report().count(LayerState::own), 0);
}

TEST(BindReport, TextThatIsNotUtf8DoesNotBreakTheJson) {
  BindReport broken;
  broken.layers.push_back({.layer = "A", .reason = "caf\xe9"});
  EXPECT_TRUE(nlohmann::json::accept(broken.json()));
}

}  // namespace
}  // namespace graft
