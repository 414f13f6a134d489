#include "loaded_registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "graft/loaded_kernels.h"
#include "graft/quarantine.h"
#include "json_text.h"
#include "log.h"
#include "state_file.h"

// One file for each process, <state>/loaded/<pid>-XXXXXX, with a line of JSON for each kernel. The process
// holds flock(2) on it as long as it lives, kill -9 included: a file that can be locked is one of a process
// that is gone, and is removed by whoever finds it.

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxRecord = 1 << 20;  // bytes

fs::path folder() {
  fs::path state = state_folder();
  return state.empty() ? state : state / "loaded";
}

std::string machine() {
  utsname names{};
  return uname(&names) == 0 ? names.nodename : "localhost";
}

bool is_record(const fs::path& file) {
  return !file.filename().string().starts_with('.');
}

/// Locked as shared, so that two who look at once do not take each other for the process.
bool has_ended(const fs::path& file) {
  int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  const bool ended = flock(fd, LOCK_SH | LOCK_NB) == 0;
  if (ended) unlink(file.c_str());
  close(fd);
  return ended;
}

std::vector<fs::path> records() {
  std::vector<fs::path> found;
  std::error_code error;
  fs::directory_iterator it(folder(), error);
  for (; !error && it != fs::end(it); it.increment(error))
    if (is_record(it->path()) && !has_ended(it->path())) found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

/// This process's file.
class Record {
 public:
  static Record& own() {
    static auto& record = *new Record;  // threads may load kernels while the process ends
    return record;
  }

  void remove() {
    std::lock_guard lock(mutex_);
    if (owner_ == getpid()) unlink(file_.c_str());  // a forked process leaves its parent's
  }

  bool add(const RepoId& repo, const std::string& commit, const std::string& digest) {
    std::lock_guard lock(mutex_);
    if (owner_ != getpid() && !open_new()) return false;
    nlohmann::ordered_json line = {
        {"repo", repo.name},   {"repo_type", repo.kind == RepoKind::kernel ? "kernel" : "model"},
        {"commit", commit},    {"digest", digest},
        {"pid", owner_},       {"program", program_invocation_short_name},
        {"machine", machine()}};
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    if (!noted_.insert(text).second) return true;
    return write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }

 private:
  /// Under its name only when it is locked. What a forked process has of its parent stays the parent's.
  bool open_new() {
    records();  // clears away what killed processes left
    if (!make_state_folder(folder())) return false;
    std::string scratch = (folder() / ".new-XXXXXX").string();
    int fd = mkostemp(scratch.data(), O_CLOEXEC | O_APPEND);  // mode 0600
    if (fd < 0) return false;
    fs::path file = folder() / (std::to_string(getpid()) + "-" + scratch.substr(scratch.size() - 6));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || rename(scratch.c_str(), file.c_str()) != 0) {
      unlink(scratch.c_str());
      close(fd);
      return false;
    }
    fd_ = fd;
    file_ = file;
    owner_ = getpid();
    noted_.clear();
    [[maybe_unused]] static const int at_exit = std::atexit([] { own().remove(); });
    return true;
  }

  std::mutex mutex_;
  int fd_ = -1;  // open as long as the process lives
  fs::path file_;
  pid_t owner_ = -1;
  std::set<std::string> noted_;
};

}  // namespace

void note_loaded(const RepoId& repo, const std::string& commit, const std::string& digest) {
  if (folder().empty() || !Record::own().add(repo, commit, digest))
    log(LogLevel::debug, repo.name,
        std::string("that it is loaded cannot be noted for graft ls: ") +
            (folder().empty() ? "no state folder" : std::strerror(errno)));
}

std::vector<LoadedKernel> loaded_kernels() {
  std::vector<LoadedKernel> found;
  for (const fs::path& file : records()) try {
      const std::string text = detail::read_text(file, kMaxRecord);
      for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
        const std::string what = file.string();
        detail::Json line = detail::parse_object(text.substr(begin, end - begin), what);
        detail::Fields fields(line, what);
        found.push_back({.repo = {fields.text("repo_type") == "model" ? RepoKind::model : RepoKind::kernel,
                                  fields.text("repo")},
                         .commit = fields.text("commit"),
                         .digest = fields.text("digest"),
                         .pid = static_cast<int>(fields.integer("pid").value_or(0)),
                         .program = fields.text("program"),
                         .machine = fields.text("machine")});
      }
    } catch (const std::exception& e) {
      log(LogLevel::debug, "loaded kernels", e.what());
    }
  return found;
}

}  // namespace graft
