#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "file_descriptor.h"
#include "graft/error.h"
#include "graft/safetensors.h"
#include "json_text.h"
#include "safetensors_header.h"

namespace graft {
namespace {

using Tensor = std::pair<std::string, TensorView>;

void check(const Tensor& tensor) {
  const std::string& name = tensor.first;
  const TensorView& view = tensor.second;
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "tensor \"" + name + '"', why,
                "fix the call of save_safetensors");
  };
  if (name == "__metadata__") fail("this name is the format's own");
  std::size_t bytes = 0;
  if (!detail::byte_size(view.dtype, view.shape, bytes) || bytes != view.bytes) {
    fail("has " + std::to_string(view.bytes) + " bytes, which its shape and dtype do not give");
  }
  if (view.bytes != 0 && !view.data) fail("has no data");
}

// Length and JSON, padded with spaces so that the first tensor starts at a multiple of 8.
std::string header_of(const std::vector<const Tensor*>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const Tensor* tensor : tensors) {
    const auto& [tensor_name, view] = *tensor;
    json[tensor_name] = {
        {"dtype", name(view.dtype)}, {"shape", view.shape}, {"data_offsets", {offset, offset + view.bytes}}};
    offset += view.bytes;
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception& error) {  // names and metadata must be UTF-8
    throw Error(ErrorCode::invalid_argument, "save_safetensors", error.what(),
                "use UTF-8 names and metadata");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return length + text;
}

/// A file beside its destination that vanishes unless it is committed.
class PendingFile {
 public:
  explicit PendingFile(const std::filesystem::path& destination)
      : destination_(destination),
        temporary_(temporary_name(destination)),
        file_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
    if (!file_) fail();
  }
  ~PendingFile() {
    if (file_ && !committed_) ::unlink(temporary_.c_str());
  }

  void write(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(file_.get(), at, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      at += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }

  void commit() {
    if (::fsync(file_.get()) != 0 || ::rename(temporary_.c_str(), destination_.c_str()) != 0) fail();
    committed_ = true;
    const auto folder =
        destination_.has_parent_path() ? destination_.parent_path() : std::filesystem::path(".");
    const detail::FileDescriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent) ::fsync(parent.get());  // some file systems cannot; the rename is atomic all the same
  }

 private:
  static std::filesystem::path temporary_name(const std::filesystem::path& destination) {
    static std::atomic<unsigned> count{0};
    auto path = destination;
    path += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
    return path;
  }
  [[noreturn]] void fail() const {
    throw Error(ErrorCode::io, destination_.string(),
                std::string("cannot be written: ") + std::strerror(errno),
                "check the folder, its permissions and the free space");
  }

  std::filesystem::path destination_, temporary_;
  detail::FileDescriptor file_;
  bool committed_ = false;
};

}  // namespace

void save_safetensors(const std::filesystem::path& path, std::span<const Tensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : tensors) {
    check(tensor);
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
    const std::size_t size_a = item_size(a->second.dtype), size_b = item_size(b->second.dtype);
    return size_a != size_b ? size_a > size_b : a->first < b->first;
  });
  std::vector<std::string_view> names;
  for (const Tensor* tensor : order) names.push_back(tensor->first);
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
    throw Error(ErrorCode::invalid_argument, "tensor \"" + std::string(*twice) + '"', "given twice",
                "give each tensor its own name");
  }

  const std::string header = header_of(order, metadata);
  PendingFile file(path);
  file.write(header.data(), header.size());
  for (const Tensor* tensor : order) file.write(tensor->second.data, tensor->second.bytes);
  file.commit();
}

}  // namespace graft
