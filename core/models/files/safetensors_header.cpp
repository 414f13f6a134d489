#include "safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>

#include "graft/error.h"
#include "json_text.h"

namespace graft {
namespace {

struct DTypeRow {
  SafetensorsDType dtype;
  std::string_view name;
  std::size_t item_size;
};

using enum SafetensorsDType;
constexpr std::array<DTypeRow, 17> dtypes{{
    {BOOL, "BOOL", 1},
    {U8, "U8", 1},
    {I8, "I8", 1},
    {F8_E4M3, "F8_E4M3", 1},
    {F8_E5M2, "F8_E5M2", 1},
    {F8_E8M0, "F8_E8M0", 1},
    {U16, "U16", 2},
    {I16, "I16", 2},
    {F16, "F16", 2},
    {BF16, "BF16", 2},
    {U32, "U32", 4},
    {I32, "I32", 4},
    {F32, "F32", 4},
    {U64, "U64", 8},
    {I64, "I64", 8},
    {F64, "F64", 8},
    {C64, "C64", 8},
}};

const DTypeRow& row(SafetensorsDType dtype) {
  return dtypes[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::string_view name(SafetensorsDType dtype) {
  return row(dtype).name;
}
std::size_t item_size(SafetensorsDType dtype) {
  return row(dtype).item_size;
}

namespace detail {
namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header = 100'000'000;  // the reference implementation's limit

SafetensorsEntry parse_entry(const std::string& tensor, const Json& json, const std::string& source,
                             std::size_t data_begin, std::size_t data_size) {
  const Fields fields(json, source + ", tensor \"" + tensor + '"');
  SafetensorsEntry entry{.name = tensor, .dtype = F32, .shape = {}, .begin = 0, .end = 0};

  const std::string dtype = fields.text("dtype");
  const auto known =
      std::find_if(dtypes.begin(), dtypes.end(), [&](const DTypeRow& r) { return r.name == dtype; });
  if (known == dtypes.end()) {
    throw Error(ErrorCode::unsupported, fields.source(), "dtype \"" + dtype + "\" is not known",
                "save the checkpoint in one of F32, F16, BF16, I64, F8_E4M3 …");
  }
  entry.dtype = known->dtype;

  for (const Json& dimension : fields.array("shape")) {
    if (!dimension.is_number_unsigned() ||
        dimension.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      fields.fail("shape", "has a dimension that is not a whole number of 0 or more");
    }
    entry.shape.push_back(dimension.get<std::int64_t>());
  }

  const Json& offsets = fields.array("data_offsets");
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    fields.fail("data_offsets", "is not [begin, end]");
  }
  const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data_size) {
    fields.fail("data_offsets", "lies outside the file: the file is truncated or its header is wrong");
  }
  std::size_t bytes = 0;
  if (!byte_size(entry.dtype, entry.shape, bytes)) fields.fail("shape", "overflows");
  if (bytes != end - begin) {
    fields.fail("data_offsets", "spans " + std::to_string(end - begin) + " bytes; shape and dtype need " +
                                    std::to_string(bytes));
  }
  entry.begin = data_begin + begin;
  entry.end = data_begin + end;
  return entry;
}

}  // namespace

bool byte_size(SafetensorsDType dtype, std::span<const std::int64_t> shape, std::size_t& bytes) {
  bytes = item_size(dtype);
  for (const std::int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(dimension), &bytes))
      return false;
  }
  return true;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& source) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::corrupt, source, why,
                "download the file again: it is truncated or not a .safetensors file");
  };
  if (file.size() < length_bytes) fail("shorter than the 8 bytes every .safetensors file begins with");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (length > max_header)
    fail("its header claims " + std::to_string(length) + " bytes, more than the format allows");
  if (length > file.size() - length_bytes) fail("its header reaches beyond the end of the file");

  const std::string_view text(reinterpret_cast<const char*>(file.data()) + length_bytes, length);
  if (text.empty() || text.front() != '{') fail("its header does not begin with {");
  const Json json = parse_object(text, source, DuplicateKeys::refused);

  SafetensorsHeader header;
  const std::size_t data_begin = length_bytes + length;
  for (const auto& [key, value] : json.items()) {
    if (key == "__metadata__") {
      for (const auto& [name, entry] : Fields(value, source + ", \"__metadata__\"").items()) {
        if (!entry.is_string())
          fail("\"__metadata__\" holds something that is not a string: \"" + name + '"');
        header.metadata.emplace(name, entry.get<std::string>());
      }
    } else {
      header.entries.push_back(parse_entry(key, value, source, data_begin, file.size() - data_begin));
    }
  }

  std::sort(header.entries.begin(), header.entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  std::size_t reached = data_begin;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != reached) {
      fail("tensor \"" + entry.name +
           (entry.begin < reached ? "\" overlaps the one before it" : "\" leaves a hole before it"));
    }
    reached = entry.end;
  }
  if (reached != file.size())
    fail("holds " + std::to_string(file.size() - reached) + " bytes that belong to no tensor");
  return header;
}

}  // namespace detail
}  // namespace graft
