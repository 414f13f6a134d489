#include "chat/builtins.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>

#include "chat/text.h"

namespace graft::jinja {
namespace {

Value boolean(bool value) {
  return Value(Json(value));
}
Value string(std::string value) {
  return Value(Json(checked_size(std::move(value))));
}

Value length(const Value& value) {
  if (value.is_undefined()) return Value(Json(0));
  const std::size_t size = value.is_text()                ? characters(value.text()).size()
                           : value.json().is_structured() ? value.json().size()
                                                          : (misuse("the length of " + value.type_name()), 0);
  return Value(Json(static_cast<std::int64_t>(size)));
}

Value to_list(const std::vector<Value>& values) {
  Json list = Json::array();
  for (const Value& value : values) list.push_back(value.json());
  return Value(checked_size(std::move(list)));
}

Value join(const std::vector<Value>& parts, const std::string& separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text = checked_size(std::move(text) + (i ? separator : "") + parts[i].str());
  return string(std::move(text));
}

Value items(const Value& dict) {
  if (dict.is_undefined()) return Value(Json::array());
  if (!dict.json().is_object()) misuse("the items of " + dict.type_name());
  Json list = Json::array();
  for (const auto& [key, value] : dict.json().items()) list.push_back(Json::array({key, value}));
  return Value(std::move(list));
}

Value to_integer(const Value& value) {
  if (value.is_integer()) return Value(Json(value.integer()));
  if (!value.is_text()) unsupported("int of " + value.type_name());
  const std::string& text = value.text();
  std::int64_t result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size())
    unsupported("int of a string that is not digits");
  return Value(Json(result));
}

Value default_value(const Value& value, const Arguments& arguments) {
  arguments.expect(0, 2);
  const bool falsy_too = arguments.positional.size() > 1 && arguments.positional[1].truth();
  if (!value.is_undefined() && !(falsy_too && !value.truth())) return value;
  return arguments.positional.empty() ? string("") : arguments.positional[0];
}

// selectattr('role', 'equalto', 'user') and rejectattr: elements whose attribute passes the test.
Value select_by_attribute(const Value& value, const Arguments& arguments, bool keep) {
  if (!arguments.named.empty() || arguments.positional.empty())
    misuse("selectattr needs an attribute's name");
  const std::string& attribute = arguments.positional[0].text();
  Arguments rest;
  if (arguments.positional.size() > 2)
    rest.positional.assign(arguments.positional.begin() + 2, arguments.positional.end());
  std::vector<Value> kept;
  for (const Value& each : value.elements()) {
    const Value member = each.member(attribute);
    const bool passes = arguments.positional.size() > 1
                            ? apply_test(arguments.positional[1].text(), member, rest)
                            : member.truth();
    if (passes == keep) kept.push_back(each);
  }
  return to_list(kept);
}

Value map_attribute(const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() || arguments.named.size() != 1 ||
      arguments.named[0].first != "attribute") {
    unsupported("map other than map(attribute=…)");
  }
  std::vector<Value> members;
  for (const Value& each : value.elements()) members.push_back(each.member(arguments.named[0].second.text()));
  return to_list(members);
}

Value first_or_last(const Value& value, bool first) {
  const auto elements = value.elements();
  if (elements.empty()) return Value::undefined(first ? "the first of nothing" : "the last of nothing");
  return first ? elements.front() : elements.back();
}

Value reverse(const Value& value) {
  const Value none{Json()};
  return value.slice(none, none, Value(Json(-1)));
}

// Text filters work on what {{ }} would print; text methods on strings alone.
Value change_text(const std::string& name, const std::string& text, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (name == "replace") {
    arguments.expect(2, 3);
    return string(
        replace(text, given[0].text(), given[1].text(), given.size() > 2 ? given[2].integer() : -1));
  }
  arguments.expect(0, 0);
  return string(name == "upper"   ? upper(text)
                : name == "lower" ? lower(text)
                : name == "title" ? title(text)
                                  : capitalize(text));
}

