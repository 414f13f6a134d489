#include "elf_check.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

std::string check(std::string_view bytes, const ElfRules& rules = {}) {
  try {
    check_elf(bytes, "norm.so", rules);
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.why();
  }
  return "accepted";
}

std::string good() {
  return test::read_file(test::fixture("good"));
}

/// A library with its ELF header changed.
template <class F>
std::string changed(std::string bytes, F change) {
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

template <class F>
std::string with_header(F change) {
  return check(changed(good(), change));
}

/// The fixture with its segments changed, one after the other.
template <class F>
std::string with_segments(F change) {
  std::string bytes = good();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    char* at = bytes.data() + header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment;
    std::memcpy(&segment, at, sizeof segment);
    change(segment);
    std::memcpy(at, &segment, sizeof segment);
  }
  return check(bytes);
}

/// The fixture with the first dynamic entry of tag `from` turned into another.
std::string with_dynamic(Elf64_Sxword from, Elf64_Sxword tag, Elf64_Xword value) {
  std::string bytes = good();
  bool done = false;
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_DYNAMIC) continue;
    for (std::size_t at = 0; !done && at < segment.p_filesz; at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      std::memcpy(&entry, bytes.data() + segment.p_offset + at, sizeof entry);
      if (entry.d_tag != from) continue;
      entry.d_tag = tag;
      entry.d_un.d_val = value;
      std::memcpy(bytes.data() + segment.p_offset + at, &entry, sizeof entry);
      done = true;
    }
  }
  EXPECT_TRUE(done) << "the fixture has no dynamic entry " << from;
  return check(bytes);
}

