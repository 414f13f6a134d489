// The public suite's cases (sigstore-conformance, test/assets/bundle-verify), from a folder beside the
// repository.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "graft/error.h"
#include "graft/sigstore.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string line_or(const fs::path& file, const std::string& otherwise) {
  if (!fs::exists(file)) return otherwise;
  std::string text = read(file);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

fs::path cases_folder() {
  const char* given = std::getenv("GRAFT_SIGSTORE_CASES");
  return given ? fs::path(given) : fs::path(GRAFT_SOURCE_DIR) / "../shared/sigstore";
}

/// "": verified; otherwise the refusal.
std::string verdict(const fs::path& folder, const Artifact& artifact) {
  try {
    TrustedRoot root = fs::exists(folder / "trusted_root.json")
                           ? TrustedRoot::parse(read(folder / "trusted_root.json"), "trusted_root.json")
                           : TrustedRoot::embedded();
    const std::string bundle = read(folder / "bundle.sigstore.json");
    if (fs::exists(folder / "key.pub")) {
      verify_bundle_with_key(bundle, artifact, root, read(folder / "key.pub"));
      return "";
    }
    SigstoreIdentity identity;
    identity.issuer = line_or(folder / "issuer", "https://token.actions.githubusercontent.com");
    identity.subject =
        line_or(folder / "identity",
                "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
                ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main");
    verify_bundle(bundle, artifact, root, identity);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(SigstoreConformance, AgreesWithThePublicSuiteOnEveryCase) {
  const fs::path cases = cases_folder() / "bundle-verify";
  if (!fs::exists(cases))
    GTEST_SKIP() << "no cases: set GRAFT_SIGSTORE_CASES to the folder that holds bundle-verify";
  int accepted = 0, refused = 0, wrong = 0;
  for (const auto& entry : fs::directory_iterator(cases)) {
    if (!entry.is_directory()) continue;
    const fs::path folder = entry.path();
    const fs::path artifact = fs::exists(folder / "artifact") ? folder / "artifact" : cases / "a.txt";
    const std::string refusal = verdict(folder, Artifact::of_file(artifact));
    const bool must_fail = folder.filename().string().ends_with("_fail");
    (refusal.empty() ? accepted : refused) += 1;
    wrong += refusal.empty() == must_fail;
    EXPECT_EQ(!refusal.empty(), must_fail) << folder.filename() << ": " << refusal;
    if (std::getenv("GRAFT_SIGSTORE_VERBOSE")) std::cout << folder.filename() << "  " << refusal << '\n';
  }
  std::cout << "sigstore cases: " << accepted << " accepted, " << refused << " refused, " << wrong
            << " wrong\n";
  EXPECT_GT(accepted, 0);
}

TEST(SigstoreConformance, TellsTheSameFromTheDigestAlone) {
  const fs::path cases = cases_folder() / "bundle-verify";
  if (!fs::exists(cases))
    GTEST_SKIP() << "no cases: set GRAFT_SIGSTORE_CASES to the folder that holds bundle-verify";
  const Artifact artifact =
      Artifact::of_digest("sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf");
  EXPECT_EQ(verdict(cases / "happy-path-v0.3", artifact), "");
  EXPECT_EQ(verdict(cases / "rekor2-happy-path", artifact), "");
  EXPECT_NE(verdict(cases / "wrong-hashedrekord-artifact_fail", artifact), "");
}

}  // namespace
}  // namespace graft
