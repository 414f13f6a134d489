// What a Hub may answer: the JSON of its API, the listing in the cache, headers and redirects. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <string>

#include "graft/error.h"
#include "http/api.h"
#include "http/url.h"
#include "hub_json.h"

namespace {

using namespace graft;

/// Whatever was said: names stay inside, hashes are hashes, sizes are sizes.
void check(const std::vector<HubFile>& files) {
  for (const HubFile& file : files) {
    check_inside(file.path);
    bool right = !file.path.empty() && is_hex(file.oid, 40) && (file.sha256.empty() || is_hex(file.sha256, 64)) &&
                 (file.xet_hash.empty() || is_hex(file.xet_hash, 64)) && file.size < (std::uint64_t{1} << 45);
    if (!right) __builtin_trap();
  }
}

/// "name: value" lines, as a server would send them.
HttpResponse response_of(const std::string& text) {
  HttpResponse response{.status = text.empty() ? 200 : 100 + static_cast<unsigned char>(text[0]) * 2, .url = "https://h/x"};
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size()), colon = std::min(text.find(':', begin), end);
    (response.headers.size() % 2 ? response.redirects : response.headers)[text.substr(begin, colon - begin)] =
        text.substr(std::min(colon + 1, end), end - std::min(colon + 1, end));
    begin = end + 1;
  }
  response.body = text;
  return response;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    switch (data[0] % 8) {
      case 0: check(parse_tree_page(text, "fuzz")); break;
      case 1: check(parse_tree_cache(text, "fuzz")); break;
      case 2: {
        Refs refs = parse_refs(text, "fuzz");
        for (const auto* group : {&refs.tags, &refs.branches})
          for (const auto& [name, commit] : *group) {
            check_inside(name);
            if (!is_commit(commit)) __builtin_trap();
          }
        break;
      }
      case 3:
        if (!is_commit(parse_info(text, "fuzz").commit)) __builtin_trap();
        break;
      case 4: api::next_page(text); break;
      case 5: {
        api::FileHeaders found = api::file_headers(response_of(text), "path");
        if (!found.commit.empty() && !is_commit(found.commit)) __builtin_trap();
        break;
      }
      case 6: api::check_status(response_of(text), "fuzz", false); break;
      case 7:
        if (!redirected("https://h/x", text).starts_with("https://")) __builtin_trap();
        break;
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
