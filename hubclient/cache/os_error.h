// What the operating system said, as an Error.
#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "graft/error.h"

namespace graft {

/// From errno: disk_full for ENOSPC and EDQUOT, else io.
[[noreturn]] inline void throw_os_error(const std::filesystem::path& file, const std::string& step,
                                        int number = errno) {
  bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  throw Error(full ? ErrorCode::disk_full : ErrorCode::io, file.string(), step + ": " + std::strerror(number),
              full ? "free some space, or put the cache elsewhere: HF_HUB_CACHE=/path (KERNELS_CACHE for kernels)"
                   : "check its permissions, or put the cache elsewhere: HF_HUB_CACHE=/path");
}

}  // namespace graft
