#include "chat/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tokenizer/utf8.h"

namespace graft::jinja {
namespace {

constexpr std::size_t largest_text = std::size_t{64} << 20;
constexpr std::size_t largest_list = 1'000'000;  // values, counting those within

std::size_t count_values(const Json& json) {
  std::size_t count = 1;
  if (json.is_structured()) {
    for (const Json& part : json) count += count_values(part);
  }
  return count;
}

bool is_number(const Value& value) {
  return value.is_json() && (value.json().is_number() || value.json().is_boolean());
}
double number(const Value& value) {
  return value.json().is_boolean() ? static_cast<double>(value.json().get<bool>())
                                   : value.json().get<double>();
}

// Python's index: from the end if negative.
std::size_t resolve(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < 0) index += length;
  return index < 0 || index >= length ? size : static_cast<std::size_t>(index);
}

std::vector<std::size_t> slice_indices(const Value& begin, const Value& end, const Value& step,
                                       std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  const auto left_out = [](const Value& bound) { return bound.json().is_null(); };
  const std::int64_t by = left_out(step) ? 1 : step.integer();
  if (by == 0) misuse("a slice's step is 0");
  const std::int64_t lowest = by > 0 ? 0 : -1, highest = by > 0 ? length : length - 1;
  const auto bound = [&](const Value& value, std::int64_t otherwise) {
    if (left_out(value)) return otherwise;
    const std::int64_t index = value.integer();
    return std::clamp(index < 0 ? index + length : index, lowest, highest);
  };
  const std::int64_t first = bound(begin, by > 0 ? lowest : highest),
                     last = bound(end, by > 0 ? highest : lowest);
  std::vector<std::size_t> indices;
  for (std::int64_t at = first; by > 0 ? at < last : at > last;) {
    indices.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, by, &at)) break;
  }
  return indices;
}

std::int64_t integer_arithmetic(char operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (operation) {
    case '+':
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    default: {  // Python rounds towards minus infinity
      if (b == 0) misuse("division by zero");
      if (b == -1) return operation == '%' ? 0 : integer_arithmetic('-', 0, a);
      const std::int64_t remainder = a % b;
      const bool below = remainder != 0 && (remainder < 0) != (b < 0);
      result = operation == '%' ? remainder + (below ? b : 0) : a / b - (below ? 1 : 0);
    }
  }
  if (overflow) unsupported("an integer beyond 64 bits");
  return result;
}

}  // namespace

void unsupported(const std::string& construct) {
  throw Failure{ErrorCode::unsupported, construct + " is not supported"};
}
void misuse(const std::string& why) {
  throw Failure{ErrorCode::invalid_argument, why};
}

std::string checked_size(std::string text) {
  if (text.size() > largest_text) unsupported("text of more than 64 MiB");
  return text;
}

Json checked_size(Json list) {
  if (count_values(list) > largest_list) unsupported("a list of more than a million values");
  return list;
}

Value Value::undefined(std::string name) {
  Value value;
  value.name_ = std::move(name);
  return value;
}

Value Value::new_namespace(Namespace members) {
  Value value;
  value.namespace_ = std::make_shared<Namespace>(std::move(members));
  return value;
}

const Json& Value::json() const {
  if (!json_) misuse(is_undefined() ? '"' + name_ + "\" is undefined" : "a namespace is used as a value");
  return *json_;
}

const std::string& Value::text() const {
  if (!json().is_string()) misuse("a string is needed, not " + type_name());
  return json().get_ref<const std::string&>();
}

std::int64_t Value::integer() const {
  if (!json().is_number_integer() && !json().is_boolean()) misuse("an integer is needed, not " + type_name());
  if (json().is_boolean()) return json().get<bool>() ? 1 : 0;
  if (json().is_number_unsigned() &&
      json().get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    unsupported("an integer beyond 64 bits");
  }
  return json().get<std::int64_t>();
}

bool Value::truth() const {
  if (!json_) return namespace_ != nullptr;
  switch (json_->type()) {
    case Json::value_t::null:
      return false;
    case Json::value_t::boolean:
      return json_->get<bool>();
    case Json::value_t::string:
      return !text().empty();
    case Json::value_t::array:
    case Json::value_t::object:
      return !json_->empty();
    default:
      return json_->get<double>() != 0;
  }
}

std::string Value::str() const {
  if (is_undefined()) return {};
  if (is_text()) return text();
  if (json().is_null()) return "None";
  if (json().is_boolean()) return json().get<bool>() ? "True" : "False";
  if (json().is_structured()) unsupported("printing " + type_name());
  return json().dump();
}

std::string Value::type_name() const {
  if (!json_) return namespace_ ? "a namespace" : "undefined \"" + name_ + '"';
  return json_->is_null()     ? "none"
         : json_->is_object() ? "a dict"
         : json_->is_array()  ? "a list"
                              : std::string("a ") + json_->type_name();
}

