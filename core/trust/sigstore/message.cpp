#include "message.h"

#include <algorithm>

#include "refuse.h"

namespace graft::sigstore {
namespace {

std::string snake_case(std::string_view camel) {
  std::string snake;
  for (char c : camel) {
    if (c >= 'A' && c <= 'Z') {
      snake += '_';
      c = static_cast<char>(c - 'A' + 'a');
    }
    snake += c;
  }
  return snake;
}

}  // namespace

Message::Message(const detail::Json& object, std::string source, std::initializer_list<const char*> known)
    : object_(&object), source_(std::move(source)) {
  if (!object.is_object()) corrupt("not a JSON object", source_);
  for (const auto& item : object.items()) {
    const bool is_known = std::ranges::any_of(
        known, [&](const char* name) { return item.key() == name || item.key() == snake_case(name); });
    if (!is_known) fail(item.key().substr(0, 80), "is not a field that this format has");
  }
}

void Message::fail(const std::string& key, const std::string& why) const {
  corrupt('"' + key + "\" " + why, source_);
}

const detail::Json* Message::find(const std::string& key) const {
  auto named = object_->find(key);
  const std::string snake = snake_case(key);
  if (snake != key) {
    auto other = object_->find(snake);
    if (other != object_->end()) {
      if (named != object_->end()) fail(key, "is there twice, once as \"" + snake + '"');
      named = other;
    }
  }
  return named == object_->end() || named->is_null() ? nullptr : &*named;
}

std::string Message::text(const std::string& key) const {
  const detail::Json* value = find(key);
  if (!value) return {};
  if (!value->is_string()) fail(key, "is not a string");
  return value->get<std::string>();
}

Bytes Message::bytes_in(const detail::Json& value, const std::string& key) const {
  if (!value.is_string()) fail(key, "is not a string");
  auto bytes = decode_base64(value.get_ref<const std::string&>());
  if (!bytes) fail(key, "is not base64");
  return *std::move(bytes);
}

Bytes Message::bytes(const std::string& key) const {
  const detail::Json* value = find(key);
  return value ? bytes_in(*value, key) : Bytes();
}

std::int64_t Message::whole(const std::string& key) const {
  const detail::Json* value = find(key);
  if (!value) return 0;
  std::optional<std::int64_t> number;
  if (value->is_string()) number = decode_decimal(value->get_ref<const std::string&>());
  if (value->is_number_unsigned() && value->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX))
    number = value->get<std::int64_t>();
  if (!number) fail(key, "is not a whole number from 0 on");
  return *number;
}

Message Message::message(const std::string& key, std::initializer_list<const char*> known) const {
  const detail::Json* value = find(key);
  if (!value) fail(key, "is missing");
  return Message(*value, source_ + ", \"" + key + '"', known);
}

const detail::Json* Message::list(const std::string& key) const {
  const detail::Json* value = find(key);
  if (value && !value->is_array()) fail(key, "is not a list");
  if (value && value->size() > 1024) fail(key, "is longer than 1024");
  return value;
}

std::vector<Message> Message::messages(const std::string& key,
                                       std::initializer_list<const char*> known) const {
  std::vector<Message> all;
  if (const detail::Json* value = list(key))
    for (const detail::Json& item : *value) all.emplace_back(item, source_ + ", \"" + key + '"', known);
  return all;
}

std::vector<Bytes> Message::list_of_bytes(const std::string& key) const {
  std::vector<Bytes> all;
  if (const detail::Json* value = list(key))
    for (const detail::Json& item : *value) all.push_back(bytes_in(item, key));
  return all;
}

}  // namespace graft::sigstore
