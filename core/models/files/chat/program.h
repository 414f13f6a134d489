// A parsed template: closures that run in a scope.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "chat/value.h"

namespace graft::jinja {

/// The variables of one rendering and the text so far. Throws Failure (unsupported) when a template runs too
/// long.
class Scope {
 public:
  explicit Scope(const Json& variables);

  Value lookup(const std::string& name) const;  // undefined if no frame has it
  void set(const std::string& name, Value value) { frames_.back().insert_or_assign(name, std::move(value)); }
  Value::Namespace* find_namespace(const std::string& name);

  /// A for loop's body has a frame of its own; Jinja's if has none.
  void push_frame() { frames_.emplace_back(); }
  void pop_frame() { frames_.pop_back(); }

  void at_line(int line);  // called by each statement
  int line() const { return line_; }
  void write(const std::string& text);
  /// The text so far, and starts anew with `text`.
  std::string exchange(std::string text) { return std::exchange(out_, std::move(text)); }

 private:
  std::vector<Value::Namespace> frames_{1};
  std::string out_;
  int line_ = 1;
  long steps_ = 0;
};

enum class Flow { next, leave_loop, next_turn };
using Expression = std::function<Value(Scope&)>;
using Statement = std::function<Flow(Scope&)>;

}  // namespace graft::jinja