Value Value::member(const std::string& name) const {
  if (namespace_) {
    const auto found = namespace_->find(name);
    return found == namespace_->end() ? undefined(name) : found->second;
  }
  if (is_undefined()) misuse('"' + name_ + "\" is undefined, so it has no \"" + name + '"');
  if (!json_->is_object()) return undefined(name);
  const auto found = json_->find(name);
  return found == json_->end() ? undefined(name) : part(*found);
}

Value Value::item(const Value& key) const {
  if (key.is_text()) return member(key.text());
  if (is_undefined()) misuse('"' + name_ + "\" is undefined, so it has no items");
  if (json().is_array()) {
    const std::size_t at = resolve(key.integer(), json_->size());
    return at == json_->size() ? undefined("item " + key.str()) : part((*json_)[at]);
  }
  if (is_text()) {
    const auto all = characters(text());
    const std::size_t at = resolve(key.integer(), all.size());
    return at == all.size() ? undefined("item " + key.str()) : Value(Json(std::string(all[at])));
  }
  return undefined("item " + key.str());
}

Value Value::slice(const Value& begin, const Value& end, const Value& step) const {
  if (is_text()) {
    const auto all = characters(text());
    std::string result;
    for (const std::size_t at : slice_indices(begin, end, step, all.size())) result += all[at];
    return Value(Json(std::move(result)));
  }
  if (!json().is_array()) misuse("a slice of " + type_name());
  Json result = Json::array();
  for (const std::size_t at : slice_indices(begin, end, step, json_->size())) result.push_back((*json_)[at]);
  return Value(std::move(result));
}

std::vector<Value> Value::elements() const {
  std::vector<Value> result;
  if (is_undefined()) return result;  // Jinja's undefined is an empty list to a loop
  if (is_text()) {
    for (const std::string_view character : characters(text()))
      result.emplace_back(Json(std::string(character)));
  } else if (json().is_object()) {
    for (const auto& [key, value] : json_->items()) result.emplace_back(Json(key));
  } else if (json().is_array()) {
    for (const Json& each : *json_) result.push_back(part(each));
  } else {
    misuse(type_name() + " cannot be iterated");
  }
  return result;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (!a.is_json() || !b.is_json()) return a.as_namespace() == b.as_namespace();
  if (is_number(a) && is_number(b)) return number(a) == number(b);
  return a.json() == b.json();
}

bool less(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return number(a) < number(b);
  if (a.is_text() && b.is_text()) return a.text() < b.text();
  misuse("comparing " + a.type_name() + " with " + b.type_name());
}

bool contains(const Value& container, const Value& value) {
  if (container.is_text()) return container.text().find(value.text()) != std::string::npos;
  if (container.is_json() && container.json().is_object()) {
    return value.is_text() && container.json().contains(value.text());
  }
  const auto elements = container.elements();
  return std::any_of(elements.begin(), elements.end(), [&](const Value& each) { return equal(each, value); });
}

Value arithmetic(char operation, const Value& a, const Value& b) {
  if (operation == '+' && a.is_text() && b.is_text()) return Value(Json(checked_size(a.text() + b.text())));
  if (operation == '+' && a.json().is_array() && b.json().is_array()) {
    Json list = a.json();
    list.insert(list.end(), b.json().begin(), b.json().end());
    return Value(checked_size(std::move(list)));
  }
  if (operation == '*' && is_number(a) != is_number(b))
    unsupported("repeating " + (is_number(a) ? b : a).type_name());
  if (!is_number(a) || !is_number(b)) {
    misuse(std::string(1, operation == 'f' ? '/' : operation) + " of " + a.type_name() + " and " +
           b.type_name());
  }
  if (operation == '/') {
    if (number(b) == 0) misuse("division by zero");
    return Value(Json(number(a) / number(b)));
  }
  if (!a.is_integer() || !b.is_integer()) {
    if (operation == '%' || operation == 'f') unsupported("// and % of floats");
    const double x = number(a), y = number(b);
    return Value(Json(operation == '+' ? x + y : operation == '-' ? x - y : x * y));
  }
  return Value(Json(integer_arithmetic(operation, a.integer(), b.integer())));
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  for (std::size_t at = 0; at < text.size(); at += result.back().size()) {
    result.push_back(text.substr(at, detail::first_character(text.substr(at)).length));
  }
  return result;
}

std::string dump(const Json& json) {
  if (!json.is_structured()) return json.dump();
  std::string result;
  for (const auto& [key, value] : json.items()) {
    if (!result.empty()) result += ", ";
    if (json.is_object()) result += Json(key).dump() + ": ";
    result += dump(value);
  }
  return json.is_object() ? "{" + result + "}" : "[" + result + "]";
}

}  // namespace graft::jinja
