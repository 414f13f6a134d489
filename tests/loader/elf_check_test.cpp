#include "elf_check.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

std::string check(std::string_view bytes) {
  try {
    check_elf(bytes, "norm.so");
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.why();
  }
  return "accepted";
}

std::string good() {
  return test::read_file(test::fixture("good"));
}

/// The fixture with its ELF header changed.
template <class F>
std::string with_header(F change) {
  std::string bytes = good();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return check(bytes);
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
#endif

}  // namespace
}  // namespace graft
