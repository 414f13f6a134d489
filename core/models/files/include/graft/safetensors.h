// Reading and writing one .safetensors file. A model's whole checkpoint, which may be several: checkpoint.h.
// Source: https://github.com/huggingface/safetensors (format, README.md#format).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace graft {

/// The element types of the format that have whole bytes. F4 and F6 files are refused as unsupported.
enum class SafetensorsDType {
  BOOL,
  U8,
  I8,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  U16,
  I16,
  F16,
  BF16,
  U32,
  I32,
  F32,
  U64,
  I64,
  F64,
  C64
};

/// "BF16", as the format spells it.
std::string_view name(SafetensorsDType dtype);

/// Bytes of one element.
std::size_t item_size(SafetensorsDType dtype);

/// One tensor, row-major and contiguous. Borrowed: it points into the file that gave it, or into memory of
/// whoever made it for save_safetensors().
struct TensorView {
  SafetensorsDType dtype = SafetensorsDType::F32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  const std::byte* data = nullptr;  // aligned to item_size only if aligned() says so; null if bytes is 0
  std::size_t bytes = 0;

  /// Files whose header is not padded to 8 bytes hold misaligned tensors: copy those before use.
  bool aligned() const { return reinterpret_cast<std::uintptr_t>(data) % item_size(dtype) == 0; }
};

/// A memory-mapped .safetensors file. Opening reads the header alone; pages of tensors arrive when touched.
/// Thread-safe: immutable after open(). Views are valid for as long as the shared_ptr (or a copy of it)
/// lives. The file must not be truncated meanwhile: the system then ends the process that touches the lost
/// pages (SIGBUS); replacing it by rename is safe.
class SafetensorsFile {
 public:
  /// How the pages are mapped; never does a write reach the file.
  enum class Access {
    read_only,      // writing through a view's address ends the process (SIGSEGV)
    copy_on_write,  // a page that is written becomes the process's own: weights that will be trained in place
  };

  /// Errors: not_found (no such file), io, corrupt (anything the format forbids: bounds, holes or overlaps
  /// between tensors, sizes that do not follow from shape and dtype, duplicate names), unsupported (dtype).
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path,
                                                     Access access = Access::read_only);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In the order of the data in the file, which is the fastest to read.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// Errors: not_found, naming the file and a few names it does hold.
  const TensorView& tensor(const std::string& name) const;
  /// The header's free text, e.g. {"format": "pt"}.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Copies bytes [offset, offset + into.size()) of one of this file's tensors, as they are in the file: unlike a look through
  /// the view this leaves none of its pages in the process's memory. Errors: io.
  void read(const TensorView& view, std::size_t offset, std::span<std::byte> into) const;

  /// Asks the system to read the tensor (or all) ahead. Advice: failure is not an error.
  void will_need(const std::string& name) const;
  void will_need() const;

 private:
  SafetensorsFile() = default;

  std::filesystem::path path_;
  int descriptor_ = -1;
  void* map_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Writes tensors and metadata as `path`, whole or not at all: into a temporary file beside it, synced to
/// disk, then renamed over it; a reader or a crash sees the old file or the new one. Tensors are laid out by
/// falling item size, then name, each aligned to its item size. Errors: invalid_argument (bytes not what
/// shape and dtype say, duplicate or reserved name), io.
void save_safetensors(const std::filesystem::path& path,
                      std::span<const std::pair<std::string, TensorView>> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace graft