std::string check_fixture(const char* name, const ElfRules& rules = {}) {
  return check(test::read_file(test::fixture(name)), rules);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

TEST(ElfCheck, AcceptsAPlugin) {
  EXPECT_EQ(check(good()), "accepted");
}

TEST(ElfCheck, SaysWhatATextFileLooksLike) {
  EXPECT_EQ(check("int main() {}"), "corrupt: is no ELF file");
  EXPECT_NE(check("version https://git-lfs.github.com/spec/v1").find("Git LFS pointer"), std::string::npos);
  EXPECT_NE(check("<!DOCTYPE html>").find("web page"), std::string::npos);
  EXPECT_NE(check("#!/bin/sh").find("script"), std::string::npos);
  EXPECT_NE(check("!<arch>\n").find("static library"), std::string::npos);
}

TEST(ElfCheck, RefusesEveryTruncation) {
  std::string bytes = good();
  for (std::size_t size = 0; size < bytes.size(); size += 97)
    ASSERT_NE(check(std::string_view(bytes).substr(0, size)), "accepted") << size;
  EXPECT_NE(check(std::string_view(bytes).substr(0, bytes.size() - 1)).find("truncated"), std::string::npos);
}

TEST(ElfCheck, NamesAnotherCpu) {
  Elf64_Half other = EM_RISCV;
  EXPECT_EQ(with_header([&](auto& header) { header.e_machine = other; }).substr(0, 31),
            "unsupported: is for RISC-V; thi");
  EXPECT_EQ(with_header([](auto& header) { header.e_ident[EI_DATA] = ELFDATA2MSB; }).substr(0, 22),
            "corrupt: is big-endian");
  EXPECT_EQ(with_header([](auto& header) { header.e_ident[EI_CLASS] = ELFCLASS32; }),
            "corrupt: is no 64-bit ELF file");
}

TEST(ElfCheck, RefusesAProgram) {
  EXPECT_EQ(with_header([](auto& header) { header.e_type = ET_EXEC; }),
            "corrupt: is no shared object (link it with -shared)");
}

TEST(ElfCheck, RefusesOffsetsBeyondTheFile) {
  EXPECT_NE(with_header([](auto& header) { header.e_phoff = ~0ull; }).find("truncated"), std::string::npos);
  EXPECT_NE(with_header([](auto& header) { header.e_shoff = ~0ull - 3; }).find("truncated"),
            std::string::npos);
  EXPECT_NE(with_header([](auto& header) { header.e_phnum = 0; }).find("no segments"), std::string::npos);
}

TEST(ElfCheck, WantsGraftsSymbolToBeAStruct) {
  EXPECT_EQ(check(test::read_file(test::fixture("missing_symbol"))),
            "plugin: does not export graft_plugin_entry");
  EXPECT_EQ(check(test::read_file(test::fixture("function_symbol"))),
            "plugin: its graft_plugin_entry is no graft_plugin struct");
}

#ifndef __clang__
TEST(ElfCheck, RefusesGnuUniqueSymbols) {
  std::string refusal = check(test::read_file(test::fixture("gnu_unique")));
  EXPECT_NE(refusal.find("GNU-unique symbol"), std::string::npos) << refusal;
}

TEST(ElfCheck, WarnsOfGnuUniqueSymbolsInOtherFamilies) {
  ElfReport report =
      check_elf(test::read_file(test::fixture("gnu_unique")), "torch.so", {.family = ElfFamily::other});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_TRUE(has(report.warnings[0], "GNU-unique symbol")) << report.warnings[0];
}

TEST(ElfCheck, BelievesTheSegmentsWhereTheSectionsSayNothing) {
  auto strip = [](Elf64_Ehdr& header) { header.e_shoff = header.e_shnum = header.e_shstrndx = 0; };
  EXPECT_EQ(check(changed(good(), strip)), "accepted");
  EXPECT_TRUE(has(check(changed(test::read_file(test::fixture("gnu_unique")), strip)), "GNU-unique"));
  EXPECT_TRUE(has(check(changed(test::read_file(test::fixture("openmp")), strip)), "libgomp.so.1"));
}
#endif

TEST(ElfCheck, AcceptsEitherHashTable) {
  EXPECT_EQ(check_fixture("sysv_hash"), "accepted");
}

TEST(ElfCheck, RefusesLibrariesThatAreNotAllowed) {
  EXPECT_EQ(check_fixture("openmp"),
            "plugin: needs libgomp.so.1, which is not among the libraries that a cpu plugin may need");
  EXPECT_EQ(check_fixture("openmp", {.family = ElfFamily::other}), "accepted");
  EXPECT_TRUE(has(check_fixture("missing_library", {.family = ElfFamily::other}), "libfixture_absent.so"));
  EXPECT_EQ(check_fixture("missing_library", {.extra_libraries = {"libfixture_absent.so"}}), "accepted");
}

TEST(ElfCheck, AllowsADevicesLibrariesToItsPluginsAlone) {
  EXPECT_TRUE(is_allowed_library("libcudart.so.13", ElfFamily::graft, "cuda"));
  EXPECT_TRUE(is_allowed_library("libcudart.so.13", ElfFamily::graft, "cuda:1"));
  EXPECT_FALSE(is_allowed_library("libcudart.so.13", ElfFamily::graft, "cpu"));
  EXPECT_FALSE(is_allowed_library("libcudart.so./../../tmp/evil.so", ElfFamily::graft, "cuda"));
  EXPECT_FALSE(is_allowed_library("libtorch.so", ElfFamily::graft, "cuda"));
  EXPECT_TRUE(is_allowed_library("libtorch.so", ElfFamily::other, "cpu"));
  EXPECT_FALSE(is_allowed_library("/lib/libc.so.6", ElfFamily::other, "cpu"));
}

TEST(ElfCheck, RefusesRunPathsOfEitherKind) {
  EXPECT_TRUE(has(check_fixture("run_path"), "plugin: has the run path $ORIGIN"));
  EXPECT_TRUE(has(check_fixture("old_run_path"), "plugin: has the run path /opt/lib"));
  EXPECT_TRUE(has(check_fixture("run_path", {.family = ElfFamily::other}), "run path"));
}

TEST(ElfCheck, RefusesTextRelocations) {
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_TEXTREL, 0), "plugin: has text relocations"));
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_FLAGS, DF_TEXTREL), "plugin: has text relocations"));
}

