#include <gtest/gtest.h>

#include "graft/error.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

TEST(AttentionRef, ReadsLibTorchsOwnAttentions) {
  EXPECT_EQ(AttentionRef::parse("eager").builtin, "eager");
  EXPECT_EQ(AttentionRef::parse("sdpa").builtin, "sdpa");
  EXPECT_TRUE(AttentionRef::parse("paged|sdpa").paged);
  EXPECT_EQ(AttentionRef::parse("paged|sdpa").builtin, "sdpa");
}

TEST(AttentionRef, ReadsKernels) {
  AttentionRef ref = AttentionRef::parse("random-repo/random-attention@>=2.0,<3.0:Attention");
  EXPECT_FALSE(ref.paged);
  EXPECT_EQ(ref.kernel, KernelRef::parse("random-repo/random-attention@>=2.0,<3.0:Attention"));
  EXPECT_TRUE(AttentionRef::parse("paged|a/b@v1").paged);
  EXPECT_EQ(AttentionRef::parse("paged|a/b@v1").kernel.revision, "v1");
}

TEST(AttentionRef, PrintsWhatItRead) {
  for (const char* text : {"eager", "paged|eager", "a/b", "paged|a/b@2:E"})
    EXPECT_EQ(AttentionRef::parse(text).str(), text);
}

TEST(AttentionRef, RefusesWithACaretWhatTransformersOrTheHubRefuse) {
  struct {
    const char* text;
    std::size_t caret;
  } cases[] = {{"", 0},           {"flash_attention_2", 0}, {"/a/b:E", 0},      {"paged|/a/b", 6}, {"paged|", 6},
               {"other|a/b", 5},  {"a/b@refs/pr/1", 8},     {"paged|a/b@", 10}, {"a--b/c", 0},     {"paged|a/b:", 10},
               {"paged|a/b@>=x", 12}, {"a/b/c", 3}};
  for (const auto& bad : cases) {
    try {
      AttentionRef::parse(bad.text);
      ADD_FAILURE() << bad.text << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(e.why().find("\n  " + std::string(bad.caret, ' ') + "^"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace graft
