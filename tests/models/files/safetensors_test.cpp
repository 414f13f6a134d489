#include "graft/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "support.h"

namespace graft {
namespace {

using testing::TemporaryFolder;
using testing::throws_error;

std::string with_header(const std::string& header, const std::string& data = "") {
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  return length + header + data;
}

class Safetensors : public ::testing::Test {
 protected:
  std::shared_ptr<const SafetensorsFile> open(const std::string& bytes) {
    testing::write_file(path, bytes);
    return SafetensorsFile::open(path);
  }
  ::testing::AssertionResult refuses(const std::string& bytes, const std::string& part,
                                     ErrorCode code = ErrorCode::corrupt) {
    return throws_error(code, part, [&] { open(bytes); });
  }
  ::testing::AssertionResult refuses_header(const std::string& header, const std::string& part,
                                            const std::string& data = "12345678") {
    return refuses(with_header(header, data), part);
  }

  TemporaryFolder folder;
  std::filesystem::path path = folder / "model.safetensors";
};

const std::string two_tensors =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},)"
    R"("a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})";

TEST_F(Safetensors, GivesNamesInTheOrderOfTheDataWithShapesBytesAndMetadata) {
  const auto file = open(with_header(two_tensors, "abcdefgh"));
  EXPECT_EQ(file->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file->metadata().at("format"), "pt");
  const TensorView& a = file->tensor("a");
  EXPECT_EQ(name(a.dtype), "BF16");
  EXPECT_EQ(a.shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a.data), a.bytes), "abcd");
  const TensorView& b = file->tensor("b");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b.data), b.bytes), "efgh");
}

TEST_F(Safetensors, HoldsScalarsAndEmptyTensors) {
  const auto file = open(with_header(R"({"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                                     R"("e":{"dtype":"F32","shape":[3,0],"data_offsets":[8,8]}})",
                                     "12345678"));
  EXPECT_EQ(file->tensor("s").bytes, 8u);
  EXPECT_TRUE(file->tensor("s").shape.empty());
  EXPECT_EQ(file->tensor("e").bytes, 0u);
  EXPECT_EQ(file->tensor("e").data, nullptr);
}

TEST_F(Safetensors, AFileWithoutTensorsIsAFile) {
  EXPECT_TRUE(open(with_header("{}"))->names().empty());
}

TEST_F(Safetensors, KnowsEveryDtypeOfWholeBytes) {
  const std::vector<std::pair<std::string, std::size_t>> sizes{
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
      {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"C64", 8}};
  for (const auto& [dtype, size] : sizes) {
    const auto file = open(with_header(
        R"({"t":{"dtype":")" + dtype + R"(","shape":[1],"data_offsets":[0,)" + std::to_string(size) + "]}}",
        std::string(size, 'x')));
    EXPECT_EQ(name(file->tensor("t").dtype), dtype);
    EXPECT_EQ(item_size(file->tensor("t").dtype), size);
  }
}

TEST_F(Safetensors, SaysWhetherTheDataIsAligned) {
  const std::string entry = R"("t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string padded = "{" + entry;
  padded.append((8 - padded.size() % 8) % 8, ' ');
  EXPECT_TRUE(open(with_header(padded, "1234"))->tensor("t").aligned());
  EXPECT_FALSE(open(with_header(padded + ' ', "1234"))->tensor("t").aligned());
}

TEST_F(Safetensors, ATensorThatIsNotThereIsNamedWithSomeThatAre) {
  const auto file = open(with_header(two_tensors, "abcdefgh"));
  EXPECT_FALSE(file->contains("c"));
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "\"c\"", [&] { file->tensor("c"); }));
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "a, b", [&] { file->tensor("c"); }));
}

TEST_F(Safetensors, AFileCutOffAtAnyByteIsRefused) {
  const std::string whole = with_header(two_tensors, "abcdefgh");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, path.string(), [&] { open(whole.substr(0, size)); }))
        << size << " bytes";
  }
}