TEST(ElfCheck, RefusesAuditorsFiltersAndGlobalSymbols) {
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_AUDIT, 1), "DT_AUDIT"));
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_DEPAUDIT, 1), "DT_AUDIT"));
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_FILTER, 1), "DT_FILTER"));
  EXPECT_TRUE(has(check_fixture("filter"), "DT_FILTER"));
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_FLAGS_1, DF_1_GLOBAL), "DF_1_GLOBAL"));
  EXPECT_TRUE(has(with_dynamic(DT_RELAENT, DT_FLAGS_1, DF_1_PIE), "no shared object"));
}

TEST(ElfCheck, RefusesAnExecutableStackAndWritableCode) {
  EXPECT_EQ(check_fixture("executable_stack"), "plugin: asks for an executable stack");
  EXPECT_TRUE(has(with_segments([](Elf64_Phdr& segment) {
                    if (segment.p_type == PT_GNU_STACK) segment.p_type = PT_NULL;
                  }),
                  "does not say that its stack needs no execution"));
  EXPECT_TRUE(has(with_segments([](Elf64_Phdr& segment) {
                    if (segment.p_type == PT_LOAD) segment.p_flags |= PF_W | PF_X;
                  }),
                  "memory that can be written and executed"));
}

TEST(ElfCheck, RefusesSymbolsOfANewerGlibc) {
  EXPECT_TRUE(has(check(good(), {.glibc = "2.1"}), "unsupported: needs glibc 2."));
  EXPECT_TRUE(has(check(good(), {.glibc = "2.1"}), "; this host has 2.1"));
  std::string bytes = good();
  std::size_t at = bytes.find(std::string("GLIBC_2.2.5", 12));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 11, "GLIBC_2.101");
  EXPECT_TRUE(has(check(bytes), "unsupported: needs glibc 2.101; this host has 2."));
}

TEST(ElfCheck, RefusesAnotherOperatingSystem) {
  EXPECT_TRUE(has(with_header([](auto& header) { header.e_ident[EI_OSABI] = ELFOSABI_FREEBSD; }),
                  "unsupported: is for another operating system"));
  // The build id made into an ABI tag of Solaris: both are notes of "GNU".
  std::string bytes = good();
  std::size_t at = bytes.find(std::string("\3\0\0\0GNU\0", 8));
  ASSERT_NE(at, std::string::npos);
  Elf64_Word tag = NT_GNU_ABI_TAG, system = ELF_NOTE_OS_SOLARIS2;
  std::memcpy(bytes.data() + at, &tag, sizeof tag);
  std::memcpy(bytes.data() + at + 8, &system, sizeof system);
  EXPECT_TRUE(has(check(bytes), "its ABI note does not say Linux"));
}

TEST(ElfCheck, RefusesSegmentsThatTheLinkerWouldTrustBlindly) {
  auto loads = [](auto change) {
    return with_segments([change](Elf64_Phdr& segment) {
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W)) change(segment);
    });
  };
  EXPECT_TRUE(has(loads([](auto& segment) { segment.p_vaddr = segment.p_offset = 0; }), "corrupt: "));
  EXPECT_TRUE(
      has(loads([](auto& segment) { segment.p_memsz = segment.p_filesz - 1; }), "larger in the file"));
  EXPECT_TRUE(has(loads([](auto& segment) { segment.p_memsz = 1ull << 40; }), "16 GiB"));
  EXPECT_TRUE(has(loads([](auto& segment) { segment.p_align = 3; }), "aligned"));
  EXPECT_TRUE(has(with_segments([](Elf64_Phdr& segment) {
                    if (segment.p_type == PT_DYNAMIC) segment.p_vaddr += 1ull << 33;
                  }),
                  "outside what is loaded"));
  EXPECT_TRUE(has(with_dynamic(DT_STRTAB, DT_STRTAB, 1ull << 62), "outside what is loaded"));
  EXPECT_TRUE(has(with_dynamic(DT_STRSZ, DT_STRSZ, 1), "outside the names"));
  EXPECT_TRUE(has(with_dynamic(DT_SYMTAB, DT_SYMTAB, ~0ull - 7), "outside what is loaded"));
}

}  // namespace
}  // namespace graft
