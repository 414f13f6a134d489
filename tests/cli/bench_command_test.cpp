// `graft bench` as a person or script meets it. How long anything takes is not looked at.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "bench_options.h"
#include "fixtures.h"
#include "run_graft.h"

namespace graft {
namespace {

using nlohmann::json;

test::Result bench(const std::string& arguments) {
  return test::run_graft("bench --seconds 0.001 " + arguments);
}

/// A fixture plugin by its path, at a shape that takes no time.
test::Result bench_fixture(const std::string& name, const std::string& arguments = "") {
  return bench(test::fixture(name).string() + " --shape 2x8 " + arguments);
}

class BenchCommand : public testing::Test {
 protected:
  test::TempFolder folder_;

 private:
  test::ScopedEnv state_{"GRAFT_STATE_DIR", folder_.path().c_str()};
  test::ScopedEnv threads_{"GRAFT_NUM_THREADS", "1"};
};

TEST_F(BenchCommand, MeasuresARightKernel) {
  const test::Result done = bench_fixture("good", "--json");
  ASSERT_EQ(done.exit, 0) << done.out;
  const json report = json::parse(done.out);
  EXPECT_EQ(report["ref"], test::fixture("good").string());
  EXPECT_EQ(report["device"], "cpu");
  EXPECT_EQ(report["threads"], 1);
  EXPECT_GT(report["bandwidth_gb_s"], 0);
  EXPECT_TRUE(report["skipped"].empty());
  ASSERT_EQ(report["cases"].size(), 1u);
  const json& one = report["cases"][0];
  EXPECT_EQ(one["entry"], "TestRMSNorm");
  EXPECT_EQ(one["contract"], "RMSNorm/1");
  EXPECT_EQ(one["shape"], "2x8");
  EXPECT_EQ(one["dtype"], "float32");
  EXPECT_EQ(one["correct"], true);
  EXPECT_LT(one["error"], 1e-5);
  EXPECT_LT(one["own_error"], 1e-5);
  EXPECT_EQ(one["tolerance"], (json{{"rtol", 0.0001}, {"atol", 1e-05}}));
  for (const char* time : {"own_us", "kernel_us"}) {
    EXPECT_GT(one[time]["low"], 0);
    EXPECT_LE(one[time]["low"], one[time]["median"]);
    EXPECT_LE(one[time]["median"], one[time]["high"]);
  }
  for (const char* number : {"ratio", "gb_s", "bandwidth_share"}) EXPECT_GT(one[number], 0) << number;
}

TEST_F(BenchCommand, FailsForAResultBeyondTheTolerance) {
  const test::Result wrong = bench_fixture("off_by_one_percent", "--json");
  EXPECT_EQ(wrong.exit, 1);
  const json one = json::parse(wrong.out)["cases"][0];
  EXPECT_EQ(one["correct"], false);
  EXPECT_GT(one["error_share"], 1);
  EXPECT_LT(one["own_error_share"], 1);
  const test::Result text = bench_fixture("off_by_one_percent");
  EXPECT_EQ(text.exit, 1);
  EXPECT_NE(text.out.find("WRONG"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("1 of 1 cases are wrong"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find('\033'), std::string::npos);  // no terminal, no colours
}

TEST_F(BenchCommand, TakesWhatIsNoNumberForWrong) {
  const test::Result wrong = bench_fixture("not_a_number", "--json");
  EXPECT_EQ(wrong.exit, 1);
  const json one = json::parse(wrong.out)["cases"][0];  // nan would not parse
  EXPECT_EQ(one["correct"], false);
  EXPECT_TRUE(one["error"].is_null());
}

TEST_F(BenchCommand, TellsWhatAKernelThatFailsSays) {
  const test::Result failed = bench_fixture("forward_fails", "--json");
  EXPECT_EQ(failed.exit, 1);
  const json one = json::parse(failed.out)["cases"][0];
  EXPECT_EQ(one["correct"], false);
  EXPECT_NE(one["failure"].get<std::string>().find("no rows left today"), std::string::npos) << failed.out;
  EXPECT_TRUE(one["ratio"].is_null());
  EXPECT_NE(bench_fixture("forward_fails").out.find("FAILED"), std::string::npos);
}

TEST_F(BenchCommand, SkipsWhatCannotBeMeasuredAndSaysWhy) {
  const auto reason = [](const std::string& fixture, const std::string& arguments) {
    const test::Result done = bench_fixture(fixture, "--json " + arguments);
    EXPECT_EQ(done.exit, 1) << done.out;  // nothing was measured
    const json report = json::parse(done.out);
    EXPECT_TRUE(report["cases"].empty());
    return report["skipped"].at(0)["reason"].get<std::string>();
  };
  EXPECT_NE(
      reason("forward_unsupported", "").find("leaves this call to the layer's own forward: 2x8 float32"),
      std::string::npos);
  EXPECT_NE(reason("good", "--dtype bfloat16").find("it serves float32"), std::string::npos);
  const test::Result unknown = bench(test::fixture("wrong_contract").string() + " --json");
  EXPECT_EQ(unknown.exit, 1);
  EXPECT_NE(unknown.out.find("NoSuchLayer/1"), std::string::npos) << unknown.out;
}

TEST_F(BenchCommand, WritesAPageThatNeedsNothingElse) {
  const std::string file = (folder_.path() / "bench.html").string();
  const test::Result done = bench_fixture("markup_name", "--html " + file);
  EXPECT_EQ(done.exit, 0) << done.out;
  EXPECT_NE(done.out.find("skipped <script>alert('norm')</script>?[31m"), std::string::npos) << done.out;
  const std::string page = test::read_file(file);
  EXPECT_EQ(page.find("<!DOCTYPE html>"), 0u);
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("OtherRMSNorm"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(&#39;norm&#39;)&lt;/script&gt;?[31m"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  for (const char* outside : {"<script", "http://", "https://", "src=", "href=", "url(", "@import", "\033"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  size_t files = 0;
  for (const auto& item : std::filesystem::directory_iterator(folder_.path()))
    files += item.path().extension() != "";
  EXPECT_EQ(files, 1u);  // nothing half-written is left beside it
}

TEST_F(BenchCommand, LooksWhetherThePageCanBeWrittenBeforeTheWork) {
  const test::Result missing =
      bench_fixture("good", "--html " + (folder_.path() / "no/such/page.html").string());
  EXPECT_EQ(missing.exit, 1);
  EXPECT_NE(missing.out.find("its folder does not exist"), std::string::npos) << missing.out;
  EXPECT_EQ(bench_fixture("good", "--html " + folder_.path().string()).exit, 1);
}

TEST_F(BenchCommand, EndsWithTwoOnWrongUsage) {
  const std::string good = test::fixture("good").string();
  EXPECT_EQ(bench("").exit, 2);
  EXPECT_EQ(bench("'a b/c'").exit, 2);
  EXPECT_EQ(bench(good + " --shape 2by8").exit, 2);
  EXPECT_EQ(bench(good + " --shape 2x").exit, 2);
  EXPECT_EQ(bench(good + " --shape 0x8").exit, 2);
  EXPECT_EQ(bench(good + " --shape 9999999999x8").exit, 2);
  EXPECT_EQ(bench(good + " --dtype int4").exit, 2);
  EXPECT_EQ(bench(good + " --device gpu").exit, 2);
  EXPECT_EQ(bench(good + " --threads 0").exit, 2);
  EXPECT_EQ(bench(good + " --seconds never").exit, 2);
  const test::Result form = bench(good + " --shape 1x2x3");
  EXPECT_EQ(form.exit, 2);
  EXPECT_NE(form.out.find("ROWSxHIDDEN"), std::string::npos) << form.out;
}

TEST_F(BenchCommand, FailsForWhatIsNotThere) {
  EXPECT_EQ(bench("/no/such/plugin").exit, 1);
  const test::Result entry = bench(test::fixture("good").string() + ":Nope");
  EXPECT_EQ(entry.exit, 1);
  EXPECT_NE(entry.out.find("TestRMSNorm"), std::string::npos) << entry.out;  // it names those there are
  EXPECT_EQ(bench_fixture("good", "--device cuda").exit, 1);  // no such device, or no entry for it
  const test::Result large = bench(test::fixture("good").string() + " --shape 2000000000x2000000000");
  EXPECT_EQ(large.exit, 1);
  EXPECT_NE(large.out.find("give a smaller --shape"), std::string::npos) << large.out;
}

TEST_F(BenchCommand, EndsCleanlyOnCtrlC) {
  const std::string plugin = test::fixture("good").string(), file = (folder_.path() / "page.html").string();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    freopen("/dev/null", "w", stdout);
    freopen("/dev/null", "w", stderr);
    execl(GRAFT_PROGRAM, "graft", "bench", plugin.c_str(), "--seconds", "60", "--html", file.c_str(),
          nullptr);
    _exit(127);
  }
  sleep(3);
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(BenchCommand, ExplainsTheShapeOfEachContract) {
  const test::Result help = bench("--help");
  EXPECT_EQ(help.exit, 0);
  for (const ShapeForm& shape : kShapeForms)
    EXPECT_NE(help.out.find(shape.form), std::string::npos) << shape.form;
}

TEST_F(BenchCommand, HasAnOwnForwardForTheLayersThatNoFirstPartyKernelServes) {
  const test::Result done =
      bench(test::fixture("naive_layers").string() + " --json --shape 3x16 --shape 3x16x24");
  EXPECT_EQ(done.exit, 0) << done.out;
  const json report = json::parse(done.out);
  EXPECT_TRUE(report["skipped"].empty()) << report["skipped"];
  EXPECT_EQ(report["cases"].size(), 4u);
}

TEST_F(BenchCommand, MeasuresTheFirstPartyKernels) {
  if (std::string_view(GRAFT_FIRST_PARTY_HUB).empty()) GTEST_SKIP() << "built without plugins";
  const test::ScopedEnv hub("GRAFT_HUB", GRAFT_FIRST_PARTY_HUB);
  const std::pair<const char*, const char*> repos[] = {{"norm", "--shape 2x64"},
                                                       {"mlp", "--shape 2x64 --shape 2x64x96"},
                                                       {"linear", "--shape 3x64x96"},
                                                       {"rope", "--shape 5x4x2x16"},
                                                       {"attention", "--shape 5x7x4x2x16 --shape 3x1x70x4x2x16"}};
  for (const auto& [repo, shapes] : repos) {
    const test::Result done = bench(std::string("graft-kernels/") + repo + " --json " + shapes);
    EXPECT_EQ(done.exit, 0) << done.out;
    const json report = json::parse(done.out);
    EXPECT_TRUE(report["skipped"].empty()) << report["skipped"];
    EXPECT_EQ(report["commit"].get<std::string>().size(), 40u);
    std::set<std::string> dtypes;
    for (const json& one : report["cases"]) dtypes.insert(one["dtype"]);
    EXPECT_EQ(dtypes, (std::set<std::string>{"bfloat16", "float32"})) << repo;
  }
}

}  // namespace
}  // namespace graft
