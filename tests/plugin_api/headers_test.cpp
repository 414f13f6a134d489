// Every header compiles alone, in the strictest mode, with each compiler at hand.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

const std::string kInclude = std::string(GRAFT_SOURCE_DIR) + "/plugin_api/include";

// Headers of plugin_api with that extension, as one includes them.
std::vector<std::string> headers(const std::string& extension) {
  std::vector<std::string> found;
  for (const auto& file : fs::recursive_directory_iterator(kInclude))
    if (file.path().extension() == extension) found.push_back(fs::relative(file.path(), kInclude).string());
  return found;
}

// What the compiler says of a file that includes the header twice and nothing else; empty if it is content.
std::string complaints(const std::string& compiler, const std::string& language, const std::string& standard,
                       const std::string& header) {
  const std::string command = "printf '#include <" + header + ">\\n#include <" + header + ">\\n' | " +
                              compiler + " -x " + language + " -std=" + standard +
                              " -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I '" + kInclude + "' - 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  std::string said;
  char buffer[4096];
  while (const size_t n = fread(buffer, 1, sizeof buffer, pipe)) said.append(buffer, n);
  const int status = pclose(pipe);
  return status == 0 ? said : said + "\nexit status " + std::to_string(status);
}

void expect_all_compile(const std::string& extension, const std::string& compilers,
                        const std::string& language, const std::string& standard) {
  const std::vector<std::string> found = headers(extension);
  ASSERT_FALSE(found.empty());
  for (const std::string& compiler : split(compilers))
    for (const std::string& header : found)
      EXPECT_EQ(complaints(compiler, language, standard, header), "")
          << compiler << " -std=" << standard << " " << header;
}

TEST(PluginApiHeaders, EachCHeaderCompilesAloneAsC11) {
  expect_all_compile(".h", GRAFT_C_COMPILERS, "c", "c11");
}
TEST(PluginApiHeaders, EachCHeaderCompilesAloneAsCxx17) {
  expect_all_compile(".h", GRAFT_CXX_COMPILERS, "c++", "c++17");
}
TEST(PluginApiHeaders, EachCxxHeaderCompilesAloneAsCxx17) {
  expect_all_compile(".hpp", GRAFT_CXX_COMPILERS, "c++", "c++17");
}

}  // namespace