TEST_F(Safetensors, WithAnyByteOfTheHeaderChangedItIsReadOrRefusedButNothingElse) {
  const std::string whole = with_header(two_tensors, "abcdefgh");
  for (std::size_t at = 0; at < 8 + two_tensors.size(); ++at) {
    for (const char byte : {'\0', '\xff', '"', '}', '9', ' '}) {
      std::string changed = whole;
      changed[at] = byte;
      try {
        for (const auto file = open(changed); const std::string& name : file->names()) {
          const TensorView& view = file->tensor(name);
          EXPECT_LE(view.bytes, 8u);
        }
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported)
            << error.what();
      }
    }
  }
}

TEST_F(Safetensors, ALengthBeyondTheFileOrTheFormatsLimitIsRefused) {
  std::string bytes = with_header("{}");
  bytes[1] = 1;
  EXPECT_TRUE(refuses(bytes, "beyond the end"));
  EXPECT_TRUE(refuses(std::string(7, '\xff') + '\x7f' + "{}", "more than the format allows"));
  EXPECT_TRUE(refuses(std::string(8, '\xff') + "{}", "more than the format allows"));
}

TEST_F(Safetensors, AHeaderThatIsNotAJsonObjectIsRefused) {
  EXPECT_TRUE(refuses_header("", "does not begin with {"));
  EXPECT_TRUE(refuses_header(" {}", "does not begin with {"));
  EXPECT_TRUE(refuses_header("[]", "does not begin with {"));
  EXPECT_TRUE(refuses_header("{", "not valid JSON"));
  EXPECT_TRUE(refuses_header("{}x", "not valid JSON"));
  EXPECT_TRUE(refuses_header("{\"\xff\":1}", "not valid JSON"));
}

TEST_F(Safetensors, DeepJsonIsRefusedWithoutExhaustingTheStack) {
  const std::string deep = R"({"t":)" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  EXPECT_TRUE(refuses_header(deep, "nested deeper"));
}

TEST_F(Safetensors, DuplicateNamesAndFieldsAreRefused) {
  const std::string entry = R"({"dtype":"U8","shape":[8],"data_offsets":[0,8]})";
  EXPECT_TRUE(refuses_header(R"({"t":)" + entry + R"(,"t":)" + entry + "}", "duplicate key \"t\""));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                             "duplicate key"));
}

TEST_F(Safetensors, MissingOrMistypedFieldsAreNamed) {
  EXPECT_TRUE(refuses_header(R"({"t":5})", "tensor \"t\""));
  EXPECT_TRUE(refuses_header(R"({"t":{"shape":[8],"data_offsets":[0,8]}})", "\"dtype\" is missing"));
  EXPECT_TRUE(
      refuses_header(R"({"t":{"dtype":3,"shape":[8],"data_offsets":[0,8]}})", "\"dtype\" is not a string"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","data_offsets":[0,8]}})", "\"shape\" is missing"));
  EXPECT_TRUE(
      refuses_header(R"({"t":{"dtype":"U8","shape":8,"data_offsets":[0,8]}})", "\"shape\" is not a list"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}})", "dimension"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[8.0],"data_offsets":[0,8]}})", "dimension"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]}})",
                             "dimension"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[8]}})", "\"data_offsets\" is missing"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[8]}})", "[begin, end]"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[-1,7]}})", "[begin, end]"));
  EXPECT_TRUE(refuses_header(R"({"__metadata__":[]})", "__metadata__"));
  EXPECT_TRUE(refuses_header(R"({"__metadata__":{"n":5}})", "\"n\""));
}

TEST_F(Safetensors, AnUnknownDtypeIsUnsupportedAndNamed) {
  const std::string bytes =
      with_header(R"({"t":{"dtype":"F4","shape":[16],"data_offsets":[0,8]}})", "12345678");
  EXPECT_TRUE(refuses(bytes, "\"F4\"", ErrorCode::unsupported));
}

TEST_F(Safetensors, SizesThatDoNotFollowFromShapeAndDtypeAreRefused) {
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "need 12"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})",
                             "overflows"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}})",
                             "overflows"));
}