Value range(const Arguments& arguments) {
  arguments.expect(1, 3);
  const auto& given = arguments.positional;
  const std::int64_t begin = given.size() > 1 ? given[0].integer() : 0,
                     end = given[given.size() > 1 ? 1 : 0].integer();
  const std::int64_t step = given.size() > 2 ? given[2].integer() : 1;
  if (step == 0) misuse("a range's step is 0");
  Json list = Json::array();
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (list.size() == 100'000) unsupported("a range of more than 100000 values");
    list.push_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return Value(std::move(list));
}

using Filter = std::function<Value(const Value&, const Arguments&)>;

// A filter without arguments of its own.
Filter plain(Value (*function)(const Value&)) {
  return [function](const Value& value, const Arguments& arguments) {
    arguments.expect(0, 0);
    return function(value);
  };
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> all = [] {
    std::map<std::string, Filter> table{
        {"length", plain(length)},
        {"items", plain(items)},
        {"int", plain(to_integer)},
        {"reverse", plain(reverse)},
        {"list", plain([](const Value& value) { return to_list(value.elements()); })},
        {"string", plain([](const Value& value) { return string(value.str()); })},
        {"safe", plain([](const Value& value) { return value; })},
        {"first", plain([](const Value& value) { return first_or_last(value, true); })},
        {"last", plain([](const Value& value) { return first_or_last(value, false); })},
        {"tojson", plain([](const Value& value) { return string(dump(value.json())); })},
        {"default", default_value},
        {"map", map_attribute},
        {"trim",
         [](const Value& value, const Arguments& arguments) {
           arguments.expect(0, 1);
           return string(strip(value.str(), Sides::both,
                               arguments.positional.empty() ? nullptr : &arguments.positional[0].text()));
         }},
        {"join",
         [](const Value& value, const Arguments& arguments) {
           arguments.expect(0, 1);
           return join(value.elements(), arguments.positional.empty() ? "" : arguments.positional[0].text());
         }},
        {"selectattr",
         [](const Value& value, const Arguments& arguments) {
           return select_by_attribute(value, arguments, true);
         }},
        {"rejectattr",
         [](const Value& value, const Arguments& arguments) {
           return select_by_attribute(value, arguments, false);
         }},
    };
    for (const char* name :
         {"replace", "upper", "lower", "capitalize"}) {  // Jinja's own title is not str.title
      table[name] = [name](const Value& value, const Arguments& arguments) {
        return change_text(name, value.str(), arguments);
      };
    }
    table["count"] = table["length"];
    table["d"] = table["default"];
    return table;
  }();
  return all;
}

using Test = bool (*)(const Value&);
const std::map<std::string, Test>& simple_tests() {
  static const std::map<std::string, Test> all{
      {"defined", [](const Value& v) { return !v.is_undefined(); }},
      {"undefined", [](const Value& v) { return v.is_undefined(); }},
      {"none", [](const Value& v) { return v.is_json() && v.json().is_null(); }},
      {"string", [](const Value& v) { return v.is_text(); }},
      {"mapping", [](const Value& v) { return v.is_json() && v.json().is_object(); }},
      {"boolean", [](const Value& v) { return v.is_json() && v.json().is_boolean(); }},
      {"true", [](const Value& v) { return v.is_json() && v.json() == true; }},
      {"false", [](const Value& v) { return v.is_json() && v.json() == false; }},
      {"integer", [](const Value& v) { return v.is_json() && v.json().is_number_integer(); }},
      {"float", [](const Value& v) { return v.is_json() && v.json().is_number_float(); }},
      {"number",
       [](const Value& v) { return v.is_json() && (v.json().is_number() || v.json().is_boolean()); }},
      {"even", [](const Value& v) { return v.integer() % 2 == 0; }},
      {"odd", [](const Value& v) { return v.integer() % 2 != 0; }},
      // Python's strings are sequences, and Jinja's undefined is an empty one.
      {"iterable",
       [](const Value& v) {
         return v.is_undefined() || v.is_text() || (v.is_json() && v.json().is_structured());
       }},
      {"sequence",
       [](const Value& v) {
         return v.is_undefined() || v.is_text() || (v.is_json() && v.json().is_structured());
       }},
  };
  return all;
}

Value call_text_method(const std::string& text, const std::string& name, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    arguments.expect(0, 1);
    const Sides sides = name == "strip" ? Sides::both : name == "lstrip" ? Sides::left : Sides::right;
    return string(
        strip(text, sides, given.empty() || given[0].json().is_null() ? nullptr : &given[0].text()));
  }
  if (name == "split") {
    arguments.expect(0, 2);
    const bool blank = given.empty() || given[0].json().is_null();
    return Value(
        Json(split(text, blank ? nullptr : &given[0].text(), given.size() > 1 ? given[1].integer() : -1)));
  }
  if (name == "startswith" || name == "endswith") {
    arguments.expect(1, 1);
    return boolean(name == "startswith" ? text.starts_with(given[0].text())
                                        : text.ends_with(given[0].text()));
  }
  if (name == "join") {
    arguments.expect(1, 1);
    for (const Value& each : given[0].elements()) each.text();
    return join(given[0].elements(), text);
  }
  if (name == "replace" || name == "upper" || name == "lower" || name == "title" || name == "capitalize") {
    return change_text(name, text, arguments);
  }
  unsupported("the method " + name + " of a string");
}

