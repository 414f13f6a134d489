#include "elf_check.h"

#include <gnu/libc-version.h>

#include <algorithm>
#include <charconv>
#include <compare>

#include "elf_file.h"
#include "graft/error.h"

namespace graft {
namespace {

constexpr std::string_view kGlibc = "GLIBC_";

/// The numbers of "2.38"; empty for anything else, such as "ABI_DT_RELR".
std::vector<unsigned> version_numbers(std::string_view text) {
  std::vector<unsigned> numbers;
  for (;;) {
    unsigned number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return {};
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return numbers;
    if (text.front() != '.') return {};
    text.remove_prefix(1);
  }
}

/// Names come from the file: shown cut short, and without bytes that a terminal would act on.
std::string shown(std::string_view name) {
  std::string text(name.substr(0, 200));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

class Checker {
 public:
  Checker(std::string_view bytes, const std::string& file, const ElfRules& rules)
      : file_(file), rules_(rules), elf_(bytes, file) {}

  ElfReport run() {
    check_segments();
    check_notes();
    check_dynamic();
    check_libraries();
    check_versions();
    check_symbols();
    return std::move(report_);
  }

 private:
  void check_segments() {
    bool stack = false;
    for (const Elf64_Phdr& segment : elf_.segments()) {
      if (segment.p_type == PT_GNU_STACK) {
        stack = true;
        if (segment.p_flags & PF_X) refuse("asks for an executable stack", "link it with -Wl,-z,noexecstack");
      }
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) && (segment.p_flags & PF_X))
        refuse("has memory that can be written and executed", "link it without -Wl,-N or -Wl,--omagic");
    }
    if (!stack)
      refuse("does not say that its stack needs no execution, which the linker takes for an executable one",
             "link it with -Wl,-z,noexecstack");
  }

  /// The ABI tag, where there is one: operating system, and the kernel it needs at least.
  void check_notes() {
    for (const Elf64_Phdr& segment : elf_.segments()) {
      if (segment.p_type != PT_NOTE) continue;
      std::string_view notes = elf_.range(segment.p_offset, segment.p_filesz, "its notes");
      std::uint64_t align = segment.p_align == 8 ? 8 : 4;
      while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        std::memcpy(&note, notes.data(), sizeof note);
        auto padded = [align](std::uint64_t size) { return (size + align - 1) / align * align; };
        std::uint64_t begin = padded(sizeof note + std::uint64_t{note.n_namesz});
        if (begin > notes.size() || note.n_descsz > notes.size() - begin) elf_.refuse("has malformed notes");
        std::string_view owner = notes.substr(sizeof note, note.n_namesz);
        if (owner == std::string_view("GNU\0", 4) && note.n_type == NT_GNU_ABI_TAG)
          check_abi_tag(notes.substr(begin, note.n_descsz));
        notes.remove_prefix(std::min<std::uint64_t>(padded(begin + note.n_descsz), notes.size()));
      }
    }
  }

  void check_abi_tag(std::string_view tag) {
    std::uint32_t system = 0;
    if (tag.size() < sizeof system) elf_.refuse("has a malformed ABI note");
    std::memcpy(&system, tag.data(), sizeof system);
    if (system != ELF_NOTE_OS_LINUX)
      throw Error(ErrorCode::unsupported, "library " + file_,
                  "is for another operating system: its ABI note does not say Linux", "build it for Linux");
  }

  void check_dynamic() {
    for (const Elf64_Dyn& entry : elf_.dynamic()) {
      std::uint64_t value = entry.d_un.d_val;
      switch (entry.d_tag) {
        case DT_RPATH:
        case DT_RUNPATH:
          if (std::string_view path = elf_.name_at(value, "a run path"); !path.empty())
            refuse("has the run path " + shown(path) +
                       ": it would bring in libraries that were not checked; a variant is one object",
                   "link what it needs into it, without -rpath (CMake: SKIP_BUILD_RPATH)");
          break;
        case DT_TEXTREL:
          refuse_text_relocations();
        case DT_FLAGS:
          if (value & DF_TEXTREL) refuse_text_relocations();
          break;
        case DT_FLAGS_1:
          if (value & DF_1_GLOBAL)
            refuse("would make its symbols global (DF_1_GLOBAL)", "link it without -Wl,-z,global");
          if (value & DF_1_NOOPEN) refuse("may not be opened by a program (DF_1_NOOPEN)", "");
          if (value & DF_1_PIE) elf_.refuse("is no shared object (link it with -shared)");
          break;
        case DT_AUDIT:
        case DT_DEPAUDIT:
          refuse("names a library that would watch the linker (DT_AUDIT)", "link it without --audit");
        case DT_FILTER:
        case DT_AUXILIARY:
          refuse("is a filter for another library (DT_FILTER)", "link it without -f and -F");
        default:
          break;
      }
    }
  }

