// The environment variables of huggingface_hub.
#include <gtest/gtest.h>

#include <deque>

#include "fixtures.h"
#include "graft/error.h"
#include "graft/hub_options.h"

namespace graft {
namespace {

class EnvironmentTest : public testing::Test {
 protected:
  EnvironmentTest() {
    for (const char* name :
         {"HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
          "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "KERNELS_CACHE",
          "XDG_CACHE_HOME", "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_DISABLE_SHARED_BLOBS", "HF_HUB_DISABLE_XET",
          "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE",
          "SSL_CERT_DIR"})
      variables_.emplace_back(name, nullptr);
    set("HF_HOME", home_.path());
  }
  ~EnvironmentTest() override {
    while (!variables_.empty()) variables_.pop_back();  // each restores what the one before it had set
  }
  void set(const char* name, const std::string& value) { variables_.emplace_back(name, value.c_str()); }
  HubOptions read() { return HubOptions::from_environment(); }

  test::TempFolder home_;
  std::deque<test::ScopedEnv> variables_;
};

TEST_F(EnvironmentTest, HasTheDefaultsOfHuggingfaceHub) {
  HubOptions options = read();
  EXPECT_EQ(options.endpoint, "https://huggingface.co");
  EXPECT_EQ(options.cache_dir, home_.path() / "hub");
  EXPECT_EQ(options.kernels_cache_dir, home_.path() / "hub");
  EXPECT_EQ(options.token, "");
  EXPECT_FALSE(options.offline);
  EXPECT_TRUE(options.symlinks && options.shared_blobs);
  EXPECT_EQ(options.metadata_timeout, std::chrono::seconds(10));
}

TEST_F(EnvironmentTest, FindsTheCacheByTheNearestVariable) {
  set("HF_HOME", "");
  set("XDG_CACHE_HOME", "/xdg");
  EXPECT_EQ(read().cache_dir, "/xdg/huggingface/hub");
  set("HUGGINGFACE_HUB_CACHE", "/old");
  EXPECT_EQ(read().cache_dir, "/old");
  set("HF_HUB_CACHE", "/new");
  EXPECT_EQ(read().cache_dir, "/new");
  EXPECT_EQ(read().kernels_cache_dir, "/new");
  set("KERNELS_CACHE", "/kernels");
  EXPECT_EQ(read().kernels_cache_dir, "/kernels");
  EXPECT_EQ(read().cache_dir, "/new");
}

TEST_F(EnvironmentTest, ExpandsHomeAndVariablesInPaths) {
  set("HOME", "/home/someone");
  set("GRAFT_TEST_PLACE", "there");
  set("HF_HUB_CACHE", "~/$GRAFT_TEST_PLACE/${GRAFT_TEST_PLACE}/$NO_SUCH_VARIABLE");
  EXPECT_EQ(read().cache_dir, "/home/someone/there/there/$NO_SUCH_VARIABLE");
  set("HF_HOME", "~/hf");
  set("HF_HUB_CACHE", "");
  EXPECT_EQ(read().cache_dir, "/home/someone/hf/hub");
}

TEST_F(EnvironmentTest, TakesTheTokenFromAVariableBeforeTheFile) {
  test::write_file(home_.path() / "token", "  from_file\n");
  EXPECT_EQ(read().token, "from_file");
  set("HUGGING_FACE_HUB_TOKEN", "older");
  EXPECT_EQ(read().token, "older");
  set("HF_TOKEN", "newer\n");
  EXPECT_EQ(read().token, "newer");
  set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
  EXPECT_EQ(read().token, "");
}

TEST_F(EnvironmentTest, RefusesATokenThatWouldCarryAHeaderAlong) {
  set("HF_TOKEN", "token\r\nX-Evil: 1");
  EXPECT_THROW(read(), Error);
}

TEST_F(EnvironmentTest, SwitchesByTheWordsThatMeanYes) {
  for (const char* yes : {"1", "ON", "yes", "True"}) {
    set("HF_HUB_OFFLINE", yes);
    EXPECT_TRUE(read().offline) << yes;
  }
  for (const char* no : {"0", "", "off", "2"}) {
    set("HF_HUB_OFFLINE", no);
    EXPECT_FALSE(read().offline) << no;
  }
  set("TRANSFORMERS_OFFLINE", "1");
  set("HF_HUB_OFFLINE", "");
  EXPECT_TRUE(read().offline);
  set("HF_HUB_DISABLE_SYMLINKS", "1");
  set("HF_HUB_DISABLE_XET", "1");
  EXPECT_FALSE(read().symlinks || read().shared_blobs);
}

TEST_F(EnvironmentTest, ReadsTimeoutsInSeconds) {
  set("HF_HUB_ETAG_TIMEOUT", "3");
  set("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
  EXPECT_EQ(read().metadata_timeout, std::chrono::seconds(3));
  EXPECT_EQ(read().download_timeout, std::chrono::milliseconds(500));
  for (const char* wrong : {"soon", "-1", "3s", "nan"}) {
    set("HF_HUB_ETAG_TIMEOUT", wrong);
    EXPECT_THROW(read(), Error) << wrong;
  }
}

TEST_F(EnvironmentTest, FindsCertificatesByTheUsualVariables) {
  set("REQUESTS_CA_BUNDLE", "/b.pem");
  set("SSL_CERT_DIR", "/certs");
  EXPECT_EQ(read().ca_file, "/b.pem");
  EXPECT_EQ(read().ca_folder, "/certs");
  set("SSL_CERT_FILE", "/a.pem");
  EXPECT_EQ(read().ca_file, "/a.pem");
}

}  // namespace
}  // namespace graft
