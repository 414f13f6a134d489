// Keys of mappings: layers, fusions, and the globs that say where a fusion's members are.
#include "graft/layer_key.h"

#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/kernel_config.h"
#include "module_glob.h"

namespace graft {
namespace {

using Texts = std::vector<std::string>;

TEST(ModuleGlob, AWildcardStandsForTextWithoutDots) {
  const ModuleGlob glob("model.layers.*.mlp");
  EXPECT_EQ(glob.match("model.layers.12.mlp"), Texts{"12"});
  EXPECT_EQ(glob.match("model.layers..mlp"), Texts{""});
  EXPECT_FALSE(glob.match("model.layers.1.2.mlp"));
  EXPECT_FALSE(glob.match("model.layers.1.mlp.act"));
  EXPECT_FALSE(glob.match("a.model.layers.1.mlp"));
  EXPECT_EQ(glob.fill({"12"}), "model.layers.12.mlp");
}

TEST(ModuleGlob, ReadsCharactersAndSetsAsFnmatchDoes) {
  EXPECT_EQ(ModuleGlob("h.?.ln").match("h.7.ln"), Texts{"7"});
  EXPECT_FALSE(ModuleGlob("h.?.ln").match("h.77.ln"));
  EXPECT_FALSE(ModuleGlob("h?ln").match("h.ln"));
  EXPECT_EQ(ModuleGlob("h.[0-3].ln").match("h.2.ln"), Texts{"2"});
  EXPECT_FALSE(ModuleGlob("h.[0-3].ln").match("h.4.ln"));
  EXPECT_EQ(ModuleGlob("h.[!0-3].ln").match("h.4.ln"), Texts{"4"});
  EXPECT_FALSE(ModuleGlob("h.[!0-3].ln").match("h.3.ln"));
  EXPECT_EQ(ModuleGlob("h.[]x].ln").match("h.].ln"), Texts{"]"});
  EXPECT_EQ(ModuleGlob("h.[0").match("h.[0"), Texts{});
  EXPECT_EQ(ModuleGlob("h.[!").match("h.[!"), Texts{});
}

TEST(ModuleGlob, TheFirstOfSeveralWildcardsTakesTheMost) {
  EXPECT_EQ(ModuleGlob("*_*").match("a_b_c"), (Texts{"a_b", "c"}));
  EXPECT_EQ(ModuleGlob("*.*").match("a.b"), (Texts{"a", "b"}));
  EXPECT_EQ(ModuleGlob("*.*").wildcards(), 2u);
}

const LayerKey kFused = {{"RMSNorm", "model.layers.*.norm"}, {"SwiGLUMLP", "model.layers.*.mlp"}};

TEST(LayerKey, ReadsWhatItWrites) {
  EXPECT_EQ(kFused.str(), "RMSNorm@model.layers.*.norm+SwiGLUMLP@model.layers.*.mlp");
  EXPECT_EQ(LayerKey::parse(kFused.str()), kFused);
  EXPECT_EQ(LayerKey::parse("RMSNorm"), LayerKey("RMSNorm"));
  EXPECT_FALSE(LayerKey("RMSNorm").is_fusion());
}

TEST(LayerKey, RefusesWhatIsNoFusion) {
  for (const auto& [text, word] : {std::pair{"RMSNorm@model.norm", "two layers or more"},
                                   {"A@x.*+", "no layer or no module"},
                                   {"A@x.*+B", "no layer or no module"},
                                   {"@x.*+B@y.*", "no layer or no module"},
                                   {"A@x.*+A@x.*", "named twice"},
                                   {"A@x.*+B@y", "different numbers of wildcards"}}) {
    try {
      LayerKey::parse(text);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

TEST(FusedMapping, StandsBesideLayersInEveryForm) {
  const KernelConfig config({{{{"RMSNorm", "model.layers.*.norm"}, {"SwiGLUMLP", "model.layers.*.mlp"}}, "org/repo:RMSNormMLP"},
                             {"RMSNorm", "org/norm:RMSNorm"}});
  ASSERT_EQ(config.fusions().size(), 1u);
  EXPECT_EQ(config.fusions()[0].first, kFused);
  EXPECT_EQ(config.layers().size(), 1u);
  const KernelConfig alone({{{{"A", "x.*"}, {"B", "y.*"}, {"C", "z.*"}}, "org/repo:ABC"}});
  EXPECT_EQ(alone.fusions().at(0).first.members().size(), 3u);
  EXPECT_FALSE(alone.empty());
  const KernelConfig by_device({{{{"A", "x.*"}, {"B", "y.*"}}, {{"cpu", "org/repo:AB"}, {"cuda", {{Mode::Inference, "org/gpu:AB"}}}}}});
  EXPECT_EQ(by_device.fusions().at(0).second.lines().size(), 2u);
}

TEST(FusedMapping, IsReplacedByTheSameKeyAndPrinted) {
  const KernelConfig first({{kFused, "org/repo:One"}}), off({{kFused, ""}});
  const KernelConfig merged = first.with(off);
  ASSERT_EQ(merged.fusions().size(), 1u);
  EXPECT_EQ(*merged.fusions()[0].second.find("cpu"), "");
  EXPECT_NE(first.json().find("\"RMSNorm@model.layers.*.norm+SwiGLUMLP@model.layers.*.mlp\": ["), std::string::npos) << first.json();
  EXPECT_NE(first.json().find("org/repo:One"), std::string::npos);
}

TEST(FusedMapping, RefusesOneKeyTwiceAndPathsUnlessAllowed) {
  EXPECT_THROW(KernelConfig({{kFused, "org/repo:One"}, {kFused, "org/repo:Two"}}), Error);
  EXPECT_THROW(KernelConfig({{kFused, "/path/to/repo:One"}}), Error);
  EXPECT_NO_THROW(KernelConfig({{kFused, "/path/to/repo:One"}}, {.use_local_kernel = true}));
}

}  // namespace
}  // namespace graft
