#include <charconv>
#include <optional>

#include "chat/builtins.h"
#include "chat/parser.h"

namespace graft::jinja {
namespace {

// Bounds on one expression, so that neither parsing nor running it exhausts the stack.
constexpr int deepest = 60;
constexpr int most_operations = 500;

/// A call's arguments before they are computed.
struct ArgumentExpressions {
  std::vector<Expression> positional;
  std::vector<std::pair<std::string, Expression>> named;

  Arguments operator()(Scope& scope) const {
    Arguments result;
    for (const Expression& each : positional) result.positional.push_back(each(scope));
    for (const auto& [name, each] : named) result.named.emplace_back(name, each(scope));
    return result;
  }
};

Expression constant(Json json) {
  return [value = Value(std::move(json))](Scope&) { return value; };
}

class ExpressionParser {
 public:
  explicit ExpressionParser(Tokens& tokens) : tokens_(tokens) {}

  Expression condition() {
    const Nested nested(*this);
    Expression value = either();
    while (tokens_.accept_word("if")) {
      Expression test = either();
      Expression otherwise = [](Scope&) { return Value::undefined("the else of an if"); };
      if (tokens_.accept_word("else")) otherwise = condition();
      value = count([value, test, otherwise](Scope& scope) {
        return test(scope).truth() ? value(scope) : otherwise(scope);
      });
    }
    return value;
  }

  Expression either() {
    Expression left = both();
    while (tokens_.accept_word("or")) {
      left = count([left, right = both()](Scope& scope) {
        Value value = left(scope);
        return value.truth() ? value : right(scope);
      });
    }
    return left;
  }

 private:
  struct Nested {
    explicit Nested(ExpressionParser& parser) : parser(parser) {
      if (++parser.depth_ > deepest) parser.tokens_.refuse("an expression nested this deep");
    }
    ~Nested() { --parser.depth_; }
    ExpressionParser& parser;
  };

  Expression count(Expression expression) {
    if (++operations_ > most_operations) tokens_.refuse("an expression this long");
    return expression;
  }

  Expression both() {
    Expression left = negation();
    while (tokens_.accept_word("and")) {
      left = count([left, right = negation()](Scope& scope) {
        Value value = left(scope);
        return value.truth() ? right(scope) : value;
      });
    }
    return left;
  }

  Expression negation() {
    if (!tokens_.accept_word("not")) return comparison();
    const Nested nested(*this);
    return count([value = negation()](Scope& scope) { return Value(Json(!value(scope).truth())); });
  }

  // a < b < c means a < b and b < c.
  Expression comparison() {
    Expression left = sum();
    std::vector<std::pair<std::string, Expression>> chain;
    while (const auto operation = comparison_operator()) {
      chain.emplace_back(*operation, sum());
      count(nullptr);
    }
    if (chain.empty()) return left;
    return [left, chain](Scope& scope) {
      Value value = left(scope);
      for (const auto& [operation, next] : chain) {
        Value right = next(scope);
        if (!compare(operation, value, right)) return Value(Json(false));
        value = std::move(right);
      }
      return Value(Json(true));
    };
  }

  std::optional<std::string> comparison_operator() {
    for (const char* symbol : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (tokens_.accept_symbol(symbol)) return symbol;
    }
    if (tokens_.accept_word("in")) return "in";
    if (!tokens_.accept_word("not")) return std::nullopt;
    tokens_.expect(TokenKind::name, "in", "in after not");
    return "not in";
  }

  static bool compare(const std::string& operation, const Value& a, const Value& b) {
    if (operation == "==") return equal(a, b);
    if (operation == "!=") return !equal(a, b);
    if (operation == "<") return less(a, b);
    if (operation == ">") return less(b, a);
    if (operation == "<=") return !less(b, a);
    if (operation == ">=") return !less(a, b);
    return contains(b, a) == (operation == "in");
  }

  Expression sum() {
    Expression left = concatenation();
    while (tokens_.is_symbol("+") || tokens_.is_symbol("-")) {
      const char operation = tokens_.take().text[0];
      left = count([operation, left, right = concatenation()](Scope& scope) {
        const Value a = left(scope);
        return arithmetic(operation, a, right(scope));
      });
    }
    return left;
  }

