// The bytes of files: where they are, and the range of them that was asked for.
#include <algorithm>
#include <charconv>

#include "graft/hash.h"
#include "http.h"
#include "refusal.h"
#include "service.h"

namespace graft::server {
namespace fs = std::filesystem;
namespace {

struct ByteRange {
  std::uint64_t begin, end;  // half open
};

enum class RangeState { none, some, outside };

/// "bytes=5-", "bytes=5-9", "bytes=-4"; anything else, several ranges too, is as if it was not there (RFC
/// 9110).
RangeState parse_range(std::string_view text, std::uint64_t size, ByteRange& range) {
  constexpr std::string_view kBytes = "bytes=";
  if (!text.starts_with(kBytes)) return RangeState::none;
  text.remove_prefix(kBytes.size());
  std::size_t dash = text.find('-');
  if (dash == text.npos || text.find(',') != text.npos) return RangeState::none;
  auto read = [](std::string_view digits, std::uint64_t& value) {
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  std::string_view first = text.substr(0, dash), last = text.substr(dash + 1);
  std::uint64_t a = 0, b = 0;
  if ((!first.empty() && !read(first, a)) || (!last.empty() && !read(last, b))) return RangeState::none;
  if (first.empty() && last.empty()) return RangeState::none;
  if (first.empty()) {
    range = {size - std::min(b, size), size};
  } else {
    if (!last.empty() && b < a) return RangeState::none;
    range = {a, last.empty() || b >= size ? size : b + 1};
  }
  return range.begin >= range.end ? RangeState::outside : RangeState::some;
}

/// Whether an If-None-Match names this ETag.
bool matches(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    std::size_t comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == etag || item == "*") return true;
  }
  return false;
}

}  // namespace

ServedReply Service::resolve(const ServedRequest& request, const Route& route) {
  auto [commit, path] = repos_.find(route.repo, route.rest, true);
  fs::path file = repos_.file(route.repo, commit, path);
  if (faults_.take(&Faults::redirect_loop))
    return {.status = 302, .headers = {{"Location", hub_origin(request) + request.target}}};

  ServedReply reply{.headers = {{"X-Repo-Commit", commit}}};
  std::uint64_t size = fs::file_size(file);
  if (!is_lfs(path, size)) return content(request, file, hashes_.git_sha1(file), std::move(reply));

  std::string sha256 = hashes_.sha256(file), etag = "\"" + sha256 + "\"";
  reply.headers.emplace_back("X-Linked-Etag", etag);
  reply.headers.emplace_back("X-Linked-Size", std::to_string(size));
  if (matches(request.header("if-none-match"), etag)) {
    reply.status = 304;
    reply.headers.emplace_back("ETag", etag);
    return reply;
  }
  std::string address = std::string("/") + kind_folder(route.repo.kind) + "/" + route.repo.name + "/" +
                        commit + "/" + percent_encode(path, "/");
  reply.status = 302;
  reply.headers.emplace_back("Location", cdn_origin(request) + address + "?signature=" + signature(address));
  return reply;
}

/// A file's bytes, at the Hub or at the CDN. `reply` has what else goes with them.
ServedReply Service::content(const ServedRequest& request, const fs::path& file, const std::string& hash,
                             ServedReply reply) {
  std::string etag = "\"" + hash + "\"";
  reply.headers.emplace_back("ETag", etag);
  reply.headers.emplace_back("Accept-Ranges", "bytes");
  if (matches(request.header("if-none-match"), etag)) {
    reply.status = 304;
    return reply;
  }
  std::uint64_t size = fs::file_size(file);
  bool is_get = request.method == "GET";
  if (is_get && faults_.take(&Faults::wrong_length)) size /= 2;
  if (auto more = is_get ? faults_.take(&Faults::longer) : std::nullopt) size += *more;

  std::string text = request.header("range"), only_if = request.header("if-range");
  if (!is_get || (!only_if.empty() && only_if != etag)) text.clear();
  if (!text.empty() && faults_.take(&Faults::no_ranges)) text.clear();
  ByteRange range{0, size};
  RangeState state = parse_range(text, size, range);
  if (state == RangeState::outside) {
    ServedReply refused = error_reply(416, "", "The range lies behind the file's end.");
    refused.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
    return refused;
  }
  if (state == RangeState::some) {
    reply.status = 206;
    reply.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.begin) + "-" +
                                                    std::to_string(range.end - 1) + "/" +
                                                    std::to_string(size));
  }
  BodyPlan plan{.offset = range.begin, .length = range.end - range.begin};
  if (is_get) plan = with_faults(plan);
  reply.file = std::make_shared<FileBody>(file, plan, pauses_, counts_.file_bytes);
  return reply;
}

BodyPlan Service::with_faults(BodyPlan plan) {
  if (auto bytes = faults_.take(&Faults::cut)) plan.cut_at = *bytes;
  if (faults_.take(&Faults::wrong_bytes)) plan.flip_at = plan.length / 2;
  if (auto ms = faults_.take(&Faults::stall)) plan.stall = std::chrono::milliseconds(*ms);
  return plan;
}

/// Without it, who guesses an address at the CDN could read a private repo.
std::string Service::signature(const std::string& path) const {
  Hasher hasher("sha256");
  hasher.update(secret_ + path);
  return to_hex(hasher.finish()).substr(0, 32);
}

}  // namespace graft::server