TEST_F(Safetensors, OffsetsOutsideTheFileOverlapsHolesAndLeftoversAreRefused) {
  const auto entry = [](const char* name, int begin, int end) {
    return "\"" + std::string(name) + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
           R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  EXPECT_TRUE(refuses_header("{" + entry("t", 0, 9) + "}", "outside the file"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[5,3]}})", "outside the file"));
  EXPECT_TRUE(refuses_header(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[18446744073709551608,0]}})",
                             "outside"));
  EXPECT_TRUE(refuses_header("{" + entry("a", 0, 5) + "," + entry("b", 4, 8) + "}", "overlaps"));
  EXPECT_TRUE(refuses_header("{" + entry("a", 0, 8) + "," + entry("b", 0, 8) + "}", "overlaps"));
  EXPECT_TRUE(refuses_header("{" + entry("a", 0, 4) + "," + entry("b", 5, 8) + "}", "hole"));
  EXPECT_TRUE(refuses_header("{" + entry("a", 1, 8) + "}", "hole"));
  EXPECT_TRUE(refuses_header("{" + entry("a", 0, 7) + "}", "belong to no tensor"));
  EXPECT_TRUE(refuses_header("{}", "belong to no tensor"));
}

TEST_F(Safetensors, WhatIsNotAReadableFileIsAnErrorThatNamesIt) {
  EXPECT_TRUE(
      throws_error(ErrorCode::not_found, "absent.st", [&] { SafetensorsFile::open(folder / "absent.st"); }));
  EXPECT_TRUE(
      throws_error(ErrorCode::io, folder.path().string(), [&] { SafetensorsFile::open(folder.path()); }));
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "x.st", [&] {
    testing::write_file(path, "x");
    SafetensorsFile::open(path / "x.st");
  }));
}

class SafetensorsPages : public Safetensors {
 protected:
  // A tensor of 16 whole pages between two that share its first and last page.
  SafetensorsPages() {
    data.assign(16 * page + 2000, 'm');
    const auto size = std::to_string(data.size());
    testing::write_file(
        path, with_header(R"({"m":{"dtype":"U8","shape":[)" + size + R"(],"data_offsets":[0,)" + size + "]}}",
                          data));
  }
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::string data;
};

TEST_F(SafetensorsPages, ReadingAheadIsAdviceOnTensorsThatAreThere) {
  const auto file = SafetensorsFile::open(path);
  file->will_need();
  file->will_need("m");
  const TensorView& view = file->tensor("m");
  EXPECT_EQ(std::memcmp(view.data, data.data(), data.size()), 0);
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "\"n\"", [&] { file->will_need("n"); }));
}

TEST_F(SafetensorsPages, ReadingGivesWhatTheFileHoldsWhateverWasWrittenToItsPages) {
  const auto file = SafetensorsFile::open(path, SafetensorsFile::Access::copy_on_write);
  const TensorView& view = file->tensor("m");
  const_cast<std::byte*>(view.data)[page + 1] = std::byte{'x'};
  std::string bytes(data.size() - page, '\0');
  file->read(view, page, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  EXPECT_EQ(bytes, data.substr(page));
}

TEST_F(SafetensorsPages, ReadingAFileThatWasCutOffMeanwhileIsAnError) {
  const auto file = SafetensorsFile::open(path);
  std::filesystem::resize_file(path, page);
  std::string bytes(data.size(), '\0');
  EXPECT_TRUE(throws_error(ErrorCode::io, "shorter", [&] {
    file->read(file->tensor("m"), 0, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  }));
}

TEST_F(SafetensorsPages, WritesToCopyOnWritePagesStayInTheProcess) {
  const auto file = SafetensorsFile::open(path, SafetensorsFile::Access::copy_on_write);
  const_cast<std::byte*>(file->tensor("m").data)[5] = std::byte{'x'};
  EXPECT_EQ(file->tensor("m").data[5], std::byte{'x'});
  EXPECT_EQ(SafetensorsFile::open(path)->tensor("m").data[5], std::byte{'m'});
}

using SafetensorsDeathTest = SafetensorsPages;
TEST_F(SafetensorsDeathTest, WritingToReadOnlyPagesEndsTheProcess) {
  const auto file = SafetensorsFile::open(path);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(file->tensor("m").data) = std::byte{1}, "");
}

TEST_F(SafetensorsPages, ViewsOutliveTheFilesNameOnDisk) {
  const auto file = SafetensorsFile::open(path);
  std::filesystem::remove(path);
  EXPECT_EQ(std::memcmp(file->tensor("m").data, data.data(), data.size()), 0);
}

}  // namespace
}  // namespace graft
