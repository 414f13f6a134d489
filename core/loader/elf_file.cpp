#include "elf_file.h"

#include <algorithm>

#include "graft/error.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxImage = std::uint64_t{16} << 30;  // bytes of address space
constexpr std::uint64_t kPage = 4096;
constexpr unsigned kMaxSegments = 256;  // each look-up walks them

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

bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

}  // namespace

ElfFile::ElfFile(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {
  check_header();
  read_segments();
  check_loads();
  read_dynamic();
}

void ElfFile::check_header() {
  if (!bytes_.starts_with(std::string_view(ELFMAG, SELFMAG))) refuse("is no ELF file" + looks_like());
  header_ = at_offset<Elf64_Ehdr>(0, "its header");
  if (header_.e_ident[EI_CLASS] != ELFCLASS64) refuse("is no 64-bit ELF file");
  if (header_.e_ident[EI_DATA] != ELFDATA2LSB)
    refuse("is big-endian, for " + machine_name(__builtin_bswap16(header_.e_machine)));
  if (header_.e_machine != kMachine)
    throw Error(ErrorCode::unsupported, "library " + file_,
                "is for " + machine_name(header_.e_machine) + "; this CPU is " + machine_name(kMachine),
                "build it for this CPU");
  if (header_.e_ident[EI_VERSION] != EV_CURRENT || header_.e_version != EV_CURRENT)
    refuse("has an ELF version that is not 1");
  if (header_.e_ident[EI_OSABI] != ELFOSABI_SYSV && header_.e_ident[EI_OSABI] != ELFOSABI_GNU)
    throw Error(
        ErrorCode::unsupported, "library " + file_,
        "is for another operating system (its OS/ABI is " + std::to_string(header_.e_ident[EI_OSABI]) + ")",
        "build it for Linux");
  if (header_.e_type != ET_DYN) refuse("is no shared object (link it with -shared)");
}

void ElfFile::read_segments() {
  if (header_.e_phnum == 0 || header_.e_phentsize != sizeof(Elf64_Phdr)) refuse("has no segments");
  if (header_.e_phnum > kMaxSegments) refuse("has more than 256 segments");
  for (unsigned i = 0; i < header_.e_phnum; ++i)
    segments_.push_back(at_offset<Elf64_Phdr>(header_.e_phoff, "its segments", i));
  if (header_.e_shnum == 0) return;
  // Nothing reads them, but a file cut short lacks them first.
  if (header_.e_shentsize != sizeof(Elf64_Shdr)) refuse("has malformed sections");
  range(header_.e_shoff, std::uint64_t{header_.e_shnum} * sizeof(Elf64_Shdr), "its section headers");
}

/// The linker takes for granted what is checked here, and maps accordingly.
void ElfFile::check_loads() const {
  const Elf64_Phdr* before = nullptr;
  std::uint64_t first = 0;
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD) continue;
    range(segment.p_offset, segment.p_filesz, "a segment");
    std::uint64_t end = segment.p_vaddr + segment.p_memsz;
    if (segment.p_memsz < segment.p_filesz || end < segment.p_vaddr)
      refuse("has a segment that is larger in the file than in memory");
    if (!is_power_of_two(segment.p_align) || segment.p_align < kPage ||
        (segment.p_vaddr - segment.p_offset) % segment.p_align != 0)
      refuse("has a segment that is not aligned to pages");
    if (before && segment.p_vaddr < before->p_vaddr + before->p_memsz)
      refuse("has segments that overlap or are out of order");
    if (!before) first = segment.p_vaddr;
    if (end - first > kMaxImage || first >= kMaxImage) refuse("asks for more than 16 GiB of address space");
    before = &segment;
  }
  if (!before) refuse("has nothing to load");
}

void ElfFile::read_dynamic() {
  const Elf64_Phdr* found = nullptr;
  for (const Elf64_Phdr& segment : segments_)
    if (segment.p_type == PT_DYNAMIC) found = &segment;  // of several the linker takes the last
  if (!found) refuse("has no dynamic section");
  if (found->p_vaddr % alignof(Elf64_Dyn) != 0) refuse("has a misaligned dynamic section");
  // The linker reads on to DT_NULL, whatever the segment's size says.
  for (std::uint64_t i = 0;; ++i) {
    auto entry = at_address<Elf64_Dyn>(found->p_vaddr, "its dynamic section", i);
    if (entry.d_tag == DT_NULL) return;
    dynamic_.push_back(entry);
  }
}

const Elf64_Dyn* ElfFile::find(Elf64_Sxword tag) const {
  auto it = std::find_if(dynamic_.rbegin(), dynamic_.rend(),
                         [tag](const Elf64_Dyn& entry) { return entry.d_tag == tag; });
  return it == dynamic_.rend() ? nullptr : &*it;
}