  Expression concatenation() {
    Expression left = product();
    while (tokens_.accept_symbol("~")) {
      left = count([left, right = product()](Scope& scope) {
        std::string text = left(scope).str();
        return Value(Json(checked_size(std::move(text) + right(scope).str())));
      });
    }
    return left;
  }

  Expression product() {
    Expression left = unary();
    while (tokens_.is_symbol("*") || tokens_.is_symbol("/") || tokens_.is_symbol("//") ||
           tokens_.is_symbol("%")) {
      const std::string symbol = tokens_.take().text;
      left = count([operation = symbol == "//" ? 'f' : symbol[0], left, right = unary()](Scope& scope) {
        const Value a = left(scope);
        return arithmetic(operation, a, right(scope));
      });
    }
    if (tokens_.is_symbol("**")) tokens_.refuse("**");
    return left;
  }

  Expression unary() {
    const bool minus = tokens_.is_symbol("-");
    if (!minus && !tokens_.is_symbol("+")) return filtered(postfix(primary()));
    const Nested nested(*this);
    tokens_.take();
    Expression value = unary();
    if (!minus) return value;
    return count([value](Scope& scope) { return arithmetic('-', Value(Json(0)), value(scope)); });
  }

  Expression primary() {
    const Token token = tokens_.take();
    switch (token.kind) {
      case TokenKind::name:
        return name(token.text);
      case TokenKind::integer:
        return constant(parse_number<std::int64_t>(token.text));
      case TokenKind::real:
        return constant(parse_number<double>(token.text));
      case TokenKind::string: {
        std::string text = token.text;
        while (tokens_.is(TokenKind::string)) text += tokens_.take().text;  // neighbours join, as in Python
        return constant(std::move(text));
      }
      case TokenKind::symbol:
        if (token.text == "(") return parentheses();
        if (token.text == "[") return list("]");
        if (token.text == "{") return dict();
        break;
      default:
        break;
    }
    tokens_.fail("an expression is missing before \"" + token.text + '"');
  }

  Expression name(const std::string& name) {
    if (name == "true" || name == "True") return constant(true);
    if (name == "false" || name == "False") return constant(false);
    if (name == "none" || name == "None") return constant(nullptr);
    if (!tokens_.accept_symbol("(")) return [name](Scope& scope) { return scope.lookup(name); };
    return count(
        [name, arguments = arguments()](Scope& scope) { return call_function(name, arguments(scope)); });
  }

  template <typename Number>
  Number parse_number(const std::string& text) {
    Number number{};
    if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
      tokens_.refuse("the number " + text);
    return number;
  }

  Expression parentheses() {
    if (tokens_.is_symbol(")")) return list(")");
    Expression first = condition();
    if (tokens_.accept_symbol(")")) return first;
    return list(")", {first});
  }

  Expression list(std::string_view end, std::vector<Expression> parts = {}) {
    if (!parts.empty()) tokens_.expect(TokenKind::symbol, ",", ", or )");
    while (!tokens_.accept_symbol(end)) {
      parts.push_back(count(condition()));
      if (!tokens_.is_symbol(end)) tokens_.expect(TokenKind::symbol, ",", ", or " + std::string(end));
    }
    return [parts](Scope& scope) {
      Json values = Json::array();
      for (const Expression& each : parts) values.push_back(each(scope).json());
      return Value(checked_size(std::move(values)));
    };
  }

  Expression dict() {
    std::vector<std::pair<Expression, Expression>> members;
    while (!tokens_.accept_symbol("}")) {
      Expression key = condition();
      tokens_.expect(TokenKind::symbol, ":", ": after a dict's key");
      members.emplace_back(key, count(condition()));
      if (!tokens_.is_symbol("}")) tokens_.expect(TokenKind::symbol, ",", ", or }");
    }
    return [members](Scope& scope) {
      Json values = Json::object();
      for (const auto& [key, value] : members) {
        const Value name = key(scope);
        values[name.text()] = value(scope).json();
      }
      return Value(checked_size(std::move(values)));
    };
  }

  ArgumentExpressions arguments() {  // after the (
    ArgumentExpressions result;
    while (!tokens_.accept_symbol(")")) {
      if (tokens_.is_symbol("*") || tokens_.is_symbol("**")) tokens_.refuse("* in a call");
      Tokens ahead = tokens_;
      const Token first = ahead.take();
      if (first.kind == TokenKind::name && ahead.is_symbol("=")) {
        tokens_.take();
        tokens_.take();
        result.named.emplace_back(first.text, count(condition()));
      } else {
        result.positional.push_back(count(condition()));
      }
      if (!tokens_.is_symbol(")")) tokens_.expect(TokenKind::symbol, ",", ", or )");
    }
    return result;
  }

