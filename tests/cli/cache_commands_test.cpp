// graft ls, rm and gc at a cache that graft download filled.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "fixtures.h"
#include "hub_server.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Result;
using test::run_graft;

json graft_json(const std::string& arguments) {
  Result result = run_graft(arguments + " --json");
  EXPECT_EQ(result.exit, 0) << arguments << ": " << result.out;
  return json::parse(result.out);
}

/// What `graft` with these words prints on a terminal of its own at which somebody types `answer`.
Result at_a_terminal(const std::string& words, const std::string& answer) {
  int terminal = -1;
  pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", (std::string(GRAFT_PROGRAM) + " " + words).c_str(), nullptr);
    _exit(127);
  }
  Result result{-1, ""};
  char text[4096];
  bool answered = false;
  for (ssize_t got; (got = read(terminal, text, sizeof text)) > 0;) {
    result.out.append(text, static_cast<std::size_t>(got));
    if (!answered && result.out.find("[y/N]") != std::string::npos) {
      answered = true;
      EXPECT_EQ(write(terminal, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  close(terminal);
  result.exit = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

class CacheCommands : public testing::Test {
 protected:
  CacheCommands() {
    hub_.add("kernels-community/norm", "v1.0.0", test::fixture("good"));
    hub_.add("kernels-community/norm", "v2.0.0", test::fixture("good_v2"));
    hub_.add("me/act", "v1.0.0", test::fixture("good_v3"));
    test::write_file(hub_.path() / "models/me/model/README.md", "a model\n");
    server_.emplace(ServerOptions{.root = hub_.path()});
    endpoint_.emplace("HF_ENDPOINT", server_->endpoint().c_str());
  }
  void download(const std::string& words) {
    Result result = run_graft("download " + words);
    ASSERT_EQ(result.exit, 0) << result.out;
  }
  fs::path cached(const std::string& folder) const { return folder_.path() / "cache" / folder; }

  /// The cached repos of `graft ls` by name.
  std::map<std::string, json> cached_repos(const std::string& words = "") {
    std::map<std::string, json> repos;
    const json listed = graft_json("ls " + words);
    for (const json& repo : listed["cached"]) repos[repo["repo"]] = repo;
    return repos;
  }

  /// As if it had come and been used so many days ago.
  void age(const std::string& folder, int days) {
    const timespec time{std::time(nullptr) - days * 86400, 0}, times[] = {time, time};
    for (const auto& item : fs::recursive_directory_iterator(cached(folder)))
      ASSERT_EQ(utimensat(AT_FDCWD, item.path().c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }

  test::TestHub hub_;
  test::TempFolder folder_;
  std::optional<HubServer> server_;
  std::optional<test::ScopedEnv> endpoint_;
  test::ScopedEnv cache_{"HF_HUB_CACHE", (folder_.path() / "cache").c_str()},
      kernels_{"KERNELS_CACHE", nullptr}, embedded_{"GRAFT_HUB", folder_.path().c_str()},
      state_{"GRAFT_STATE_DIR", (folder_.path() / "state").c_str()};
};

/// A process that has a kernel loaded.
class Loaded {
 public:
  Loaded(const std::string& ref, const fs::path& said) {
    pipe_ = popen((std::string(GRAFT_LOAD_AND_WAIT) + " " + ref + " > " + said.string()).c_str(), "w");
    while (!fs::exists(said) || fs::file_size(said) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(test::read_file(said), "loaded\n");
  }
  ~Loaded() { pclose(pipe_); }

 private:
  FILE* pipe_;
};

TEST_F(CacheCommands, ListWhatIsCached) {
  Result empty = run_graft("ls");
  EXPECT_EQ(empty.exit, 0);
  EXPECT_NE(empty.out.find("no kernels here"), std::string::npos);
  EXPECT_EQ(graft_json("ls")["bytes"], 0);

  download("kernels-community/norm@v1.0.0");
  download("kernels-community/norm@v2.0.0");
  download("me/model --repo-type model --all");
  json all = graft_json("ls");
  EXPECT_TRUE(all["hubs"].empty());
  ASSERT_EQ(all["cached"].size(), 1u);
  json norm = all["cached"][0];
  EXPECT_EQ(norm["repo"], "kernels-community/norm");
  EXPECT_EQ(norm["repo_type"], "kernel");
  ASSERT_EQ(norm["commits"].size(), 2u);
  EXPECT_EQ(norm["bytes"], all["bytes"]);
  std::set<std::string> refs;
  for (const json& commit : norm["commits"]) {
    EXPECT_EQ(commit["commit"].get<std::string>().size(), 40u);
    EXPECT_EQ(commit["variants"], json{test::host_variant()});
    EXPECT_GT(commit["bytes"], 0);
    EXPECT_EQ(commit["last_used"].get<std::string>().size(), 20u);
    EXPECT_TRUE(commit["loaded_by"].empty());
    for (const json& ref : commit["refs"]) refs.insert(ref);
  }
  EXPECT_EQ(refs, (std::set<std::string>{"v1.0.0", "v2.0.0"}));
  EXPECT_EQ(cached_repos("--all").size(), 2u);
  EXPECT_EQ(cached_repos("--repo-type model").count("me/model"), 1u);
  EXPECT_EQ(cached_repos("--repo-type model").size(), 1u);
  EXPECT_TRUE(cached_repos("--cache-dir " + folder_.path().string()).empty());

  age("kernels--kernels-community--norm", 3);
  Result text = run_graft("ls");
  EXPECT_NE(text.out.find("used 3 days ago"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find(test::host_variant()), std::string::npos);
}

TEST_F(CacheCommands, ListTheKernelsOfAModelRepoAmongKernels) {
  fs::create_directories(hub_.path() / "models/kernels-community");
  fs::rename(hub_.path() / "kernels/kernels-community/norm", hub_.path() / "models/kernels-community/norm");
  download("kernels-community/norm");
  EXPECT_EQ(cached_repos().at("kernels-community/norm")["repo_type"], "model");
  EXPECT_EQ(run_graft("rm kernels-community/norm --yes").exit, 0);
  EXPECT_TRUE(cached_repos("--all").empty());
}

TEST_F(CacheCommands, PrintNothingThatATerminalActsOn) {
  download("me/act");
  const std::string commit = cached_repos().at("me/act")["commits"][0]["commit"];
  test::write_file(cached("kernels--me--act") / "refs/\033[31mred", commit);
  for (const char* words : {"ls", "rm me/act --dry-run"})
    EXPECT_EQ(run_graft(words).out.find('\033'), std::string::npos) << words;
}

TEST_F(CacheCommands, ShowAndGuardWhatAProcessHasLoaded) {
  download("kernels-community/norm@v1.0.0");
  download("kernels-community/norm@v2.0.0");
  {
    Loaded loaded("kernels-community/norm@v2.0.0", folder_.path() / "said");
    const json norm = cached_repos().at("kernels-community/norm");
    for (const json& commit : norm["commits"]) {
      const bool is_it = commit["refs"][0] == "v2.0.0";
      ASSERT_EQ(commit["loaded_by"].size(), is_it ? 1u : 0u) << commit;
      if (is_it) {
        EXPECT_EQ(commit["loaded_by"][0]["program"], "load_and_wait");
        EXPECT_GT(commit["loaded_by"][0]["pid"], 0);
      }
    }
    EXPECT_NE(run_graft("ls").out.find("loaded by load_and_wait (pid "), std::string::npos);

    for (const char* words :
         {"rm kernels-community/norm --yes --json", "rm kernels-community/norm@v2.0.0 --yes --json"}) {
      Result refused = run_graft(words);
      EXPECT_EQ(refused.exit, 1);
      EXPECT_NE(
          json::parse(refused.out)["error"]["why"].get<std::string>().find("is loaded by load_and_wait"),
          std::string::npos);
    }
    json cleaned = graft_json("gc --max-size 0B --min-age 0s");
    EXPECT_EQ(cleaned["removed"].size(), 1u);
    EXPECT_EQ(cleaned["loaded"].size(), 1u);
    EXPECT_EQ(cleaned["within_limit"], false);
    EXPECT_EQ(cached_repos().at("kernels-community/norm")["commits"].size(), 1u);

    EXPECT_EQ(run_graft("rm kernels-community/norm --yes --force").exit, 0);
    EXPECT_TRUE(cached_repos().empty());
  }
  download("kernels-community/norm@v2.0.0");
  EXPECT_EQ(run_graft("info kernels-community/norm@v2.0.0").exit, 0);  // has it loaded for a moment
  EXPECT_TRUE(cached_repos().at("kernels-community/norm")["commits"][0]["loaded_by"].empty());
  EXPECT_TRUE(fs::is_empty(folder_.path() / "state/loaded"));
}

TEST_F(CacheCommands, RemoveACommitOrARepo) {
  download("kernels-community/norm@v1.0.0");
  download("kernels-community/norm@v2.0.0");
  download("me/act");
  json planned = graft_json("rm kernels-community/norm@v1.0.0 --dry-run");
  EXPECT_EQ(planned["dry_run"], true);
  EXPECT_EQ(cached_repos().at("kernels-community/norm")["commits"].size(), 2u);

  json removed = graft_json("rm kernels-community/norm@v1.0.0 --yes");
  EXPECT_EQ(removed["bytes_freed"], planned["bytes_freed"]);
  EXPECT_EQ(removed["removed"][0]["whole_repo"], false);
  EXPECT_EQ(removed["removed"][0]["commits"][0]["refs"], json{"v1.0.0"});
  json left = cached_repos().at("kernels-community/norm")["commits"];
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0]["refs"], json{"v2.0.0"});

  const std::string digits = left[0]["commit"].get<std::string>().substr(0, 8);
  Result both = run_graft("rm kernels-community/norm@" + digits + " me/act --yes");
  EXPECT_EQ(both.exit, 0) << both.out;
  EXPECT_NE(both.out.find("the whole repo"), std::string::npos);
  EXPECT_NE(both.out.find(" freed"), std::string::npos);
  EXPECT_TRUE(cached_repos().empty());
  EXPECT_FALSE(fs::exists(cached("kernels--me--act")));
  EXPECT_EQ(graft_json("ls")["bytes"], 0);
}

TEST_F(CacheCommands, AskBeforeTheyRemove) {
  download("me/act");
  Result nobody = run_graft("rm me/act < /dev/null");
  EXPECT_EQ(nobody.exit, 2);
  EXPECT_NE(nobody.out.find("--yes"), std::string::npos);
  EXPECT_EQ(run_graft("rm me/act --json < /dev/null").exit, 2);
  for (const char* answer : {"\n", "n\n", "yes please\n"}) {
    Result no = at_a_terminal("rm me/act", answer);
    EXPECT_EQ(no.exit, 1);
    EXPECT_NE(no.out.find("nothing was removed"), std::string::npos) << no.out;
  }
  EXPECT_EQ(at_a_terminal("rm me/act", "\x03").exit, 130);  // Ctrl-C
  EXPECT_EQ(cached_repos().size(), 1u);
  Result yes = at_a_terminal("rm me/act", "y\n");
  EXPECT_EQ(yes.exit, 0);
  EXPECT_NE(yes.out.find("freed"), std::string::npos);
  EXPECT_TRUE(cached_repos().empty());
}

TEST_F(CacheCommands, SayWhatIsThereInsteadOfWhatIsNot) {
  download("kernels-community/norm@v1.0.0");
  download("me/model --repo-type model --all");
  auto error = [](const std::string& words, int exit) {
    Result result = run_graft(words + " --json");
    EXPECT_EQ(result.exit, exit) << words;
    return json::parse(result.out)["error"];
  };
  EXPECT_EQ(error("rm kernels-comunity/norm --yes", 1)["mend"], "did you mean kernels-community/norm?");
  EXPECT_EQ(error("rm kernels-community/norm@v9 --yes", 1)["code"], "revision_not_found");
  EXPECT_EQ(error("rm me/model --yes", 1)["mend"], "it is there as a model: --repo-type model");
  EXPECT_EQ(error("rm nobody/nothing --yes", 1)["code"], "not_found");
  EXPECT_EQ(error("rm kernels-community/norm:Entry --yes", 2)["code"], "invalid_argument");
  EXPECT_EQ(error("rm /a/path --yes", 2)["code"], "invalid_argument");
  EXPECT_EQ(error("rm no-repo --yes", 2)["code"], "invalid_argument");
  EXPECT_EQ(run_graft("rm").exit, 2);
  for (const char* words :
       {"--max-size 10", "--max-size ten", "--max-size -1GB", "--max-age 1month", "--min-age x"})
    EXPECT_EQ(error(std::string("gc ") + words, 2)["code"], "invalid_argument") << words;
  EXPECT_EQ(cached_repos("--all").size(), 2u);
}

TEST_F(CacheCommands, CleanByUseSizeAndAge) {
  download("kernels-community/norm@v1.0.0");
  age("kernels--kernels-community--norm", 40);
  download("kernels-community/norm@v2.0.0");
  download("me/act");
  age("kernels--me--act", 20);

  EXPECT_EQ(graft_json("gc --max-size 0B --dry-run")["young"].size(), 1u);
  json planned = graft_json("gc --max-age 30d --dry-run");
  json old = graft_json("gc --max-age 30d");
  ASSERT_EQ(old["removed"].size(), 1u);
  EXPECT_EQ(old["removed"][0]["refs"], json{"v1.0.0"});
  EXPECT_EQ(planned["removed"], old["removed"]);
  EXPECT_EQ(planned["bytes_freed"], old["bytes_freed"]);
  EXPECT_EQ(planned["bytes"], old["bytes"]);
  EXPECT_EQ(old["bytes"], graft_json("ls")["bytes"]);

  const std::uint64_t bytes = old["bytes"];
  EXPECT_TRUE(graft_json("gc --max-size " + std::to_string(bytes) + "B")["removed"].empty());
  json fitted = graft_json("gc --max-size " + std::to_string(bytes - 1) + "B");
  ASSERT_EQ(fitted["removed"].size(), 1u);
  EXPECT_EQ(fitted["removed"][0]["repo"], "me/act");
  EXPECT_EQ(fitted["within_limit"], true);

  Result text = run_graft("gc --max-size 0B");
  EXPECT_EQ(text.exit, 0);
  EXPECT_NE(text.out.find("it came less than 1h ago"), std::string::npos) << text.out;
  EXPECT_EQ(graft_json("gc --max-size 0B --min-age 0s")["bytes"], 0);
  EXPECT_TRUE(cached_repos().empty());
}

TEST_F(CacheCommands, CleanModelsOnlyWhenAsked) {
  download("me/model --repo-type model --all");
  EXPECT_TRUE(graft_json("gc --max-size 0B --min-age 0s")["removed"].empty());
  EXPECT_EQ(graft_json("gc --max-size 0B --min-age 0s --all")["removed"].size(), 1u);
}

TEST_F(CacheCommands, CleanAwayWhatBrokenDownloadsLeft) {
  download("me/act");
  test::write_file(cached("kernels--me--act") / "blobs" / (std::string(64, '1') + ".incomplete"), "half");
  test::write_file(cached("kernels--me--act") / "blobs" / std::string(64, '2'), "nobody's");
  EXPECT_EQ(cached_repos().at("me/act")["leftovers"], 2);
  EXPECT_EQ(graft_json("gc")["leftovers"], 1);
  age("kernels--me--act", 2);
  json planned = graft_json("gc --dry-run"), done = graft_json("gc");
  EXPECT_EQ(done["leftovers"], 1);
  EXPECT_EQ(done["bytes_freed"], 4);
  EXPECT_EQ(planned["leftovers"], 1);
  EXPECT_EQ(planned["bytes_freed"], 4);
  EXPECT_TRUE(done["removed"].empty());
  EXPECT_EQ(cached_repos().at("me/act")["leftovers"], 0);
}

TEST_F(CacheCommands, GoOnWhereAReposFolderCannotBeWritten) {
  if (geteuid() != 0 || run_graft("--version > /dev/null; setpriv --version").exit != 0)
    GTEST_SKIP() << "needs root, and setpriv, to be another user";
  download("kernels-community/norm@v1.0.0");
  download("me/act");
  fs::permissions(folder_.path(), fs::perms(0755));
  for (const auto& item : fs::recursive_directory_iterator(folder_.path() / "cache"))
    ASSERT_EQ(lchown(item.path().c_str(), 65534, 65534), 0);
  ASSERT_EQ(chown(cached("").c_str(), 65534, 65534), 0);
  ASSERT_EQ(chown(cached("kernels--me--act").c_str(), 0, 0), 0);
  auto as_nobody = [](const std::string& words) {
    return run_graft(
        "--version > /dev/null; setpriv --reuid 65534 --regid 65534 --clear-groups " GRAFT_PROGRAM " " +
        words);
  };
  Result refused = as_nobody("rm me/act --yes");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_NE(refused.out.find("cannot be changed: Permission denied"), std::string::npos) << refused.out;
  EXPECT_NE(refused.out.find("--cache-dir"), std::string::npos);

  Result cleaned = as_nobody("gc --max-size 0B --min-age 0s --json");
  EXPECT_EQ(cleaned.exit, 1) << cleaned.out;
  json said = json::parse(cleaned.out);
  ASSERT_EQ(said["removed"].size(), 1u);
  EXPECT_EQ(said["removed"][0]["repo"], "kernels-community/norm");
  EXPECT_NE(said["error"].get<std::string>().find("kernels--me--act"), std::string::npos);
  Result nothing = as_nobody("gc --max-size 0B --min-age 0s --json");
  EXPECT_EQ(nothing.exit, 1);
  EXPECT_EQ(json::parse(nothing.out)["error"]["code"], "io");
  EXPECT_EQ(cached_repos().size(), 1u);
}

TEST_F(CacheCommands, LeaveEachCommitWholeOrGoneWhenInterrupted) {
  for (int round = 0; round < 10; ++round) {
    download("kernels-community/norm@v1.0.0");
    download("kernels-community/norm@v2.0.0");
    download("me/act");
    pid_t child = fork();
    if (child == 0) {
      sigset_t interrupt;
      sigemptyset(&interrupt);
      sigaddset(&interrupt, SIGINT);
      sigprocmask(SIG_BLOCK, &interrupt, nullptr);
      kill(getpid(), SIGINT);  // waits until the program looks for it
      if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr)) _exit(126);
      execl(GRAFT_PROGRAM, "graft", "gc", "--max-size", "0B", "--min-age", "0s", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_TRUE(WEXITSTATUS(status) == 130 || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
    for (const auto& [name, repo] : cached_repos())
      for (const json& commit : repo["commits"]) EXPECT_EQ(commit["variants"].size(), 1u) << name;
    for (const auto& item : fs::recursive_directory_iterator(folder_.path() / "cache"))
      EXPECT_TRUE(fs::exists(item.path())) << item.path();  // no link to nothing
  }
}

}  // namespace
}  // namespace graft
