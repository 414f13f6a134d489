// graft doctor: what it finds wrong, and the mend that it names.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "graft/host_platform.h"
#include "hub_server.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Result;
using test::run_graft;

class DoctorCommand : public testing::Test {
 protected:
  DoctorCommand() { hub_.add("graft-kernels/norm", "v1.0.0", test::fixture("good")); }

  static json row(const std::string& name) {
    Result doctor = run_graft("doctor --json");
    json report = json::parse(doctor.out);
    EXPECT_EQ(report["good"].get<bool>(), doctor.exit == 0);
    for (const json& each : report["rows"])
      if (each["name"] == name) {
        EXPECT_TRUE(each["good"].get<bool>() || !each["mend"].get<std::string>().empty()) << each;
        return each;
      }
    ADD_FAILURE() << "no row " << name << " in " << doctor.out;
    return {};
  }
  static bool good(const std::string& name) { return row(name)["good"]; }

  test::TestHub hub_;
  test::TempFolder folder_;
  test::ScopedEnv config_{"XDG_CONFIG_HOME", folder_.path().c_str()};
  test::ScopedEnv embedded_{"GRAFT_HUB", hub_.path().c_str()};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
  test::ScopedEnv offline_{"HF_HUB_OFFLINE", nullptr};
  test::ScopedEnv token_{"HF_TOKEN", nullptr};
  test::ScopedEnv home_{"HF_HOME", folder_.path().c_str()};
  test::ScopedEnv state_{"GRAFT_STATE_DIR", (folder_.path() / "state").c_str()};  // where nothing is in quarantine
};

TEST_F(DoctorCommand, FindsAHealthyMachineHealthy) {
  Result doctor = run_graft("doctor");
  EXPECT_EQ(doctor.exit, 0) << doctor.out;
  EXPECT_EQ(doctor.out.find("✗"), std::string::npos) << doctor.out;
  for (const char* name : {"machine", "glibc", "LibTorch", "CUDA", "own kernels", "probe", "cache", "state", "Hub", "token", "lock file", "policy",
                           "trusted root", "quarantine", "environment"})
    EXPECT_NE(doctor.out.find(name), std::string::npos) << name;
}

TEST_F(DoctorCommand, AsksTheHub) {
  auto server = std::make_unique<HubServer>(ServerOptions{.root = hub_.path()});
  test::ScopedEnv endpoint("HF_ENDPOINT", server->endpoint().c_str());
  EXPECT_NE(row("Hub")["state"].get<std::string>().find("answers in"), std::string::npos);
  server.reset();
  EXPECT_FALSE(good("Hub"));
  test::ScopedEnv offline("HF_HUB_OFFLINE", "1");
  EXPECT_TRUE(good("Hub"));
}

TEST_F(DoctorCommand, NamesAnAddressThatIsNone) {
  test::ScopedEnv endpoint("HF_ENDPOINT", "file:///no/such/folder");
  EXPECT_FALSE(good("Hub"));
}

TEST_F(DoctorCommand, NamesOwnKernelsThatAreNotThere) {
  test::ScopedEnv embedded("GRAFT_HUB", "/no/such/folder");
  EXPECT_FALSE(good("own kernels"));
}

TEST_F(DoctorCommand, NamesFoldersThatCannotBeWritten) {
  test::write_file(folder_.path() / "file", "in the way");
  const std::string below = (folder_.path() / "file/below").string();
  test::ScopedEnv cache("KERNELS_CACHE", below.c_str()), state("GRAFT_STATE_DIR", below.c_str());
  EXPECT_FALSE(good("cache"));
  EXPECT_FALSE(good("state"));
}

TEST_F(DoctorCommand, NamesALockFileThatIsNone) {
  EXPECT_EQ(row("lock file")["state"], "none");
  test::write_file(folder_.path() / "graft.lock", "[]");
  test::ScopedEnv lock("GRAFT_LOCK", (folder_.path() / "graft.lock").c_str());
  EXPECT_TRUE(good("lock file"));
  test::write_file(folder_.path() / "graft.lock", "{");
  EXPECT_FALSE(good("lock file"));
}

TEST_F(DoctorCommand, ShowsVariablesInForceButNoSecrets) {
  test::ScopedEnv token("HF_TOKEN", "hf_secret"), proxy("https_proxy", "http://me:secret@127.0.0.1:9"), threads("GRAFT_NUM_THREADS", "3");
  Result doctor = run_graft("doctor");
  EXPECT_EQ(doctor.out.find("secret"), std::string::npos) << doctor.out;
  EXPECT_NE(doctor.out.find("HF_TOKEN=…"), std::string::npos);
  EXPECT_NE(doctor.out.find("https_proxy=…"), std::string::npos);
  EXPECT_NE(doctor.out.find("GRAFT_NUM_THREADS=3"), std::string::npos);
}

TEST_F(DoctorCommand, PrintsTheHostThatInfoTakes) {
  Result printed = run_graft("doctor --host");
  ASSERT_EQ(printed.exit, 0);
  EXPECT_EQ(HostPlatform::from_json(printed.out).os, "linux");
  test::write_file(folder_.path() / "host.json", printed.out);
  Result info = run_graft("info graft-kernels/norm --json --host " + (folder_.path() / "host.json").string());
  EXPECT_EQ(info.exit, 0) << info.out;
  EXPECT_EQ(json::parse(info.out)["chosen"], test::host_variant());
}

}  // namespace
}  // namespace graft
