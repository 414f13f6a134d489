// `graft serve` as a process.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve_fixture.h"

namespace graft::test {
namespace {

/// The program with its standard output and error in pipes.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    int out[2], err[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
    arguments.insert(arguments.begin(), {GRAFT_PROGRAM, "serve"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(out[1]);
    close(err[1]);
    out_ = fdopen(out[0], "r");
    err_ = fdopen(err[0], "r");
  }
  ~Process() {
    if (pid_ > 0) end(SIGKILL);
    std::fclose(out_);
    std::fclose(err_);
  }

  std::string line() { return line_of(out_); }
  std::string error_line() { return line_of(err_); }
  /// Its exit code; -1 if a signal ended it.
  int end(int signal) {
    if (signal) kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static std::string line_of(FILE* file) {
    std::string text;
    for (int c; (c = std::fgetc(file)) != EOF && c != '\n';) text += static_cast<char>(c);
    return text;
  }
  pid_t pid_ = -1;
  FILE *out_ = nullptr, *err_ = nullptr;
};

class ServeCommandTest : public ServeTest {
 protected:
  std::string root() { return folder_.path().string(); }
};

TEST_F(ServeCommandTest, SaysWhereItServesAndEndsWithZeroOnASignal) {
  for (int signal : {SIGTERM, SIGINT}) {
    Process process({root(), "--port", "0", "--json"});
    auto ready = nlohmann::json::parse(process.line());
    EXPECT_EQ(request(ready["endpoint"], "/kernels/org/norm/resolve/main/README.md").body, kText);
    EXPECT_NE(ready["cdn"], ready["endpoint"]);
    EXPECT_EQ(process.end(signal), 0);
  }
}

TEST_F(ServeCommandTest, SaysItToPeople) {
  Process process({root(), "--port", "0"});
  std::string line = process.line();
  EXPECT_TRUE(line.starts_with("serving " + root() + " at http://127.0.0.1:")) << line;
  EXPECT_NE(line.find(", large files from http://localhost:"), line.npos) << line;
  EXPECT_TRUE(line.ends_with(" (Ctrl-C ends it)")) << line;
  EXPECT_EQ(process.end(SIGTERM), 0);
}

TEST_F(ServeCommandTest, TakesItsOptions) {
  Process process({root(), "--port", "0", "--json", "--token", "t", "--private", "org/norm", "--gated", "a/b",
                   "--renamed", "old/n=org/norm", "--page-size", "2", "--fault", "status=503:1", "--fault",
                   "retry-after=3", "--log"});
  std::string endpoint = nlohmann::json::parse(process.line())["endpoint"];
  httplib::Headers token = {{"Authorization", "Bearer t"}};
  EXPECT_EQ(request(endpoint, "/api/kernels/org/norm", token).header("Retry-After"), "3");
  EXPECT_EQ(request(endpoint, "/api/kernels/org/norm").status, 401);
  EXPECT_EQ(request(endpoint, "/api/kernels/org/norm/tree/main", token).json().size(), 2u);
  EXPECT_EQ(request(endpoint, "/api/kernels/old/n", token).status, 307);
  std::string log;  // in the order in which the replies were done
  for (int i = 0; i < 4; ++i) log += process.error_line() + "\n";
  EXPECT_NE(log.find("GET /api/kernels/org/norm 503 "), log.npos) << log;
  EXPECT_NE(log.find("GET /api/kernels/old/n 307 0 bytes\n"), log.npos) << log;
  EXPECT_EQ(process.end(SIGTERM), 0);
}

TEST_F(ServeCommandTest, WarnsWhenOtherMachinesReachIt) {
  Process process({root(), "--port", "0", "--host", "0.0.0.0"});
  process.line();
  EXPECT_NE(process.error_line().find("this is a development server"), std::string::npos);
  EXPECT_EQ(process.end(SIGTERM), 0);
}

TEST_F(ServeCommandTest, FailsWithTheReasonAndTheMend) {
  std::string port = server().endpoint().substr(server().endpoint().rfind(':') + 1);
  Process taken({root(), "--port", port});
  EXPECT_NE(taken.error_line().find(port), std::string::npos);
  EXPECT_NE(taken.error_line().find("--port"), std::string::npos);
  EXPECT_EQ(taken.end(0), 1);
  Process missing({root() + "/none", "--port", "0"});
  EXPECT_NE(missing.error_line().find("no such folder"), std::string::npos);
  EXPECT_EQ(missing.end(0), 1);
  Process certificate({root(), "--port", "0", "--certificate", "none.pem", "--key", "none.key"});
  EXPECT_NE(certificate.error_line().find("none.pem"), std::string::npos);
  EXPECT_EQ(certificate.end(0), 1);
}

TEST_F(ServeCommandTest, EndsWithTwoOnWrongUsage) {
  for (std::vector<std::string> arguments :
       std::vector<std::vector<std::string>>{{},
                                             {root(), "--port", "70000"},
                                             {root(), "--fault", "slow"},
                                             {root(), "--renamed", "a/b"},
                                             {root(), "--certificate", "c.pem"},
                                             {root(), "--private", "org/norm"}})
    EXPECT_EQ(Process(arguments).end(0), 2);
}

}  // namespace
}  // namespace graft::test
