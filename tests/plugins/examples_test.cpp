// The examples of authors, and what every plugin that Graft ships exports.
#include <dlfcn.h>
#include <graft/contracts/rms_norm.h>
#include <graft/contracts/silu.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "harness.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

std::string example(const std::string& name) {
  const std::string variant =
      std::string(GRAFT_CPU_VARIANTS).substr(0, std::string(GRAFT_CPU_VARIANTS).find(','));
  return std::string(GRAFT_REPOS_DIR) + "/graft-examples/" + name + "/build/" + variant + "/" + name + ".so";
}

TEST(CRMSNorm, FollowsItsContract) {
  const Kernel kernel(example("c-rms-norm"), "RMSNorm", graft_contract_rms_norm_1, {number(1e-6)});
  for (uint32_t threads : {1, 3}) {
    const Array x = Array::permuted(kFloat32, {3, 50, 21}, {1, 0, 2}).random(1),
                weight = Array(kFloat32, {21}).random(2);
    Array out(kFloat32, {3, 50, 21}), rstd(kFloat32, {3, 50});
    ASSERT_EQ(kernel.run({x.value(), weight.value(), out.value(), rstd.value()}, threads), GRAFT_OK);
    std::vector<double> expected, expected_rstd;
    for (int64_t row = 0; row < 150; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < 21; ++i) squares += x.get(row * 21 + i) * x.get(row * 21 + i);
      expected_rstd.push_back(1 / std::sqrt(squares / 21 + 1e-6));
      for (int64_t i = 0; i < 21; ++i)
        expected.push_back(x.get(row * 21 + i) * expected_rstd.back() * weight.get(i));
    }
    expect_close(graft_contract_rms_norm_1, kFloat32, expected, out, "out");
    expect_close(graft_contract_rms_norm_1, kFloat32, expected_rstd, rstd, "rstd");
    ASSERT_EQ(kernel.run({x.value(), weight.value(), out.value(), none()}, threads), GRAFT_OK);
  }
}

TEST(CRMSNorm, WithoutEpsSaysSo) {
  try {
    Kernel(example("c-rms-norm"), "RMSNorm", graft_contract_rms_norm_1);
    FAIL() << "created without eps";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "create: RMSNorm needs its attribute eps, a float");
  }
}

TEST(MySiLU, FollowsItsContract) {
  const Kernel kernel(example("my-silu"), "MySiLU", graft_contract_silu_1);
  const Array x = Array(kFloat32, {10000}).random(1, -9, 9);
  Array out(kFloat32, {10000});
  ASSERT_EQ(kernel.run({x.value(), out.value()}, 2), GRAFT_OK);
  std::vector<double> expected;
  for (int64_t i = 0; i < x.numel(); ++i) expected.push_back(x.get(i) / (1 + std::exp(-x.get(i))));
  expect_close(graft_contract_silu_1, kFloat32, expected, out, "out");
}

TEST(FromTheFuture, IsOfAnotherMajorVersion) {
  void* handle = dlopen(example("from-the-future").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr) << dlerror();
  const auto* plugin = static_cast<const graft_plugin*>(dlsym(handle, "graft_plugin_entry"));
  ASSERT_NE(plugin, nullptr);
  EXPECT_NE(plugin->abi_major, GRAFT_ABI_MAJOR);
}

// Two versions of one plugin can live in one process only if neither offers a symbol that the other would
// find.
TEST(Exports, EveryPluginHasExactlyOneAndNoneIsGnuUnique) {
  int plugins = 0;
  for (const auto& file : fs::recursive_directory_iterator(GRAFT_REPOS_DIR)) {
    if (file.path().extension() != ".so") continue;
    ++plugins;
    FILE* pipe = popen(("readelf -W --dyn-syms '" + file.path().string() + "' 2>&1").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string text;
    char buffer[4096];
    while (const size_t n = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
    ASSERT_EQ(pclose(pipe), 0) << text;
    std::vector<std::string> exported;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream fields(line);
      std::string number, value, size, type, binding, visibility, section, name;
      fields >> number >> value >> size >> type >> binding >> visibility >> section >> name;
      EXPECT_NE(binding, "UNIQUE") << file.path() << ": " << name;
      if ((binding == "GLOBAL" || binding == "WEAK") && section != "UND") exported.push_back(name);
    }
    EXPECT_EQ(exported, std::vector<std::string>{"graft_plugin_entry"}) << file.path();
  }
  EXPECT_GE(plugins, 8);
}

}  // namespace
}  // namespace graft::test
