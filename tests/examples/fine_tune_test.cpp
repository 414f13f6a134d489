// tools/examples/fine_tune on a tiny model and the text that comes with it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "fixtures.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::write_file;

const fs::path kSource = GRAFT_SOURCE_DIR;
const fs::path kText = kSource / "tools/examples/fine_tune/text.txt";

struct Result {
  int exit;
  std::string out;  // standard output and standard error
  json last_line() const {
    const std::string text = out.substr(0, out.find_last_not_of('\n') + 1);
    return json::parse(text.substr(text.find_last_of('\n') + 1));
  }
};

/// A tokenizer of 256 tokens, the bytes: as many as the tiny models have. In byte-level BPE a byte that is no
/// printable character stands as one from U+0100 on.
json byte_tokenizer() {
  json vocab;
  int64_t id = 0, stand_in = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool shown = (byte > ' ' && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    const int64_t code = shown ? byte : stand_in++;
    std::string character = code < 0x80 ? std::string(1, char(code))
                                        : std::string{char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
    vocab[character] = id++;
  }
  return {{"version", "1.0"},
          {"added_tokens", json::array()},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}};
}

class FineTune : public ::testing::Test {
 protected:
  FineTune() {
    fs::create_directories(model());
    for (const char* name : {"config.json", "model.safetensors"})
      fs::copy_file(kSource / "tests/golden/tiny-llama" / name, model() / name);
    write_file(model() / "tokenizer.json", byte_tokenizer().dump());
  }

  fs::path model() const { return folder_.path() / "model"; }
  fs::path output() const { return folder_.path() / "tuned"; }

  static Result run(const std::string& arguments) {
    FILE* pipe = popen((std::string(GRAFT_FINE_TUNE) + " " + arguments + " 2>&1").c_str(), "r");
    Result result{-1, ""};
    for (int c; (c = std::fgetc(pipe)) != EOF;) result.out += static_cast<char>(c);
    result.exit = WEXITSTATUS(pclose(pipe));
    return result;
  }
  Result train(const std::string& more) const {
    return run(model().string() + " " + kText.string() +
               " --sequence-length 64 --batch 2 --learning-rate 0.003 " + more);
  }

 private:
  test::TempFolder folder_;
  test::ScopedEnv state_{"GRAFT_STATE_DIR", (folder_.path() / "state").c_str()};
  // Of so small a model threads wait longer than they work, on a busy machine by far.
  test::ScopedEnv torch_threads_{"OMP_NUM_THREADS", "1"}, kernel_threads_{"GRAFT_NUM_THREADS", "1"};
  test::ScopedEnv hub_{"GRAFT_HUB", GRAFT_FIRST_PARTY_HUB};
};

TEST_F(FineTune, LearnsTheSameWithAndWithoutKernels) {
  const Result own = train("--steps 20 --kernels off --json"),
               kernels = train("--steps 20 --kernels on --json");
  ASSERT_EQ(own.exit, 0) << own.out;
  ASSERT_EQ(kernels.exit, 0) << kernels.out;
  const json without = own.last_line(), with = kernels.last_line();
  ASSERT_EQ(without["losses"].size(), 20u);
  for (size_t i = 0; i < 20; ++i)
    EXPECT_NEAR(with["losses"][i].get<double>(), without["losses"][i].get<double>(), 1e-3)
        << "step " << i + 1;
  EXPECT_LT(with["losses"][19].get<double>(), with["losses"][0].get<double>() - 0.5);
  EXPECT_EQ(without["bound"], 0);
  if (*GRAFT_FIRST_PARTY_HUB != 0) {
    EXPECT_EQ(with["bound"].get<int>(), with["layers"].get<int>() - 2 * 2 - 1);  // a block's paged_attention and DecoderLayer, and Sampling, are for generate() alone
  }
  EXPECT_GT(with["peak_mib"].get<double>(), 1);
}

TEST_F(FineTune, LearnsTheSameWhereActivationsAreComputedAgain) {
  const Result kept = train("--steps 3 --json"), again = train("--steps 3 --json --checkpoint");
  ASSERT_EQ(again.exit, 0) << again.out;
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(again.last_line()["losses"][i].get<double>(), kept.last_line()["losses"][i].get<double>(),
                1e-4);
}

TEST_F(FineTune, SavesAModelThatGoesOnWhereItStopped) {
  const Result first = train("--steps 8 --json --output " + output().string());
  ASSERT_EQ(first.exit, 0) << first.out;
  EXPECT_TRUE(fs::exists(output() / "tokenizer.json"));
  const Result next =
      run(output().string() + " " + kText.string() + " --sequence-length 64 --batch 2 --steps 1 --json");
  ASSERT_EQ(next.exit, 0) << next.out;
  const double before = first.last_line()["losses"][0], after = next.last_line()["losses"][0];
  EXPECT_LT(after, before - 0.1);  // of the same rows
}

TEST_F(FineTune, PrintsEachStepAndWhatItCost) {
  const Result result = train("--steps 2");
  ASSERT_EQ(result.exit, 0) << result.out;
  for (const char* part : {"step 1 ", "step 2 ", "loss ", "steps/s", "tokens/s", "peak memory"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in\n" << result.out;
}

TEST_F(FineTune, EndsAfterTheStepUnderWayAndSavesItAllWhenInterrupted) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    execl(GRAFT_FINE_TUNE, GRAFT_FINE_TUNE, model().c_str(), kText.c_str(), "--steps", "1000000",
          "--sequence-length", "16", "--output", output().c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  char byte;
  ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);  // of "step 1"
  kill(child, SIGINT);
  while (read(pipe_ends[0], &byte, 1) == 1) continue;
  close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const Result next =
      run(output().string() + " " + kText.string() + " --sequence-length 16 --steps 1 --json");
  EXPECT_EQ(next.exit, 0) << next.out;
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(output()))
    files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (std::vector<std::string>{"config.json", "model.safetensors",
                                             "tokenizer.json"}));  // nothing half
}

TEST_F(FineTune, ExplainsItselfAndRefusesWrongUsage) {
  const Result help = run("--help");
  EXPECT_EQ(help.exit, 0);
  EXPECT_NE(help.out.find("Example:"), std::string::npos);
  const std::string ok = model().string() + " " + kText.string();
  for (const std::string& arguments :
       {std::string(), model().string(), ok + " --steps 0", ok + " --sequence-length 1", ok + " --batch none",
        ok + " --kernels maybe", ok + " --dtype int8", ok + " --learning-rate -1", ok + " --no-such-option",
        model().string() + " /no/such/text", ok + " --sequence-length 1000000"}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit, 2) << arguments << "\n" << result.out;
    EXPECT_FALSE(result.out.empty()) << arguments;
  }
}

TEST_F(FineTune, FailsWithAReasonWhereTheModelOrTheOutputIsNotThere) {
  const Result missing = run((model() / "none").string() + " " + kText.string());
  EXPECT_EQ(missing.exit, 1) << missing.out;
  EXPECT_EQ(missing.out.rfind("fine_tune: ", 0), 0u) << missing.out;
  write_file(output(), "a file where a folder is wanted");
  const Result unwritable = train("--steps 1 --output " + output().string());
  EXPECT_EQ(unwritable.exit, 1);
  EXPECT_NE(unwritable.out.find("saving the model"), std::string::npos) << unwritable.out;
  write_file(model() / "empty.txt", "");
  EXPECT_NE(run(model().string() + " " + (model() / "empty.txt").string()).exit, 0);
}

}  // namespace
}  // namespace graft
