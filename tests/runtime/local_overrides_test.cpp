#include "local_overrides.h"

#include <gtest/gtest.h>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/runtime.h"

namespace graft {
namespace {

TEST(LocalOverrides, PutsPathsInThePlaceOfRepos) {
  LocalOverrides overrides = LocalOverrides::parse("org/norm=/home/me/norm:org/mlp=relative");
  EXPECT_EQ(overrides.applied(KernelRef::parse("org/norm@v1:RMSNorm")).str(), "/home/me/norm:RMSNorm");
  EXPECT_EQ(overrides.applied(KernelRef::parse("org/mlp")).local, std::filesystem::current_path() / "relative");
  EXPECT_EQ(overrides.applied(KernelRef::parse("org/other@v1")).str(), "org/other@v1");
  EXPECT_EQ(overrides.applied(KernelRef::parse("/a/path:E")).str(), "/a/path:E");
}

TEST(LocalOverrides, ShowsWhereItIsMalformed) {
  struct {
    const char* text;
    std::size_t caret;
  } cases[] = {{"org/norm", 0}, {"org/norm=", 9}, {"org/a=/x:", 9}, {"org/a=/x:b", 9}, {"norm=/x", 4}, {"a/b=/x:a/b=/y", 7}, {"a--b/c=/x", 0}, {"a/b@v1=/x", 0}};
  for (const auto& bad : cases) {
    try {
      LocalOverrides::parse(bad.text);
      ADD_FAILURE() << bad.text << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(e.why().find("\n  " + std::string(bad.caret, ' ') + "^"), std::string::npos) << e.what();
    }
  }
}

TEST(LocalOverrides, ReachARuntimeByTheEnvironment) {
  test::TempFolder folder;
  test::write_file(folder.path() / "build" / test::host_variant() / "k.so", test::read_file(test::fixture("good")));
  test::ScopedEnv variable("LOCAL_KERNELS", ("nobody/nothing=" + folder.path().string()).c_str());
  Runtime runtime;
  Kernel kernel = runtime.load(KernelRef::parse("nobody/nothing@v7:TestRMSNorm"));
  EXPECT_EQ(kernel.repo, folder.path());
  EXPECT_EQ(kernel.trust.state, "local");
  EXPECT_NE(kernel.note.find("LOCAL_KERNELS"), std::string::npos);
  EXPECT_EQ(runtime.locate(KernelRef::parse("nobody/nothing")).variants.chosen, test::host_variant());
  Policy policy;
  policy.local_kernels = false;
  LoadOptions options;
  options.policy = std::make_shared<Policy>(policy);
  EXPECT_THROW(runtime.load(KernelRef::parse("nobody/nothing"), options), Error);
}

TEST(LocalOverrides, AreNoneWhereTheVariableIsEmpty) {
  test::ScopedEnv variable("LOCAL_KERNELS", "");
  EXPECT_NO_THROW(Runtime());
  test::ScopedEnv wrong("LOCAL_KERNELS", "x");
  EXPECT_THROW(Runtime(), Error);
}

}  // namespace
}  // namespace graft
