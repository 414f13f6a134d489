#include "weights.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <fstream>

#include "fixtures.h"
#include "graft/error.h"

namespace graft {
namespace {

/// A checkpoint of one float32 tensor "w", `values`, whose data begins `shift` bytes further than aligned.
void write_checkpoint(const std::filesystem::path& folder, const at::Tensor& values, size_t shift = 0) {
  std::string header = R"({"w":{"dtype":"F32","shape":[)" + std::to_string(values.size(0)) + "," + std::to_string(values.size(1)) +
                       R"(],"data_offsets":[0,)" + std::to_string(values.nbytes()) + "]}}";
  header.resize((header.size() + 7) / 8 * 8 + shift, ' ');
  std::ofstream file(folder / kSingleFile, std::ios::binary);
  const uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), sizeof length) << header;
  file.write(static_cast<const char*>(values.const_data_ptr()), std::streamsize(values.nbytes()));
}

double file_pages_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key; status.ignore(256, '\n')) {
    double kib;
    if (key == "RssFile:" && status >> kib) return kib / 1024;
  }
  throw std::runtime_error("/proc/self/status has no RssFile");
}

TEST(Weights, AreRoundedAsTorchRoundsThem) {
  const test::TempFolder folder;
  const at::Tensor values = at::randn({301, 1009});  // pieces of threads end in the midst of rows
  write_checkpoint(folder.path(), values);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    Weights weights(open_checkpoint(folder.path(), SafetensorsFile::Access::copy_on_write), dtype);
    const at::Tensor weight = weights.take("w", values.sizes());
    weights.finish();
    EXPECT_TRUE(at::equal(weight, values.to(dtype))) << dtype;
  }
}

TEST(Weights, MisalignedInTheFileAreWholeAndAligned) {
  const test::TempFolder folder;
  const at::Tensor values = at::randn({301, 1009});
  write_checkpoint(folder.path(), values, 3);
  Weights weights(open_checkpoint(folder.path(), SafetensorsFile::Access::copy_on_write), at::kFloat);
  const at::Tensor weight = weights.take("w", values.sizes());
  weights.finish();
  EXPECT_TRUE(at::equal(weight, values));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weight.const_data_ptr()) % 4, 0u);
}

TEST(Weights, InAnotherDtypeLeaveNothingOfTheFileInMemory) {
  const test::TempFolder folder;
  const at::Tensor values = at::randn({1 << 12, 1 << 12});  // 64 MiB
  write_checkpoint(folder.path(), values);
  Weights weights(open_checkpoint(folder.path(), SafetensorsFile::Access::copy_on_write), at::kBFloat16);
  const at::Tensor first = weights.take("w", {1 << 12, 1 << 12});
  weights.finish();  // runs code for the first time, whose pages count too
  const double before = file_pages_mib();
  const at::Tensor weight = weights.take("w", {1 << 12, 1 << 12});
  weights.finish();
  EXPECT_LT(file_pages_mib() - before, 1);
  EXPECT_TRUE(at::equal(weight, values.to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(first, weight));
}

TEST(Weights, MayBeDroppedOrTakenAgainBeforeTheyAreRead) {
  const test::TempFolder folder;
  const at::Tensor values = at::randn({301, 1009});
  write_checkpoint(folder.path(), values);
  Weights weights(open_checkpoint(folder.path(), SafetensorsFile::Access::copy_on_write), at::kBFloat16);
  weights.take("w", values.sizes());  // dropped at once; the next one's memory is another block
  const at::Tensor weight = weights.take("w", values.sizes());
  weights.finish();
  EXPECT_TRUE(at::equal(weight, values.to(at::kBFloat16)));
}

TEST(Weights, ThatCannotBeReadAreAnErrorOfTheFile) {
  const test::TempFolder folder;
  write_checkpoint(folder.path(), at::randn({1 << 10, 1 << 10}));
  Weights weights(open_checkpoint(folder.path(), SafetensorsFile::Access::copy_on_write), at::kBFloat16);
  weights.take("w", {1 << 10, 1 << 10});
  std::filesystem::resize_file(folder.path() / kSingleFile, 4096);
  try {
    weights.finish();
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io) << error.what();
  }
}

}  // namespace
}  // namespace graft
