#include "encoding.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "graft/error.h"

namespace graft::sigstore {
namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// `count` digits at `at`, which moves behind them; -1: something else stands there.
int digits(std::string_view text, std::size_t& at, std::size_t count) {
  if (text.size() - std::min(at, text.size()) < count) return -1;
  int value = 0;
  for (std::size_t end = at + count; at < end; ++at) {
    if (text[at] < '0' || text[at] > '9') return -1;
    value = value * 10 + (text[at] - '0');
  }
  return value;
}

bool skip(std::string_view text, std::size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

}  // namespace

bool equal(ByteView a, ByteView b) {
  return std::ranges::equal(a, b);
}

std::optional<Bytes> decode_base64(std::string_view text) {
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  std::size_t count = 0, padding = 0;
  for (char c : text) {
    if (c == '\r' || c == '\n') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    int value = base64_value(c);
    if (value < 0 || padding) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count % 4) continue;
    for (int shift : {16, 8, 0}) bytes.push_back(static_cast<unsigned char>(bits >> shift));
    bits = 0;
  }
  const std::size_t left = count % 4;
  if (left == 1 || (padding && padding != (4 - left) % 4)) return std::nullopt;
  if (left == 2) {
    if (bits & 0xf) return std::nullopt;  // two texts must not stand for the same bytes
    bytes.push_back(static_cast<unsigned char>(bits >> 4));
  } else if (left == 3) {
    if (bits & 0x3) return std::nullopt;
    bytes.push_back(static_cast<unsigned char>(bits >> 10));
    bytes.push_back(static_cast<unsigned char>(bits >> 2));
  }
  return bytes;
}

std::optional<Bytes> decode_hex(std::string_view text) {
  if (text.size() % 2) return std::nullopt;
  Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<unsigned char>(high << 4 | low));
  }
  return bytes;
}

std::optional<std::int64_t> decode_decimal(std::string_view text) {
  if (text.empty() || text.size() > 19 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (value > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> decode_time(std::string_view text) {
  namespace ch = std::chrono;
  std::size_t at = 0;
  const int year = digits(text, at, 4);
  if (!skip(text, at, '-')) return std::nullopt;
  const int month = digits(text, at, 2);
  if (!skip(text, at, '-')) return std::nullopt;
  const int day = digits(text, at, 2);
  if (!skip(text, at, 'T')) return std::nullopt;
  const int hour = digits(text, at, 2);
  if (!skip(text, at, ':')) return std::nullopt;
  const int minute = digits(text, at, 2);
  if (!skip(text, at, ':')) return std::nullopt;
  const int second = digits(text, at, 2);
  std::int64_t milliseconds = 0;
  if (skip(text, at, '.')) {
    std::int64_t unit = 100;
    const std::size_t start = at;
    for (int digit; at < text.size() && text[at] >= '0' && text[at] <= '9'; unit /= 10) {
      digit = text[at++] - '0';
      milliseconds += digit * unit;
    }
    if (at == start || at - start > 9) return std::nullopt;
  }
  std::int64_t offset = 0;
  if (!skip(text, at, 'Z')) {
    const bool west = skip(text, at, '-');
    if (!west && !skip(text, at, '+')) return std::nullopt;
    const int hours = digits(text, at, 2);
    if (!skip(text, at, ':')) return std::nullopt;
    const int minutes = digits(text, at, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
    offset = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  const ch::year_month_day date{ch::year(year), ch::month(static_cast<unsigned>(month)),
                                ch::day(static_cast<unsigned>(day))};
  if (at != text.size() || year < 0 || month < 0 || day < 0 || !date.ok() || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 59)
    return std::nullopt;
  const std::int64_t days = ch::sys_days(date).time_since_epoch().count();
  return (days * 86400 + hour * 3600 + minute * 60 + second - offset) * 1000 + milliseconds;
}

std::string time_text(std::int64_t unix_seconds) {
  namespace ch = std::chrono;
  constexpr std::int64_t last = 253402300799;  // the year 9999's last second
  if (unix_seconds < 0 || unix_seconds > last) return std::to_string(unix_seconds);
  const ch::sys_days days{ch::days(unix_seconds / 86400)};
  const ch::year_month_day date(days);
  const int of_day = static_cast<int>(unix_seconds % 86400);
  char out[32];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), of_day / 3600,
                of_day / 60 % 60, of_day % 60);
  return out;
}

const char* name(Hash hash) {
  return hash == Hash::sha256 ? "sha256" : hash == Hash::sha384 ? "sha384" : "sha512";
}

std::optional<Hash> hash_named(std::string_view name) {
  if (name == "sha256" || name == "SHA2_256") return Hash::sha256;
  if (name == "sha384" || name == "SHA2_384") return Hash::sha384;
  if (name == "sha512" || name == "SHA2_512") return Hash::sha512;
  return std::nullopt;
}

Bytes digest(Hash hash, ByteView message) {
  const EVP_MD* md = hash == Hash::sha256 ? EVP_sha256() : hash == Hash::sha384 ? EVP_sha384() : EVP_sha512();
  Bytes out(static_cast<std::size_t>(EVP_MD_get_size(md)));
  if (EVP_Digest(message.data(), message.size(), out.data(), nullptr, md, nullptr) != 1)
    throw Error(ErrorCode::internal, "hashing", std::string("OpenSSL refused ") + name(hash));
  return out;
}

}  // namespace graft::sigstore
