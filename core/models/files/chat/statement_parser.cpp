#include <algorithm>
#include <initializer_list>

#include "chat/parser.h"

namespace graft::jinja {
namespace {

constexpr int deepest = 40;  // statements within statements

Flow run(const std::vector<Statement>& body, Scope& scope) {
  for (const Statement& statement : body) {
    if (const Flow flow = statement(scope); flow != Flow::next) return flow;
  }
  return Flow::next;
}

struct Loop {
  std::vector<std::string> targets;
  Expression sequence, filter;  // filter may be empty
  std::vector<Statement> body, otherwise;
  int line;

  Flow operator()(Scope& scope) const {
    scope.at_line(line);
    const std::vector<Value> elements = chosen(scope);
    if (elements.empty()) return run(otherwise, scope);
    for (std::size_t i = 0; i < elements.size(); ++i) {
      scope.at_line(line);
      scope.push_frame();
      bind(scope, elements[i]);
      scope.set("loop", position(elements, i));
      const Flow flow = run(body, scope);
      scope.pop_frame();
      if (flow == Flow::leave_loop) break;
    }
    return Flow::next;
  }

 private:
  std::vector<Value> chosen(Scope& scope) const {
    std::vector<Value> elements = sequence(scope).elements();
    if (!filter) return elements;
    std::erase_if(elements, [&](const Value& each) {
      scope.push_frame();
      bind(scope, each);
      const bool keep = filter(scope).truth();
      scope.pop_frame();
      return !keep;
    });
    return elements;
  }

  void bind(Scope& scope, const Value& element) const {
    if (targets.size() == 1) return scope.set(targets[0], element);
    const std::vector<Value> parts = element.elements();
    if (parts.size() != targets.size()) misuse("a loop's targets do not fit its elements");
    for (std::size_t i = 0; i < parts.size(); ++i) scope.set(targets[i], parts[i]);
  }

  static Value position(const std::vector<Value>& elements, std::size_t at) {
    const auto index = static_cast<std::int64_t>(at), length = static_cast<std::int64_t>(elements.size());
    Value::Namespace members{{"index0", Json(index)},
                             {"index", Json(index + 1)},
                             {"revindex0", Json(length - index - 1)},
                             {"revindex", Json(length - index)},
                             {"length", Json(length)},
                             {"first", Json(index == 0)},
                             {"last", Json(index == length - 1)}};
    if (at > 0) members.insert_or_assign("previtem", elements[at - 1]);
    if (at + 1 < elements.size()) members.insert_or_assign("nextitem", elements[at + 1]);
    return Value::new_namespace(std::move(members));
  }
};

struct Branch {
  Expression condition;  // empty: else
  std::vector<Statement> body;
};

class StatementParser {
 public:
  explicit StatementParser(Tokens tokens) : tokens_(std::move(tokens)) {}

  Statement whole() {
    std::vector<Statement> body = statements({});
    if (!tokens_.is(TokenKind::end)) tokens_.fail('"' + tokens_.peek().text + "\" without its beginning");
    return [body](Scope& scope) { return run(body, scope); };
  }

 private:
  /// Up to a statement that begins with one of `ends` (left at that word), or the end.
  std::vector<Statement> statements(std::initializer_list<std::string_view> ends) {
    if (++depth_ > deepest) tokens_.refuse("nesting this deep");
    std::vector<Statement> body;
    while (!tokens_.is(TokenKind::end)) {
      const Token token = tokens_.take();
      if (token.kind == TokenKind::text) {
        body.push_back([text = token.text](Scope& scope) {
          scope.write(text);
          return Flow::next;
        });
      } else if (token.kind == TokenKind::output_begin) {
        body.push_back(output(token.line));
      } else if (std::find(ends.begin(), ends.end(), tokens_.peek().text) != ends.end()) {
        break;
      } else {
        body.push_back(statement(token.line));
      }
    }
    if (ends.size() != 0 && tokens_.is(TokenKind::end))
      tokens_.fail("\"" + std::string(*ends.begin()) + "\" is missing");
    --depth_;
    return body;
  }

  void end_tag() { tokens_.expect(TokenKind::statement_end, "", "%}"); }
  void end_tag(std::string_view word) {
    tokens_.expect(TokenKind::name, word, std::string(word));
    end_tag();
  }

  Statement output(int line) {
    Expression value = parse_expression(tokens_);
    tokens_.expect(TokenKind::output_end, "", "}}");
    return [value, line](Scope& scope) {
      scope.at_line(line);
      scope.write(value(scope).str());
      return Flow::next;
    };
  }

