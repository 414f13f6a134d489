// What the tests of a model's files share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "graft/error.h"

namespace graft::testing {

inline const std::filesystem::path kGolden = std::filesystem::path(GRAFT_SOURCE_DIR) / "tests/golden";

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_file(path));
}

/// SmolLM2-135M-Instruct's folder: GRAFT_TEST_MODEL, or where tools/test puts it. Without it the test fails.
inline std::filesystem::path smollm2() {
  std::filesystem::path folder;
  if (const char* given = std::getenv("GRAFT_TEST_MODEL")) {
    folder = given;
  } else {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    folder =
        cache != nullptr ? std::filesystem::path(cache) : std::filesystem::path(home ? home : "") / ".cache";
    folder /= "graft/models/SmolLM2-135M-Instruct";
  }
  if (!std::filesystem::exists(folder / "tokenizer.json")) {
    throw std::runtime_error(folder.string() + " is not there: run tools/test, or set GRAFT_TEST_MODEL");
  }
  return folder;
}

/// A folder of this test's own, gone at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "graft-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Passes if `run` throws graft::Error of this code whose text holds `part`, and which says what to do.
inline ::testing::AssertionResult throws_error(ErrorCode code, const std::string& part,
                                               const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    const std::string text = std::string(name(error.code())) + ": " + error.what();
    if (error.code() != code) return ::testing::AssertionFailure() << "another code: " << text;
    if (text.find(part) == std::string::npos)
      return ::testing::AssertionFailure() << "without \"" << part << "\": " << text;
    if (error.mend().empty()) return ::testing::AssertionFailure() << "says not what to do: " << text;
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

}  // namespace graft::testing
