// graft lock: which commits, variants and digests a project's kernels are, for the next machine.
#include "graft/lock.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "interrupt.h"
#include "terminal.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct LockOptions {
  std::vector<std::string> words;  // references; with --update repos
  std::string folder = ".";
  bool check = false, update = false;
  LoadOptions load;
};

/// The locked commits that stay: all but those that --update names, or all of them if it names none.
LockFile kept_of(const LockFile& before, const LockOptions& options) {
  if (!options.update) return before;
  LockFile kept;
  if (options.words.empty()) return kept;
  for (const std::string& word : options.words)
    if (std::none_of(before.kernels.begin(), before.kernels.end(), [&](const LockedKernel& kernel) { return kernel.repo == word; }))
      throw Error(ErrorCode::not_found, "\"" + word + "\"", "is not locked in " + options.folder, "lock it: graft lock " + word);
  for (const LockedKernel& kernel : before.kernels)
    if (std::find(options.words.begin(), options.words.end(), kernel.repo) == options.words.end()) kept.kernels.push_back(kernel);
  return kept;
}

std::vector<KernelRef> wanted_by(const LockFile& before, const LockOptions& options) {
  std::vector<KernelRef> wanted = wanted_of(before);
  if (!options.update)
    for (const std::string& word : options.words) {
      KernelRef ref = KernelRef::parse(word);
      ref.entry.clear();  // a repo is locked whole
      if (std::find(wanted.begin(), wanted.end(), ref) == wanted.end()) wanted.push_back(std::move(ref));
    }
  if (wanted.empty())
    throw Error(ErrorCode::invalid_argument, "graft lock", "there is no lock file in " + options.folder + ", and no kernel is named",
                "name them: graft lock kernels-community/activation@1 graft-kernels/norm");
  return wanted;
}

/// HF kernels and Graft would otherwise take different commits.
std::vector<std::string> kernels_lock_differences(const fs::path& folder, const LockFile& lock) {
  const fs::path file = folder / "kernels.lock";
  if (!fs::exists(file)) return {"kernels.lock is missing"};
  auto sorted = [](std::string text) {
    nlohmann::json list = nlohmann::json::parse(text);
    std::sort(list.begin(), list.end());
    return list;
  };
  if (sorted(LockFile::read(file).kernels_lock()) == sorted(lock.kernels_lock())) return {};
  return {"kernels.lock does not say what graft.lock says"};
}

ordered_json describe(const LockFile& lock) {
  ordered_json kernels = ordered_json::array();
  for (const LockedKernel& kernel : lock.kernels)
    kernels.push_back({{"repo", kernel.repo}, {"asked", kernel.asked}, {"revision", kernel.revision}, {"commit", kernel.commit},
                       {"variants", kernel.variants.size()}, {"depends", kernel.depends}});
  return kernels;
}

void print(const LockFile& lock) {
  for (const LockedKernel& kernel : lock.kernels) {
    fmt::print("  {}{}  {}  {}  {} variants\n", styled(kernel.repo, Style::bold), kernel.asked.empty() ? "" : "@" + printable(kernel.asked),
               printable(kernel.revision), kernel.commit.substr(0, 12), kernel.variants.size());
    for (const std::string& dependency : kernel.depends) fmt::print("    needs {}\n", printable(dependency));
  }
}

int lock(const LockOptions& options, bool json) try {
  Interrupt interrupt;
  const fs::path folder = options.folder;
  if (!fs::is_directory(folder)) throw Error(ErrorCode::not_found, "folder " + options.folder, "there is none", "name the project's folder: --dir");
  const std::optional<LockFile> before = read_lock(folder);
  if (options.check && !before)
    throw Error(ErrorCode::not_found, "lock file", "there is neither graft.lock nor kernels.lock in " + options.folder, "lock first: graft lock REF");
  LoadOptions load = options.load;
  load.stop = interrupt.token();
  const LockFile old = before.value_or(LockFile());
  const Locked locked = lock_kernels(Runtime::shared(), wanted_by(old, options), kept_of(old, options), load);

  std::vector<std::string> changes = differences(old, locked.file);
  for (const std::string& warning : locked.warnings) fmt::print(stderr, "{} {}\n", styled("warning:", Style::yellow, true), printable(warning));
  if (options.check)
    for (std::string& line : kernels_lock_differences(folder, locked.file)) changes.push_back(std::move(line));
  else
    write_lock(folder, locked.file);

  const bool good = !options.check || changes.empty();
  if (json) {
    ordered_json object = {{"kernels", describe(locked.file)}, {"changes", changes}, {"warnings", locked.warnings}};
    if (options.check) object["up_to_date"] = good;
    fmt::print("{}\n", object.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    for (const std::string& change : changes) fmt::print("{} {}\n", options.check ? styled("✗", Style::red) : styled("•", Style::dim), printable(change));
    if (options.check) {
      fmt::print("{}\n", good ? styled("✓", Style::green) + " the lock files hold" : "→ lock again: graft lock, or take newer versions: graft lock --update");
    } else {
      fmt::print("{} and kernels.lock lock {} kernels\n", (folder / "graft.lock").lexically_normal().string(), locked.file.kernels.size());
      print(locked.file);
    }
  }
  return good ? kDone : kFailed;
} catch (const Error& e) {
  if (e.code() != ErrorCode::cancelled) throw;
  fmt::print(stderr, "interrupted; the lock files are as they were\n");
  return Interrupt::kExit;
}

}  // namespace

void add_lock(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "lock", "Write graft.lock and kernels.lock: commits, variants, digests and signers of kernels",
                                  "graft lock kernels-community/activation@1 graft-kernels/norm@>=1.0,<2.0\n"
                                  "  graft lock --check             # for CI: does what is locked still hold?\n"
                                  "  graft lock --update org/name   # the newest that what was asked for allows");
  auto options = std::make_shared<LockOptions>();
  command->add_option("REF", options->words, "org/repo[@revision], added to what is locked; with --update: repos");
  command->add_option("--dir", options->folder, "the project's folder")->capture_default_str()->check(CLI::ExistingDirectory);
  auto* check = command->add_flag("--check", options->check, "change nothing; exit 1 if the files do not hold");
  auto* update = command->add_flag("--update", options->update, "resolve anew: the repos that are named, or all");
  check->excludes(update);
  command->add_flag("--allow-all-kernels", options->load.allow_all_kernels, "also of publishers that the policy does not trust");
  command->callback([&line, options] { line.action = [&line, options] { return lock(*options, line.json); }; });
}

}  // namespace graft
