// What each command prints, held against files in tests/cli/golden. GRAFT_UPDATE_GOLDEN=1 writes them anew: look at the
// difference before it is committed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>
#include <regex>

#include "fixtures.h"
#include "graft/pack.h"
#include "run_graft.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;       // of the file
  const char* arguments;  // HUB and PROJECT stand for the folders
  friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.arguments; }
};

/// Two signed versions of a first-party kernel, a stranger's, and one with a variant for a GPU that says much of itself.
class Golden : public testing::TestWithParam<Case> {
 protected:
  Golden() {
    hub_.add("graft-kernels/norm", "v1.0.0", test::fixture("good"));
    hub_.add("graft-kernels/norm", "v1.1.0", test::fixture("good_v2"));
    hub_.add("stranger/norm", "v1.0.0", test::fixture("good_v3"));
    const fs::path source = project_.path() / "told";
    test::write_file(source / "build" / test::host_variant() / "k.so", test::read_file(test::fixture("good")));
    test::write_file(source / "build" / test::host_variant() / "metadata.json", R"({"license": "MIT", "upstream": "https://example.org/up",
        "kernel-depends": [{"repo-id": "kernels-community/base", "version": 2}], "kernels-minver": "0.12.0",
        "provenance": {"kernel-builder": {"version": "1.0"}, "kernel": {"commit": "0123456789012345678901234567890123456789", "dirty": true}}})");
    for (const char* variant : {"graft1-cu130-x86_64-linux", "torch211-cxx11-cu130-x86_64-linux", "torch-universal", "graft1-cpu-aarch64-linux"})
      test::write_file(source / "build" / variant / "k.so", "of another machine");
    pack_repo({.source = source, .hub = hub_.path(), .repo = "kernels-community/told", .tag = "v2.3.0"});
    test::write_file(project_.path() / "gpu.json", R"({"os": "linux", "cpu": "x86_64", "cpu_level": "x86_64_v3", "cuda": {"driver": "13.0", "capabilities": ["9.0"]}})");
    test::run_graft("lock graft-kernels/norm --dir " + project_.path().string());
  }

  /// Without what differs from machine to machine, and from build to build.
  std::string normalised(std::string text) const {
    const std::pair<const char*, const char*> rules[] = {
        {R"(sha256:[0-9a-f]{64})", "sha256:DIGEST"},
        {R"(sha256:[0-9a-f]{12}…)", "sha256:SHORT…"},
        {R"([0-9a-f]{40})", "COMMIT"},
        {R"(\b[0-9a-f]{12}\b)", "SHORTCOMMIT"},
        {R"(\b\d+(\.\d+)? (B|kB|MB|GB)\b)", "SIZE"},
        {R"("bytes": \d+)", "\"bytes\": N"},
        {R"("size": \d+)", "\"size\": N"},
        {R"("seconds": [0-9.e-]+)", "\"seconds\": S"},
        {R"(x86_64_v\d(?= *\n))", "LEVEL"},
    };
    for (const auto& [folder, name] : {std::pair{hub_.path(), "HUB"}, {project_.path(), "PROJECT"}, {cache_.path(), "CACHE"}}) {
      for (std::size_t at; (at = text.find(folder.string())) != text.npos;) text.replace(at, folder.string().size(), name);
    }
    for (const auto& [pattern, word] : rules) text = std::regex_replace(text, std::regex(pattern), word);
    return text;
  }

  test::TestHub hub_;
  test::TempFolder project_, cache_;
  test::ScopedEnv embedded_{"GRAFT_HUB", hub_.path().c_str()};
  test::ScopedEnv endpoint_{"HF_ENDPOINT", hub_.endpoint().c_str()};
  test::ScopedEnv config_{"XDG_CONFIG_HOME", cache_.path().c_str()};
  test::ScopedEnv cache_variable_{"HF_HUB_CACHE", cache_.path().c_str()};
  test::ScopedEnv kernels_cache_{"KERNELS_CACHE", nullptr};
  test::ScopedEnv state_{"GRAFT_STATE_DIR", cache_.path().c_str()};
  test::ScopedEnv lock_{"GRAFT_LOCK", nullptr};
};

TEST_P(Golden, PrintsWhatItDid) {
  std::string arguments = GetParam().arguments;
  for (const auto& [name, folder] : {std::pair{std::string("HUB"), hub_.path()}, {std::string("PROJECT"), project_.path()}})
    for (std::size_t at; (at = arguments.find(name)) != arguments.npos;) arguments.replace(at, name.size(), folder.string());
  const test::Result result = test::run_graft(arguments);
  const std::string said = normalised(std::string("$ graft ") + GetParam().arguments + "\n" + result.out) + "exit " + std::to_string(result.exit) + "\n";
  const fs::path file = fs::path(GRAFT_SOURCE_DIR) / "tests/cli/golden" / (std::string(GetParam().name) + ".txt");
  if (std::getenv("GRAFT_UPDATE_GOLDEN")) test::write_file(file, said);
  EXPECT_EQ(said, test::read_file(file)) << file;
}

INSTANTIATE_TEST_SUITE_P(
    Commands, Golden,
    testing::Values(Case{"help", "--help"}, Case{"info", "info graft-kernels/norm@v1.0.0:TestRMSNorm"}, Case{"info_json", "info graft-kernels/norm@v1.0.0 --json"},
                    Case{"info_told", "info kernels-community/told"}, Case{"info_host", "info kernels-community/told --device cuda --host PROJECT/gpu.json"},
                    Case{"info_stranger", "info stranger/norm"}, Case{"info_caret", "info 'graft-kernels/norm@>=1,x'"},
                    Case{"versions", "versions graft-kernels/norm"}, Case{"versions_json", "versions graft-kernels/norm --json"},
                    Case{"lock", "lock 'kernels-community/told@>=2,<3' --dir PROJECT"}, Case{"lock_kept", "lock --dir PROJECT"},
                    Case{"lock_check", "lock --check --dir PROJECT"}, Case{"lock_json", "lock --json --dir PROJECT"}, Case{"lock_nothing", "lock --dir HUB"},
                    Case{"download", "download graft-kernels/norm"}, Case{"download_locked", "download --locked --dir PROJECT"},
                    Case{"download_json", "download graft-kernels/norm --json"}, Case{"ls", "ls"}, Case{"ls_default_mapping", "ls --default-mapping"}, Case{"rm_nothing", "rm graft-kernels/norm --yes"},
                    Case{"gc_nothing", "gc --max-size 1GB"}, Case{"verify", "verify graft-kernels/norm"}, Case{"verify_stranger", "verify stranger/norm"},
                    Case{"quarantine", "quarantine"}, Case{"sign_nothing", "sign"}, Case{"trust_accept", "trust accept graft-kernels/norm"},
                    Case{"policy_check", "policy check PROJECT/gpu.json"}, Case{"no_lock", "info graft-kernels/norm@9"}, Case{"check", "check PROJECT/told"}, Case{"pack", "pack PROJECT/told --hub PROJECT/hub --repo me/told --tag v1.0.0"},
                    Case{"tokenize_nothing", "tokenize /no/such/model hello"}, Case{"run_nothing", "run /no/such/model"},
                    Case{"run_kernel_policy", "run /no/such/model --prompt hello --kernel-policy sometimes"},
                    Case{"bench_nothing", "bench"}, Case{"unknown", "frobnicate"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace graft