Value call_dict_method(const Value& dict, const std::string& name, const Arguments& arguments) {
  if (name == "get") {
    arguments.expect(1, 2);
    const Value found = dict.item(arguments.positional[0]);
    if (!found.is_undefined()) return found;
    return arguments.positional.size() > 1 ? arguments.positional[1] : Value(Json());
  }
  if (name != "items" && name != "keys" && name != "values") unsupported("the method " + name + " of a dict");
  arguments.expect(0, 0);
  if (name == "items") return items(dict);
  if (name == "keys") return to_list(dict.elements());
  Json list = Json::array();
  for (const Json& value : dict.json()) list.push_back(value);
  return Value(std::move(list));
}

}  // namespace

void Arguments::expect(std::size_t least, std::size_t most) const {
  if (!named.empty()) unsupported("the argument " + named[0].first);
  if (positional.size() < least || positional.size() > most)
    misuse("called with " + std::to_string(positional.size()) + " arguments");
}

bool is_dict_method(const std::string& name) {
  static constexpr std::array<std::string_view, 11> names{"clear",      "copy",   "fromkeys", "get",
                                                          "items",      "keys",   "pop",      "popitem",
                                                          "setdefault", "update", "values"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value call_function(const std::string& name, const Arguments& arguments) {
  if (name == "namespace") {
    Value::Namespace members;
    if (!arguments.positional.empty()) unsupported("namespace of a dict");
    for (const auto& [key, value] : arguments.named) members.insert_or_assign(key, value);
    return Value::new_namespace(std::move(members));
  }
  if (name == "range") return range(arguments);
  if (name == "raise_exception") {
    arguments.expect(1, 1);
    misuse("the template says: " + arguments.positional[0].str());
  }
  unsupported("the function " + name);
}

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) unsupported("the filter " + name);
  return found->second(value, arguments);
}

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  if (const auto found = simple_tests().find(name); found != simple_tests().end()) {
    arguments.expect(0, 0);
    return found->second(value);
  }
  const bool equality = name == "eq" || name == "equalto" || name == "==" || name == "ne" || name == "!=";
  if (!equality && name != "in") unsupported("the test " + name);
  arguments.expect(1, 1);
  if (name == "in") return contains(arguments.positional[0], value);
  return equal(value, arguments.positional[0]) != (name == "ne" || name == "!=");
}

Value call_method(const Value& object, const std::string& name, const Arguments& arguments) {
  if (object.as_namespace()) unsupported("the method " + name + " of a namespace");
  if (object.is_text()) return call_text_method(object.text(), name, arguments);
  if (object.json().is_object()) return call_dict_method(object, name, arguments);
  unsupported("the method " + name + " of " + object.type_name());
}

}  // namespace graft::jinja
