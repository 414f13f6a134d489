// graft completion, as bash and zsh run it.
#include <gtest/gtest.h>

#include "fixtures.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::Result;
using test::run_graft;

class Completion : public testing::Test {
 protected:
  Completion() {
    hub_.add("graft-kernels/norm", "v1.0.0", test::fixture("good"));
    hub_.add("stranger/norm", "v1.0.0", test::fixture("good"));
    fs::create_directories(folder_.path() / "bin");
    fs::create_symlink(GRAFT_PROGRAM, folder_.path() / "bin/graft");
    fs::create_directories(folder_.path() / "here/a folder");
    test::write_file(folder_.path() / "here/a file.pem", "");
  }
  std::string script(const std::string& shell) {
    Result printed = run_graft("completion " + shell);
    EXPECT_EQ(printed.exit, 0);
    const fs::path file = folder_.path() / ("graft." + shell);
    test::write_file(file, printed.out);
    return file.string();
  }
  /// Standard output of a shell's words, run in here/.
  std::string run(const std::string& words) {
    return run_graft("--version > /dev/null; cd " + (folder_.path() / "here").string() +
                     "; PATH=" + (folder_.path() / "bin").string() + ":$PATH " + words)
        .out;
  }
  /// What bash offers for these words, the last of which is being typed, sorted.
  std::string bash(const std::string& words) {
    const std::string file = (folder_.path() / "words.bash").string();
    test::write_file(file, "source " + script("bash") + "\nCOMP_WORDS=(" + words +
                               "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _graft 2>&1\nprintf '%s\\n' "
                               "\"${COMPREPLY[@]}\" | sort | paste -sd' '\n");
    return run("bash --norc --noprofile " + file);
  }
  bool has_zsh() { return run("sh -c 'command -v zsh'") != ""; }

  test::TestHub hub_;
  test::TempFolder folder_;
  test::ScopedEnv embedded_{"GRAFT_HUB", (folder_.path() / "none").c_str()},
      endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
};

TEST_F(Completion, OfBashOffersCommandsAndTheirCommands) {
  EXPECT_EQ(bash("graft inf"), "info\n");
  EXPECT_EQ(bash("graft policy ''"), "check show\n");
  EXPECT_EQ(bash("graft --json policy s"), "show\n");
  EXPECT_EQ(bash("graft quarantine l"), "lift list\n");
  EXPECT_EQ(bash("graft nonsense ''"), "\n");
}

TEST_F(Completion, OfBashOffersOptionsAndTheirWords) {
  EXPECT_EQ(bash("graft pack --ta"), "--tag\n");
  EXPECT_EQ(bash("graft policy check --"), "--help --json\n");
  EXPECT_EQ(bash("graft run m --kernels ''"), "compare off on strict\n");
  EXPECT_EQ(bash("graft run m --kernel-policy ''"), "always fastest\n");
  EXPECT_EQ(bash("graft run m --kernels = s"), "strict\n");  // as bash takes --kernels=s apart
  EXPECT_EQ(bash("graft run m --kernels ="), "compare off on strict\n");
  EXPECT_EQ(bash("graft rm x/y --repo-type m"), "model\n");
  EXPECT_EQ(bash("graft info --device c"), "cpu cuda\n");
  EXPECT_EQ(bash("graft pack --license ''"), "\n");
  EXPECT_EQ(bash("graft completion ''"), "bash zsh\n");
}

TEST_F(Completion, OfBashOffersFilesAndFoldersWhereTheyStand) {
  EXPECT_EQ(bash("graft sign --key ''"), "a file.pem a folder\n");
  EXPECT_EQ(bash("graft serve ''"), "a folder\n");
  EXPECT_EQ(bash("graft policy check a"), "a file.pem a folder\n");
  EXPECT_EQ(bash("graft ls --cache-dir ''"), "a folder\n");
}

TEST_F(Completion, OfBashOffersReposOnThisMachine) {
  EXPECT_EQ(bash("graft info ''"), "graft-kernels/norm stranger/norm\n");
  EXPECT_EQ(bash("graft verify --device cpu s"), "stranger/norm\n");
  EXPECT_EQ(bash("graft rm stranger/norm g"), "graft-kernels/norm\n");  // takes several
  EXPECT_EQ(bash("graft download stranger/norm ''"), "\n");  // its second argument is another thing
  EXPECT_EQ(bash("graft rm --repo-type model ''"), "\n");
  fs::create_directories(hub_.path() / "models");
  fs::rename(hub_.path() / "kernels/stranger", hub_.path() / "models/stranger");
  EXPECT_EQ(bash("graft rm --repo-type model ''"), "stranger/norm\n");
  EXPECT_EQ(bash("graft tokenize ''"), "stranger/norm\n");
}

TEST_F(Completion, IsSilentWhereReposCannotBeListed) {
  test::ScopedEnv endpoint("HF_ENDPOINT", "nonsense://");
  EXPECT_EQ(bash("graft info ''"), "\n");
  Result words = run_graft("completion --words kernel");
  EXPECT_EQ(words.exit, 0);
  EXPECT_EQ(words.out, "");
}

TEST_F(Completion, NeedsAShellThatItKnows) {
  EXPECT_EQ(run_graft("completion").exit, 2);
  EXPECT_EQ(run_graft("completion fish").exit, 2);
  EXPECT_EQ(run_graft("completion --words tea").exit, 2);
  EXPECT_EQ(run_graft("completion --help").out.find("--words"), std::string::npos);
}

TEST_F(Completion, OfZshOffersTheSameWithDescriptions) {
  if (!has_zsh()) GTEST_SKIP() << "zsh is not installed";
  const std::string zsh = script("zsh");
  EXPECT_EQ(run("zsh -n " + zsh), "");
  EXPECT_NE(test::read_file(zsh).find("'ls:List the kernels on this machine"), std::string::npos);
  const std::string offered =
      run("zsh -f " GRAFT_SOURCE_DIR "/tests/cli/complete_in_zsh.zsh " + zsh + " " + folder_.path().string() +
          " 'graft inf' 'graft policy ' 'graft pack --ta' 'graft run m --kernels ' 'graft run m --kernels=s'"
          " 'graft info ' 'graft verify --device c' 'graft sign --key ' 'graft ls --cache-dir ' 'graft rm s'"
          " 'graft rm stranger/norm g'");
  EXPECT_EQ(offered,
            "info\n"
            "check show\n"
            "--tag\n"
            "compare off on strict\n"
            "strict\n"
            "graft-kernels/norm stranger/norm\n"
            "cpu cuda\n"
            "a file.pem a folder\n"
            "a folder\n"
            "stranger/norm\n"
            "graft-kernels/norm\n");
}

}  // namespace
}  // namespace graft