  [[noreturn]] void refuse_text_relocations() {
    refuse("has text relocations: its code would be made writable", "compile it with -fPIC");
  }

  void check_libraries() {
    for (const Elf64_Dyn& entry : elf_.dynamic()) {
      if (entry.d_tag != DT_NEEDED) continue;
      std::string_view library = elf_.name_at(entry.d_un.d_val, "a library");
      bool extra = std::find(rules_.extra_libraries.begin(), rules_.extra_libraries.end(), library) !=
                   rules_.extra_libraries.end();
      if (!extra && !is_allowed_library(library, rules_.family, rules_.device))
        refuse("needs " + shown(library) + ", which is not among the libraries that a " + rules_.device +
                   " plugin may need",
               "link it into the plugin, statically; a variant is one object");
    }
  }

  /// What the linker would say, too, but after it has opened the libraries; and for other versions than
  /// glibc's it still does.
  void check_versions() {
    const Elf64_Dyn *table = elf_.find(DT_VERNEED), *count = elf_.find(DT_VERNEEDNUM);
    if (!table || !count) return;
    std::uint64_t need_at = table->d_un.d_ptr, versions = 0;
    for (std::uint64_t i = 0; i < count->d_un.d_val; ++i) {
      auto need = elf_.at_address<Elf64_Verneed>(need_at, "its versions");
      std::uint64_t version_at = need_at + need.vn_aux;
      for (unsigned j = 0; j < need.vn_cnt; ++j) {
        auto version = elf_.at_address<Elf64_Vernaux>(version_at, "its versions");
        if (++versions > kMaxVersions) elf_.refuse("has malformed versions");
        check_version(elf_.name_at(version.vna_name, "a version"));
        if (version.vna_next == 0) break;
        version_at += version.vna_next;
      }
      if (need.vn_next == 0) break;
      need_at += need.vn_next;
    }
  }

  void check_version(std::string_view name) {
    if (name == "GLIBC_PRIVATE")
      return refuse_or_warn("uses glibc's private symbols, which bind it to one build of glibc",
                            "use its public ones");
    if (!name.starts_with(kGlibc)) return;
    const std::string host = rules_.glibc.empty() ? gnu_get_libc_version() : rules_.glibc;
    std::string_view wanted = name.substr(kGlibc.size());
    if (version_numbers(wanted) > version_numbers(host))
      throw Error(ErrorCode::unsupported, "library " + file_,
                  "needs glibc " + shown(wanted) + "; this host has " + host,
                  "get its build for an older system");
  }

  void check_symbols() {
    bool entry = false;
    std::size_t index = 0;
    for (const Elf64_Sym& symbol : elf_.symbols()) {
      if (index++ == 0) continue;  // the first stands for "none"
      std::string_view name = elf_.name_at(symbol.st_name, "a symbol");
      if (symbol.st_shndx == SHN_UNDEF) continue;
      if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
        refuse_or_warn("has the GNU-unique symbol " + shown(name) +
                           ", by which two versions of a plugin in one process would share state",
                       "build it with -fvisibility=hidden -fvisibility-inlines-hidden -fno-gnu-unique");
      if (name != "graft_plugin_entry") continue;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_size < sizeof(std::uint32_t))
        refuse("its graft_plugin_entry is no graft_plugin struct",
               "define it as in graft/plugin.h: const graft_plugin graft_plugin_entry = {…}");
      elf_.memory(symbol.st_value, sizeof(std::uint32_t), "its graft_plugin_entry");
      entry = true;
    }
    if (!entry)
      refuse("does not export graft_plugin_entry",
             "it is no Graft plugin, or hides the symbol: define it with GRAFT_EXPORT");
  }

  void refuse_or_warn(const std::string& why, const std::string& mend) {
    if (rules_.family == ElfFamily::graft) refuse(why, mend);
    if (report_.warnings.size() < kMaxWarnings) report_.warnings.push_back("it " + why);
  }

  [[noreturn]] void refuse(const std::string& why, const std::string& mend) {
    throw Error(ErrorCode::plugin, "library " + file_, why, mend);
  }

  static constexpr std::uint64_t kMaxVersions = 4096;  // offsets of hostile tables could make them any number
  static constexpr std::size_t kMaxWarnings = 8;  // a library of templates may have thousands of such symbols
  const std::string& file_;
  const ElfRules& rules_;
  ElfFile elf_;
  ElfReport report_;
};

}  // namespace

ElfReport check_elf(std::string_view bytes, const std::string& file, const ElfRules& rules) {
  return Checker(bytes, file, rules).run();
}

}  // namespace graft
