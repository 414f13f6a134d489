// ElfFile: an ELF file's tables as the dynamic linker will see them, read within bounds.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Reads bytes that nobody has checked. It follows the segments (PT_LOAD, PT_DYNAMIC) as the linker does; the
/// section headers, which the linker never looks at, are only required to lie within the file. All functions
/// throw Error(corrupt) for what lies outside the file, naming it. `bytes` and `file` outlive it. Not shared
/// between threads.
class ElfFile {
 public:
  /// Reads header and segments. Throws Error: corrupt (no ELF, truncated, a program, segments that overlap or
  /// do not fit), unsupported (another CPU or operating system).
  ElfFile(std::string_view bytes, const std::string& file);

  const std::vector<Elf64_Phdr>& segments() const { return segments_; }
  const std::vector<Elf64_Dyn>& dynamic() const { return dynamic_; }  // without the DT_NULL at its end

  /// The dynamic entry with that tag, the last one if there are several, as the linker takes it; null if
  /// none.
  const Elf64_Dyn* find(Elf64_Sxword tag) const;

  /// A name in DT_STRTAB.
  std::string_view name_at(std::uint64_t offset, const char* what) const;

  /// The dynamic symbols that can be looked up or relocated against: as many as the hash tables know.
  std::vector<Elf64_Sym> symbols() const;

  /// The `index`-th T of a table in memory at `address`, copied: the file aligns nothing.
  template <class T>
  T at_address(std::uint64_t address, const char* what, std::uint64_t index = 0) const {
    if (index > bytes_.size() / sizeof(T)) refuse_truncated(what);
    std::string_view found = memory(address, (index + 1) * sizeof(T), what);
    T value;
    std::memcpy(&value, found.data() + index * sizeof(T), sizeof(T));
    return value;
  }

  /// The file's bytes that will lie at an address. Memory beyond a segment's bytes in the file is refused:
  /// the linker's tables are never there.
  std::string_view memory(std::uint64_t address, std::uint64_t size, const char* what) const;

  /// Bytes of the file itself.
  std::string_view range(std::uint64_t offset, std::uint64_t size, const char* what) const;

  [[noreturn]] void refuse(const std::string& why) const;  // Error(corrupt)

 private:
  void check_header();
  void read_segments();
  void check_loads() const;
  void read_dynamic();
  std::uint64_t symbol_count() const;
  std::uint64_t gnu_hash_count(std::uint64_t address) const;
  [[noreturn]] void refuse_truncated(const char* what) const;
  std::string looks_like() const;

  /// The `index`-th T of a table at an offset of the file.
  template <class T>
  T at_offset(std::uint64_t offset, const char* what, std::uint64_t index = 0) const {
    if (index > bytes_.size() / sizeof(T)) refuse_truncated(what);
    T value;
    std::memcpy(&value, range(offset, (index + 1) * sizeof(T), what).data() + index * sizeof(T), sizeof(T));
    return value;
  }

  std::string_view bytes_;
  const std::string& file_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Dyn> dynamic_;
};

}  // namespace graft
