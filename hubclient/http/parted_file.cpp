#include "parted_file.h"

#include <algorithm>
#include <thread>

#include "api.h"

namespace graft {
namespace {

constexpr std::uint64_t kPart = 4 << 20;  // bytes; four of them stay in the processor's cache until they are hashed and written
constexpr std::size_t kPartsAtOnce = 4;

}  // namespace

PartedFile::PartedFile(HttpClient& client, const HubOptions& options, std::string url, std::string what,
                       std::function<void(std::int64_t)> received, std::stop_token stop)
    : client_(client),
      options_(options),
      url_(std::move(url)),
      what_(std::move(what)),
      received_(std::move(received)),
      when_asked_(std::move(stop), [this] { stop_.request_stop(); }) {}

bool PartedFile::get(const HubFile& file, BlobWriter& writer) {
  begin_ = writer.written();
  end_ = file.size;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(kPartsAtOnce, static_cast<std::size_t>(options_.connections)); ++i)
    threads.emplace_back([this] { ask_for_parts(); });
  try {
    write_parts(file, writer);
  } catch (...) {
    std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  stop_.request_stop();
  threads.clear();
  for (const auto& [part, buffer] : here_) received_(-static_cast<std::int64_t>(buffer.size()));
  if (no_ranges_) return false;  // what the other threads then ended with is no failure
  if (failure_) std::rethrow_exception(failure_);
  return true;
}

/// One thread's work: the next part, as long as there is one and room for it.
void PartedFile::ask_for_parts() {
  std::unique_lock lock(mutex_);
  for (;;) {
    bool room = changed_.wait(lock, stop_.get_token(),
                              [&] { return next_ == count() || next_ < written_ + kPartsAtOnce; });
    if (!room || next_ == count() || no_ranges_ || failure_) return;
    std::size_t part = next_++;
    std::string buffer;
    if (!spare_.empty()) {
      buffer = std::move(spare_.back());
      spare_.pop_back();
    }
    lock.unlock();
    bool ranges = true;
    std::exception_ptr thrown;
    try {
      ranges = ask_for(part, buffer);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    here_.emplace(part, std::move(buffer));
    if (!ranges) no_ranges_ = true;
    if (thrown && !failure_) failure_ = thrown;
    changed_.notify_all();
  }
}

/// One part, whole, into `buffer`; false if the server does not serve ranges.
bool PartedFile::ask_for(std::size_t part, std::string& buffer) {
  Retry retry(options_, options_.retries, stop_.get_token());
  buffer.clear();
  buffer.reserve(kPart);
  while (first(part) + buffer.size() < last(part)) {
    const std::uint64_t begin = first(part) + buffer.size();
    std::string url = url_;
    {
      std::lock_guard lock(mutex_);
      if (!location_.empty()) url = location_;
    }
    bool ranges = true;
    HttpRequest request{.url = url,
                        .headers = {api::range_header(begin, last(part))},
                        .timeout = options_.download_timeout,
                        .max_body = last(part) - begin,
                        .retries = options_.retries,
                        .stop = stop_.get_token()};
    request.accept = [&](const HttpResponse& response) {
      ranges = response.status != 200 && (response.status != 206 || api::begins_at(response, begin));
      return ranges;
    };
    request.on_body = [&](std::string_view bytes) {
      buffer.append(bytes);
      received_(static_cast<std::int64_t>(bytes.size()));
    };
    try {
      HttpResponse response = client_.get(request);
      if (!ranges) return false;
      std::lock_guard lock(mutex_);
      if (response.status >= 400 && response.status < 500 && url != url_) {
        location_.clear();  // a CDN's signature has run out: the Hub gives another
        continue;
      }
      api::check_status(response, what_, !options_.token.empty());
      location_ = response.url;
      if (first(part) + buffer.size() == begin)
        throw Error(ErrorCode::unavailable, what_, "the server sends none of the bytes that it was asked for",
                    "try again later");
    } catch (const Error& e) {
      if (first(part) + buffer.size() > begin) retry.reset();
      if (!retry.again(e.code())) throw;
    }
  }
  return true;
}

void PartedFile::write_parts(const HubFile& file, BlobWriter& writer) {
  std::unique_lock lock(mutex_);
  while (written_ < count()) {
    bool come = changed_.wait(lock, stop_.get_token(),
                              [&] { return here_.contains(written_) || no_ranges_ || failure_; });
    if (no_ranges_ || failure_) return;
    if (!come) throw Error(ErrorCode::cancelled, "file " + file.path, "was cancelled");
    std::string buffer = std::move(here_.extract(written_).mapped());
    lock.unlock();
    writer.append(buffer);
    lock.lock();
    spare_.push_back(std::move(buffer));
    ++written_;
    changed_.notify_all();
  }
}

std::size_t PartedFile::count() const {
  return static_cast<std::size_t>((end_ - begin_ + kPart - 1) / kPart);
}

std::uint64_t PartedFile::first(std::size_t part) const {
  return begin_ + part * kPart;
}

std::uint64_t PartedFile::last(std::size_t part) const {
  return std::min(end_, first(part) + kPart);
}

}  // namespace graft