std::string_view ElfFile::name_at(std::uint64_t offset, const char* what) const {
  const Elf64_Dyn *names = find(DT_STRTAB), *size = find(DT_STRSZ);
  if (!names || !size) refuse("has no table of names");
  if (offset >= size->d_un.d_val) refuse("has " + std::string(what) + " whose name is outside the names");
  std::string_view all = memory(names->d_un.d_ptr, size->d_un.d_val, "its names");
  std::size_t end = all.find('\0', offset);
  if (end == all.npos) refuse("has " + std::string(what) + " whose name does not end");
  return all.substr(offset, end - offset);
}

std::vector<Elf64_Sym> ElfFile::symbols() const {
  const Elf64_Dyn *table = find(DT_SYMTAB), *size = find(DT_SYMENT);
  if (!table) refuse("has no symbols");
  if (size && size->d_un.d_val != sizeof(Elf64_Sym)) refuse("has malformed symbols");
  std::uint64_t count = symbol_count();
  if (count > bytes_.size() / sizeof(Elf64_Sym)) refuse_truncated("its symbols");
  std::vector<Elf64_Sym> symbols(count);
  if (count)
    std::memcpy(symbols.data(), memory(table->d_un.d_ptr, count * sizeof(Elf64_Sym), "its symbols").data(),
                count * sizeof(Elf64_Sym));
  return symbols;
}

std::uint64_t ElfFile::symbol_count() const {
  // glibc prefers the GNU table where there are both.
  if (const Elf64_Dyn* gnu = find(DT_GNU_HASH)) return gnu_hash_count(gnu->d_un.d_ptr);
  const Elf64_Dyn* sysv = find(DT_HASH);
  if (!sysv) refuse("has no hash table of its symbols");
  auto buckets = at_address<std::uint32_t>(sysv->d_un.d_ptr, "its hash table");
  auto chains = at_address<std::uint32_t>(sysv->d_un.d_ptr, "its hash table", 1);
  if (buckets == 0) refuse("has a malformed hash table");
  memory(sysv->d_un.d_ptr, (2 + std::uint64_t{buckets} + chains) * sizeof(std::uint32_t), "its hash table");
  for (std::uint64_t i = 2; i < 2 + std::uint64_t{buckets} + chains; ++i)
    if (at_address<std::uint32_t>(sysv->d_un.d_ptr, "its hash table", i) >= chains)
      refuse("has a malformed hash table");
  return chains;
}

/// {buckets, first symbol, bloom words, shift}, the bloom filter, the buckets, then a hash for each symbol,
/// whose lowest bit ends a chain.
std::uint64_t ElfFile::gnu_hash_count(std::uint64_t address) const {
  constexpr const char* kWhat = "its hash table";
  struct Head {
    std::uint32_t buckets, first, bloom, shift;
  };
  auto head = at_address<Head>(address, kWhat);
  if (head.buckets == 0 || !is_power_of_two(head.bloom)) refuse("has a malformed hash table");
  std::uint64_t buckets = address + sizeof(Head) + std::uint64_t{head.bloom} * sizeof(std::uint64_t);
  std::uint64_t hashes = buckets + std::uint64_t{head.buckets} * sizeof(std::uint32_t);
  memory(address, hashes - address, kWhat);

  std::uint64_t last = 0;
  for (std::uint32_t i = 0; i < head.buckets; ++i) {
    auto symbol = at_address<std::uint32_t>(buckets, kWhat, i);
    if (symbol == 0) continue;
    if (symbol < head.first) refuse("has a malformed hash table");
    last = std::max<std::uint64_t>(last, symbol);
  }
  if (last == 0) return head.first;
  while ((at_address<std::uint32_t>(hashes, kWhat, last - head.first) & 1) == 0) ++last;
  return last + 1;
}

std::string_view ElfFile::memory(std::uint64_t address, std::uint64_t size, const char* what) const {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    std::uint64_t into = address - segment.p_vaddr;
    if (into < segment.p_filesz && size <= segment.p_filesz - into)
      return range(segment.p_offset + into, size, what);
  }
  refuse("has " + std::string(what) + " outside what is loaded");
}

std::string_view ElfFile::range(std::uint64_t offset, std::uint64_t size, const char* what) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) refuse_truncated(what);
  return bytes_.substr(offset, size);
}

void ElfFile::refuse_truncated(const char* what) const {
  refuse("is truncated: " + std::string(what) + " would lie beyond its " + std::to_string(bytes_.size()) +
         " bytes");
}

std::string ElfFile::looks_like() const {
  if (bytes_.starts_with("version https://git-lfs")) return ": it is a Git LFS pointer";
  if (bytes_.starts_with("<!DOCTYPE") || bytes_.starts_with("<html")) return ": it is a web page";
  if (bytes_.starts_with("#!")) return ": it is a script";
  if (bytes_.starts_with("!<arch>")) return ": it is a static library or linker archive";
  return "";
}

void ElfFile::refuse(const std::string& why) const {
  throw Error(ErrorCode::corrupt, "library " + file_, why, "build or download it again");
}

}  // namespace graft
