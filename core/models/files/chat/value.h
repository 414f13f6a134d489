// What a template's expressions compute: Python's values as far as JSON has them, undefined, and namespaces.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "graft/error.h"

namespace graft::jinja {

using Json = nlohmann::ordered_json;  // dicts keep their order, as Python's do

/// What stops a template: the error gets source and line where it is caught.
struct Failure {
  ErrorCode code;
  std::string why;
};
[[noreturn]] void unsupported(const std::string& construct);  // "CONSTRUCT is not supported"
[[noreturn]] void misuse(const std::string& why);             // Python would raise

/// Cheap to copy: JSON is shared, and a part of it shares the whole.
class Value {
 public:
  using Namespace = std::map<std::string, Value>;

  static Value undefined(std::string name);
  static Value new_namespace(Namespace members);
  Value(Json json) : json_(std::make_shared<const Json>(std::move(json))) {}
  Value(std::shared_ptr<const Json> whole, const Json& part) : json_(std::move(whole), &part) {}

  bool is_undefined() const { return !json_ && !namespace_; }
  bool is_json() const { return json_ != nullptr; }
  Namespace* as_namespace() const { return namespace_.get(); }
  const std::string& undefined_name() const { return name_; }

  /// Errors: misuse if undefined or a namespace.
  const Json& json() const;
  const std::string& text() const;  // errors: misuse unless a string
  std::int64_t integer() const;     // errors: misuse unless an integer or a bool
  bool is_text() const { return json_ && json_->is_string(); }
  bool is_integer() const { return json_ && (json_->is_number_integer() || json_->is_boolean()); }
  bool truth() const;             // Python's bool()
  std::string str() const;        // Python's str(), as {{ }} prints. Errors: unsupported for lists and dicts
  std::string type_name() const;  // "string", for messages

  /// x.name and x['name']: a dict's or namespace's member; undefined if absent. Errors: misuse on undefined.
  Value member(const std::string& name) const;
  Value item(const Value& key) const;                                          // x[key]
  Value slice(const Value& begin, const Value& end, const Value& step) const;  // none: left out
  /// What a for loop goes through. Errors: misuse.
  std::vector<Value> elements() const;

 private:
  Value() = default;
  Value part(const Json& json) const { return Value(json_, json); }

  std::shared_ptr<const Json> json_;
  std::shared_ptr<Namespace> namespace_;
  std::string name_;
};

bool equal(const Value& a, const Value& b);
bool less(const Value& a, const Value& b);  // errors: misuse unless both numbers or both strings
bool contains(const Value& container, const Value& value);         // value in container
Value arithmetic(char operation, const Value& a, const Value& b);  // + - * % /, and f for //

/// Errors: unsupported if it is larger than any chat should be.
std::string checked_size(std::string text);
Json checked_size(Json list);

/// Characters of UTF-8 text.
std::vector<std::string_view> characters(std::string_view text);

/// Python's json.dumps(ensure_ascii=False).
std::string dump(const Json& json);

}  // namespace graft::jinja
