#include "elf_check.h"

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "graft/error.h"
#include "graft/plugin.h"

namespace graft {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "Graft's loader knows x86-64 and AArch64"
#endif

std::string machine_name(Elf64_Half machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "AArch64";
    case EM_386:
      return "32-bit x86";
    case EM_ARM:
      return "32-bit ARM";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "POWER";
    default:
      return "machine " + std::to_string(machine);
  }
}

class Checker {
 public:
  Checker(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  void run() {
    check_header();
    check_segments();
    if (auto symbols = find_section(SHT_DYNSYM)) check_symbols(*symbols);
  }

 private:
  void check_header() {
    if (!bytes_.starts_with(std::string_view(ELFMAG, SELFMAG))) refuse("is no ELF file" + looks_like());
    header_ = at<Elf64_Ehdr>(0, "its header");
    if (header_.e_ident[EI_CLASS] != ELFCLASS64) refuse("is no 64-bit ELF file");
    if (header_.e_ident[EI_DATA] != ELFDATA2LSB)
      refuse("is big-endian, for " + machine_name(__builtin_bswap16(header_.e_machine)));
    if (header_.e_machine != kMachine)
      throw Error(ErrorCode::unsupported, "library " + file_,
                  "is for " + machine_name(header_.e_machine) + "; this CPU is " + machine_name(kMachine),
                  "build it for this CPU");
    if (header_.e_type != ET_DYN) refuse("is no shared object (link it with -shared)");
  }

  void check_segments() {
    if (header_.e_phnum == 0 || header_.e_phentsize != sizeof(Elf64_Phdr)) refuse("has no segments");
    bool loads = false;
    for (unsigned i = 0; i < header_.e_phnum; ++i) {
      auto segment = at<Elf64_Phdr>(header_.e_phoff, "its segments", i);
      if (segment.p_type != PT_LOAD) continue;
      loads = true;
      check_range(segment.p_offset, segment.p_filesz, "a segment");
    }
    if (!loads) refuse("has nothing to load");
    if (header_.e_shnum != 0) {
      if (header_.e_shentsize != sizeof(Elf64_Shdr)) refuse("has malformed sections");
      check_range(header_.e_shoff, std::uint64_t{header_.e_shnum} * sizeof(Elf64_Shdr),
                  "its section headers");
    }
  }

  /// Nothing in a file stripped of its section headers: dlsym finds out later.
  std::optional<Elf64_Shdr> find_section(Elf64_Word type) {
    for (unsigned i = 0; i < header_.e_shnum; ++i) {
      auto section = at<Elf64_Shdr>(header_.e_shoff, "its section headers", i);
      if (section.sh_type == type) return section;
    }
    return std::nullopt;
  }

  void check_symbols(const Elf64_Shdr& symbols) {
    check_range(symbols.sh_offset, symbols.sh_size, "its symbols");
    if (symbols.sh_link >= header_.e_shnum) refuse("has symbols without names");
    auto names = at<Elf64_Shdr>(header_.e_shoff, "its section headers", symbols.sh_link);
    check_range(names.sh_offset, names.sh_size, "its symbols' names");

    bool entry = false;
    for (std::uint64_t i = 0; i < symbols.sh_size / sizeof(Elf64_Sym); ++i) {
      auto symbol = at<Elf64_Sym>(symbols.sh_offset, "its symbols", i);
      std::string_view name = name_at(names, symbol.st_name);
      if (symbol.st_shndx == SHN_UNDEF) continue;
      if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
        throw Error(ErrorCode::plugin, "library " + file_,
                    "has the GNU-unique symbol " + std::string(name) +
                        ", by which two versions of a plugin in one process would share state",
                    "build it with -fvisibility=hidden -fvisibility-inlines-hidden -fno-gnu-unique");
      if (name != "graft_plugin_entry") continue;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_size < sizeof(std::uint32_t))
        throw Error(ErrorCode::plugin, "library " + file_, "its graft_plugin_entry is no graft_plugin struct",
                    "define it as in graft/plugin.h: const graft_plugin graft_plugin_entry = {…}");
      entry = true;
    }
    if (!entry)
      throw Error(ErrorCode::plugin, "library " + file_, "does not export graft_plugin_entry",
                  "it is no Graft plugin, or hides the symbol: define it with GRAFT_EXPORT");
  }

  std::string_view name_at(const Elf64_Shdr& names, std::uint64_t offset) {
    if (offset >= names.sh_size) refuse("has a symbol whose name is outside the names");
    std::string_view rest = bytes_.substr(names.sh_offset + offset, names.sh_size - offset);
    return rest.substr(0, rest.find('\0'));
  }

  void check_range(std::uint64_t offset, std::uint64_t size, const char* what) {
    if (offset > bytes_.size() || size > bytes_.size() - offset) refuse(truncated(what));
  }

  /// The `index`-th T of a table, copied: the file aligns nothing.
  template <class T>
  T at(std::uint64_t offset, const char* what, std::uint64_t index = 0) {
    if (index > bytes_.size() / sizeof(T)) refuse(truncated(what));
    check_range(offset, (index + 1) * sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + offset + index * sizeof(T), sizeof(T));
    return value;
  }

  std::string truncated(const char* what) {
    return "is truncated: " + std::string(what) + " would lie beyond its " + std::to_string(bytes_.size()) +
           " bytes";
  }

  std::string looks_like() {
    if (bytes_.starts_with("version https://git-lfs")) return ": it is a Git LFS pointer";
    if (bytes_.starts_with("<!DOCTYPE") || bytes_.starts_with("<html")) return ": it is a web page";
    if (bytes_.starts_with("#!")) return ": it is a script";
    if (bytes_.starts_with("!<arch>")) return ": it is a static library or linker archive";
    return "";
  }

  [[noreturn]] void refuse(const std::string& why) {
    throw Error(ErrorCode::corrupt, "library " + file_, why, "build or download it again");
  }

  std::string_view bytes_;
  const std::string& file_;
  Elf64_Ehdr header_{};
};

}  // namespace

void check_elf(std::string_view bytes, const std::string& file) {
  Checker(bytes, file).run();
}

}  // namespace graft
