// Build tool: `make_development_key PRIVATE.pem PUBLIC.h`. Makes the key that this build of Graft signs its own kernels
// with, unless it is there, and writes its public half for the default policy. A release gives its own: GRAFT_SIGNING_KEY.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ed25519.h"

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_private(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) close(fd);
  if (!written) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  fs::path key = argv[1], header = argv[2];
  if (!fs::exists(key)) write_private(key, graft::ed25519::make_private_key());
  std::string text = "// Made by the build, from " + key.filename().string() +
                     ".\n#pragma once\n\nnamespace graft {\n\ninline constexpr const char* kDevelopmentPublicKey = R\"(" +
                     graft::ed25519::public_key_of(read(key)) + ")\";\n\n}  // namespace graft\n";
  if (fs::exists(header) && read(header) == text) return 0;
  fs::create_directories(header.parent_path());
  std::ofstream out(header, std::ios::binary);
  out << text;
  return out.flush() ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "make_development_key: %s\n", e.what());
  return 1;
}