  Expression postfix(Expression object) {
    for (;;) {
      if (tokens_.accept_symbol(".")) {
        object = count(attribute(object));
      } else if (tokens_.accept_symbol("[")) {
        object = count(subscript(object));
      } else {
        return object;
      }
    }
  }

  Expression attribute(const Expression& object) {
    if (tokens_.is(TokenKind::integer)) {
      return [object, key = Value(Json(parse_number<std::int64_t>(tokens_.take().text)))](Scope& scope) {
        return object(scope).item(key);
      };
    }
    const std::string name = tokens_.expect_name();
    if (tokens_.accept_symbol("(")) {
      return [object, name, arguments = arguments()](Scope& scope) {
        const Value self = object(scope);
        return call_method(self, name, arguments(scope));
      };
    }
    return [object, name](Scope& scope) {
      const Value self = object(scope);
      if (self.is_json() && self.json().is_object() && is_dict_method(name))
        unsupported("the method " + name + " uncalled");
      return self.member(name);
    };
  }

  Expression subscript(const Expression& object) {
    const Expression none = constant(nullptr);
    Expression bounds[3] = {none, none, none};
    int colons = 0;
    while (!tokens_.accept_symbol("]")) {
      if (tokens_.accept_symbol(":")) {
        if (++colons > 2) tokens_.fail("a slice with three colons");
      } else {
        bounds[colons] = condition();
        if (!tokens_.is_symbol(":") && !tokens_.is_symbol("]")) tokens_.fail("] is missing");
      }
    }
    if (colons == 0)
      return [object, key = bounds[0]](Scope& scope) {
        const Value self = object(scope);
        return self.item(key(scope));
      };
    return [object, begin = bounds[0], end = bounds[1], step = bounds[2]](Scope& scope) {
      const Value self = object(scope);
      return self.slice(begin(scope), end(scope), step(scope));
    };
  }

  // Filters and tests bind tighter than any operator: a + b|trim is a + (b|trim).
  Expression filtered(Expression value) {
    for (;;) {
      if (tokens_.accept_symbol("|")) {
        const std::string name = tokens_.expect_name();
        const ArgumentExpressions given = tokens_.accept_symbol("(") ? arguments() : ArgumentExpressions{};
        value = count([value, name, given](Scope& scope) {
          const Value input = value(scope);
          return apply_filter(name, input, given(scope));
        });
        value = postfix(value);
      } else if (tokens_.accept_word("is")) {
        value = count(test(value));
      } else {
        if (tokens_.is_symbol("(")) tokens_.refuse("a call of this");
        return value;
      }
    }
  }

  Expression test(const Expression& value) {
    const bool negated = tokens_.accept_word("not");
    const std::string name =
        tokens_.is_symbol("==") || tokens_.is_symbol("!=") ? tokens_.take().text : tokens_.expect_name();
    ArgumentExpressions given;
    if (tokens_.accept_symbol("(")) {
      given = arguments();
    } else if (starts_argument()) {
      given.positional.push_back(postfix(primary()));
    }
    return [value, negated, name, given](Scope& scope) {
      const Value input = value(scope);
      return Value(Json(apply_test(name, input, given(scope)) != negated));
    };
  }

  bool starts_argument() const {
    if (tokens_.is(TokenKind::string) || tokens_.is(TokenKind::integer) || tokens_.is(TokenKind::real))
      return true;
    if (tokens_.is_symbol("[") || tokens_.is_symbol("{")) return true;
    if (!tokens_.is(TokenKind::name)) return false;
    for (const char* word : {"else", "or", "and", "is", "if", "in", "not"}) {
      if (tokens_.is_word(word)) return false;
    }
    return true;
  }

  Tokens& tokens_;
  int depth_ = 0;
  int operations_ = 0;
};

}  // namespace

Expression parse_expression(Tokens& tokens, bool with_condition) {
  ExpressionParser parser(tokens);
  return with_condition ? parser.condition() : parser.either();
}

}  // namespace graft::jinja
