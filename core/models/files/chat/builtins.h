// The functions, filters, tests and methods a template may use: chat_template.h lists them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chat/value.h"

namespace graft::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Errors: misuse, for a count outside [least, most]; unsupported, for any named argument.
  void expect(std::size_t least, std::size_t most) const;
};

/// Each throws Failure: unsupported for a name it does not know, misuse for values it cannot take.
Value call_function(const std::string& name, const Arguments& arguments);
Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
bool apply_test(const std::string& name, const Value& value, const Arguments& arguments);
Value call_method(const Value& object, const std::string& name, const Arguments& arguments);

/// Python's dict has these; x.items is the method, whatever keys the dict has.
bool is_dict_method(const std::string& name);

}  // namespace graft::jinja
