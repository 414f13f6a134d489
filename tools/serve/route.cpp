#include "route.h"

#include <cctype>

#include "graft/error.h"

namespace graft::server {
namespace {

[[noreturn]] void refuse(std::string_view target, const char* why) {
  throw Error(ErrorCode::invalid_argument, "address \"" + std::string(target) + "\"", why);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find(separator, begin), text.size());
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::map<std::string, std::string> parse_query(std::string_view target, std::string_view text) {
  std::map<std::string, std::string> query;
  if (text.empty()) return query;
  for (std::string pair : split(text, '&')) {
    for (char& c : pair)
      if (c == '+') c = ' ';
    std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals));
    auto value = percent_decode(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
    if (!name || !value) refuse(target, "holds a malformed escape");
    query[*name] = *value;
  }
  return query;
}

/// Sets endpoint and repo_at, returns where the rest begins. The address of a model's file has no word before
/// its repo's name, so the position of "resolve" decides.
std::size_t recognize(const std::vector<std::string>& pieces, Route& route) {
  auto is = [&](std::size_t at, std::string_view word) { return at < pieces.size() && pieces[at] == word; };
  std::size_t after = 0;
  if (is(0, "api") && (is(1, "kernels") || is(1, "models")) && pieces.size() >= 4) {
    route.repo.kind = pieces[1] == "kernels" ? RepoKind::kernel : RepoKind::model;
    route.repo_at = 2;
    after = 4;
    if (pieces.size() == 4 || (is(4, "revision") && pieces.size() > 5)) route.endpoint = Endpoint::info;
    if (is(4, "refs") && pieces.size() == 5) route.endpoint = Endpoint::refs;
    if (is(4, "tree") && pieces.size() > 5) route.endpoint = Endpoint::tree;
  } else if (is(0, "kernels") && is(3, "resolve") && pieces.size() > 5) {
    route.repo = {RepoKind::kernel, ""};
    route.endpoint = Endpoint::resolve;
    route.repo_at = 1;
    after = 3;
  } else if (is(2, "resolve") && pieces.size() > 4) {
    route.repo = {RepoKind::model, ""};
    route.endpoint = Endpoint::resolve;
    route.repo_at = 0;
    after = 2;
  }
  return std::min(after + 1, pieces.size());
}

}  // namespace

Route parse_route(std::string_view target) {
  if (!target.starts_with('/')) refuse(target, "does not begin with a slash");
  Route route;
  std::size_t question = std::min(target.find('?'), target.size());
  route.raw = split(target.substr(1, question - 1), '/');
  route.raw_query = target.substr(std::min(question + 1, target.size()));
  route.query = parse_query(target, route.raw_query);

  // Decoded only after it was split: "feature%2Fx" is one piece.
  std::vector<std::string> pieces;
  for (const std::string& raw : route.raw) {
    auto piece = percent_decode(raw);
    if (!piece) refuse(target, "holds a malformed escape");
    pieces.push_back(std::move(*piece));
  }
  std::size_t rest = recognize(pieces, route);
  if (route.endpoint == Endpoint::none) return route;
  route.repo.name = pieces[route.repo_at] + "/" + pieces[route.repo_at + 1];
  check_repo_name(route.repo.name);
  route.rest.assign(pieces.begin() + static_cast<std::ptrdiff_t>(rest), pieces.end());
  return route;
}

std::string Route::path_for(const std::string& other_repo) const {
  std::string path;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (i == repo_at + 1) continue;
    path += "/" + (i == repo_at ? other_repo : raw[i]);
  }
  return path;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~";
  std::string encoded;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool is_plain =
        byte < 0x80 && (std::isalnum(byte) || kPlain.find(c) != kPlain.npos || keep.find(c) != keep.npos);
    if (is_plain)
      encoded += c;
    else
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return encoded;
}

std::string join_path(std::vector<std::string>::const_iterator begin,
                      std::vector<std::string>::const_iterator end) {
  std::string path;
  for (auto piece = begin; piece != end; ++piece) path += (piece == begin ? "" : "/") + *piece;
  return path;
}

const char* kind_folder(RepoKind kind) {
  return kind == RepoKind::kernel ? "kernels" : "models";
}

}  // namespace graft::server
