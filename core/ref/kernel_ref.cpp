#include "graft/kernel_ref.h"

#include <algorithm>

#include "caret.h"
#include "graft/hub.h"
#include "graft/version.h"

namespace graft {
namespace {

constexpr std::string_view kForm = "write org/repo[@revision][:Entry] or /absolute/path[:Entry]";
constexpr std::size_t kMaxText = 4096;

bool is_entry_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-';
}

class Parser {
 public:
  Parser(std::string_view what, std::string_view whole, std::size_t begin)
      : what_(what), whole_(whole), text_(whole.substr(begin)), begin_(begin) {}

  KernelRef parse() {
    if (text_.empty()) fail(0, "is empty");
    if (text_.size() > kMaxText) fail(0, "is longer than 4096 bytes");
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (static_cast<unsigned char>(text_[i]) < ' ' || text_[i] == 0x7f)
        fail(i, "holds a control character");
    return text_.front() == '/' ? parse_local() : parse_repo();
  }

 private:
  KernelRef parse_local() {
    KernelRef ref;
    std::size_t colon = text_.rfind(':');
    // A colon in a folder's name is no separator: an entry has no slash.
    if (colon != text_.npos && text_.find('/', colon) != text_.npos) colon = text_.npos;
    ref.local = std::string(text_.substr(0, colon));
    if (colon != text_.npos) ref.entry = parse_entry(colon + 1);
    return ref;
  }

  KernelRef parse_repo() {
    KernelRef ref;
    std::size_t end = std::min(text_.find_first_of("@:"), text_.size());
    ref.repo = text_.substr(0, end);
    check_repo(ref.repo);
    if (end < text_.size() && text_[end] == '@') {
      std::size_t begin = end + 1;
      end = std::min(text_.find(':', begin), text_.size());
      ref.revision = parse_revision(begin, end);
    }
    if (end < text_.size()) ref.entry = parse_entry(end + 1);
    return ref;
  }

  void check_repo(const std::string& repo) {
    std::size_t slash = repo.find('/');
    if (slash == repo.npos) fail(repo.size(), "has no organisation");
    if (slash == 0) fail(0, "has an empty organisation");
    if (slash + 1 == repo.size()) fail(repo.size(), "has an empty repo name");
    if (std::size_t second = repo.find('/', slash + 1); second != repo.npos)
      fail(second, repo.front() == '.' ? "is a relative path" : "has one slash too many");
    for (std::size_t i = 0; i < repo.size(); ++i)
      if (i != slash && !is_entry_byte(repo[i])) fail(i, "has a character that no repo name has");
    try {
      check_repo_name(repo);
    } catch (const Error& e) {
      fail(0, e.why());
    }
  }

  std::string parse_revision(std::size_t begin, std::size_t end) {
    std::string revision(text_.substr(begin, end - begin));
    if (revision.empty()) fail(begin, "has an empty revision");
    if (VersionRange::is_range(revision)) {
      VersionRange::parse_in(what_, whole_, begin_ + begin, begin_ + end);
      return revision;
    }
    for (std::size_t i = begin; i < end; ++i)
      if (!is_entry_byte(text_[i]) && text_[i] != '/' && text_[i] != '+')
        fail(i, "has a character that no revision has");
    try {
      check_inside(revision);
    } catch (const Error& e) {
      fail(begin, "has a revision that " + e.why());
    }
    return revision;
  }

  std::string parse_entry(std::size_t begin) {
    std::string entry(text_.substr(begin));
    if (entry.empty()) fail(begin, "has an empty entry after ':'");
    for (std::size_t i = 0; i < entry.size(); ++i)
      if (!is_entry_byte(entry[i])) fail(begin + i, "has a character that no entry has");
    return entry;
  }

  [[noreturn]] void fail(std::size_t at, std::string why) {
    throw_at(what_, whole_, begin_ + at, std::move(why), std::string(kForm));
  }

  std::string_view what_, whole_, text_;
  std::size_t begin_;
};

}  // namespace

KernelRef KernelRef::parse(std::string_view text) {
  return parse_in("kernel reference", text, 0);
}

KernelRef KernelRef::parse_in(std::string_view what, std::string_view whole, std::size_t begin) {
  return Parser(what, whole, begin).parse();
}

std::string KernelRef::str() const {
  std::string text = is_local() ? local.string() : repo;
  if (!revision.empty()) text += "@" + revision;
  if (!entry.empty()) text += ":" + entry;
  return text;
}

}  // namespace graft