  Statement statement(int line) {
    const std::string word = tokens_.expect_name();
    if (word == "if") return branches(line);
    if (word == "for") return loop(line);
    if (word == "set") return assignment(line);
    if (word == "break" || word == "continue") {
      if (loops_ == 0) tokens_.fail(word + " outside a loop");
      end_tag();
      return [flow = word == "break" ? Flow::leave_loop : Flow::next_turn](Scope&) { return flow; };
    }
    if (word == "generation") {  // marks what the assistant says, for training on it alone
      end_tag();
      std::vector<Statement> body = statements({"endgeneration"});
      end_tag("endgeneration");
      return [body](Scope& scope) { return run(body, scope); };
    }
    if (word.starts_with("end") || word.starts_with("el")) tokens_.fail(word + " without its beginning");
    tokens_.refuse("the statement " + word);
  }

  Statement branches(int line) {
    std::vector<Branch> all;
    for (bool more = true; more;) {
      Expression condition = parse_expression(tokens_);
      end_tag();
      all.push_back({condition, statements({"endif", "elif", "else"})});
      more = tokens_.accept_word("elif");
    }
    if (tokens_.accept_word("else")) {
      end_tag();
      all.push_back({nullptr, statements({"endif"})});
    }
    end_tag("endif");
    return [all, line](Scope& scope) {
      scope.at_line(line);
      for (const Branch& branch : all) {
        if (!branch.condition || branch.condition(scope).truth()) return run(branch.body, scope);
      }
      return Flow::next;
    };
  }

  Statement loop(int line) {
    Loop loop;
    loop.line = line;
    const bool parenthesised = tokens_.accept_symbol("(");
    do loop.targets.push_back(tokens_.expect_name());
    while (tokens_.accept_symbol(","));
    if (parenthesised) tokens_.expect(TokenKind::symbol, ")", ")");
    tokens_.expect(TokenKind::name, "in", "in");
    loop.sequence = parse_expression(tokens_, false);
    if (tokens_.accept_word("if")) loop.filter = parse_expression(tokens_);
    if (tokens_.is_word("recursive")) tokens_.refuse("a recursive loop");
    end_tag();
    ++loops_;
    loop.body = statements({"endfor", "else"});
    --loops_;
    if (tokens_.accept_word("else")) {
      end_tag();
      loop.otherwise = statements({"endfor"});
    }
    end_tag("endfor");
    return loop;
  }

  Statement assignment(int line) {
    const std::string name = tokens_.expect_name();
    const std::string member = tokens_.accept_symbol(".") ? tokens_.expect_name() : "";
    if (tokens_.is_symbol(",")) tokens_.refuse("set with several targets");
    if (tokens_.accept_symbol("=")) {
      Expression value = parse_expression(tokens_);
      end_tag();
      return [name, member, value, line](Scope& scope) {
        scope.at_line(line);
        assign(scope, name, member, value(scope));
        return Flow::next;
      };
    }
    if (tokens_.is_symbol("|")) tokens_.refuse("set with a filter");
    end_tag();
    std::vector<Statement> body = statements({"endset"});
    end_tag("endset");
    return [name, member, body, line](Scope& scope) {
      scope.at_line(line);
      std::string outside = scope.exchange({});
      const Flow flow = run(body, scope);
      std::string text = scope.exchange(std::move(outside));
      assign(scope, name, member, Value(Json(std::move(text))));
      return flow;
    };
  }

  static void assign(Scope& scope, const std::string& name, const std::string& member, Value value) {
    if (member.empty()) return scope.set(name, std::move(value));
    Value::Namespace* members = scope.find_namespace(name);
    if (!members) misuse('"' + name + "\" is not a namespace");
    members->insert_or_assign(member, std::move(value));
  }

  Tokens tokens_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Statement parse(std::vector<Token> tokens) {
  return StatementParser(Tokens(std::move(tokens))).whole();
}

void Tokens::fail(const std::string& why) const {
  throw Failure{ErrorCode::corrupt, why + ", line " + std::to_string(peek().line)};
}

void Tokens::refuse(const std::string& construct) const {
  throw Failure{ErrorCode::unsupported, construct + " is not supported, line " + std::to_string(peek().line)};
}

void Tokens::expect(TokenKind kind, std::string_view text, const std::string& what) {
  if (!is(kind, text)) fail(what + " is missing before \"" + peek().text + '"');
  take();
}

std::string Tokens::expect_name() {
  if (!is(TokenKind::name)) fail("a name is missing before \"" + peek().text + '"');
  return take().text;
}

Scope::Scope(const Json& variables) {
  for (const auto& [name, value] : variables.items()) set(name, Value(value));
}

Value Scope::lookup(const std::string& name) const {
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    if (const auto found = frame->find(name); found != frame->end()) return found->second;
  }
  return Value::undefined(name);
}

Value::Namespace* Scope::find_namespace(const std::string& name) {
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    if (const auto found = frame->find(name); found != frame->end()) return found->second.as_namespace();
  }
  return nullptr;
}

void Scope::at_line(int line) {
  line_ = line;
  if (++steps_ > 2'000'000) unsupported("a template that runs this long");
}

void Scope::write(const std::string& text) {
  out_ += text;
  if (out_.size() > (std::size_t{64} << 20)) unsupported("text of more than 64 MiB");
}

}  // namespace graft::jinja
