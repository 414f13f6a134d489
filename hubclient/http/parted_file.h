// PartedFile: a large file in ranges over several connections at once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "../cache/blob_writer.h"
#include "http_client.h"

namespace graft {

/// Parts are asked for by four threads and written in their order by the one that calls, so that what is on the
/// disk is a beginning of the file at any moment. Memory: four parts of 4 MiB.
class PartedFile {
 public:
  /// `url`: the Hub's, which may redirect to where the file lies. `what` begins messages. `received` is told
  /// of bytes as they come (negative: they will come again), on any thread.
  PartedFile(HttpClient& client, const HubOptions& options, std::string url, std::string what,
             std::function<void(std::int64_t)> received, std::stop_token stop);

  /// From where the writer stands to the file's end. False, some of it perhaps written, if the server does not
  /// serve ranges. Throws Error, as HttpClient and BlobWriter. Once.
  bool get(const HubFile& file, BlobWriter& writer);

 private:
  std::size_t count() const;
  std::uint64_t first(std::size_t part) const;
  std::uint64_t last(std::size_t part) const;
  void ask_for_parts();
  bool ask_for(std::size_t part, std::string& buffer);
  void write_parts(const HubFile& file, BlobWriter& writer);

  HttpClient& client_;
  const HubOptions& options_;
  const std::string url_, what_;
  const std::function<void(std::int64_t)> received_;
  std::stop_source stop_;  // of the parts: asked from outside, or when get() is done
  std::stop_callback<std::function<void()>> when_asked_;
  std::uint64_t begin_ = 0, end_ = 0;  // of what is to come, in the file

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::size_t next_ = 0, written_ = 0;        // parts: the next to ask for, the next to write
  std::map<std::size_t, std::string> here_;   // come, and waiting for those before them
  std::vector<std::string> spare_;            // buffers, whose pages are there already
  std::string location_;                      // where the file lies behind the Hub's redirect; empty: ask
  bool no_ranges_ = false;
  std::exception_ptr failure_;
};

}  // namespace graft
