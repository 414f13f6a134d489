// The header of a .safetensors file, checked against everything the format promises.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "graft/safetensors.h"

namespace graft::detail {

struct SafetensorsEntry {
  std::string name;
  SafetensorsDType dtype;
  std::vector<std::int64_t> shape;
  std::size_t begin, end;  // byte offsets into the file
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // by begin, without holes or overlaps, up to the file's last byte
  std::map<std::string, std::string> metadata;
};

/// `file` is the whole file; beyond the header nothing of it is read. Errors: corrupt, unsupported; `source`
/// names it.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& source);

/// Product of the dimensions × item size. False if a dimension is negative or the product does not fit.
bool byte_size(SafetensorsDType dtype, std::span<const std::int64_t> shape, std::size_t& bytes);

}  // namespace graft::detail
