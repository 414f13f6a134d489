#include "graft/chat_template.h"

#include "chat/lexer.h"
#include "chat/parser.h"
#include "json_text.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/utf8.h"

namespace graft {

using jinja::Json;

struct ChatTemplate::Parts {
  jinja::Statement program;
  Json special_tokens = Json::object();  // bos_token and its kin: templates write some of them out
  std::string source;
};

namespace {

Error as_error(const jinja::Failure& failure, const std::string& source, const std::string& place) {
  const char* mend = failure.code == ErrorCode::unsupported ? "render the prompt yourself and encode that"
                     : failure.code == ErrorCode::corrupt   ? "mend the template or ask its publisher"
                                                            : "check the conversation";
  return Error(failure.code, source, failure.why + place, mend);
}

// The template in tokenizer_config.json: a string, or a list of {name, template}.
std::optional<std::string> template_of(const detail::Fields& config) {
  const detail::Json* value = config.find("chat_template");
  if (!value) return std::nullopt;
  if (!value->is_array()) return config.text("chat_template");
  for (const detail::Json& each : *value) {
    const detail::Fields named(each, config.source() + ", \"chat_template\"");
    if (named.text("name") == "default") return named.text("template");
  }
  config.fail("chat_template", "has none that is named default");
}

std::string valid_utf8(const std::string& text) {
  std::string valid;
  detail::append_valid(text, true, valid);
  return valid;
}

std::string run(const ChatTemplate::Parts& parts, Json variables) {
  for (const auto& [name, text] : parts.special_tokens.items()) {
    if (!variables.contains(name)) variables[name] = text;
  }
  jinja::Scope scope(variables);
  try {
    parts.program(scope);
  } catch (const jinja::Failure& failure) {
    throw as_error(failure, parts.source, ", line " + std::to_string(scope.line()));
  }
  return scope.exchange({});
}

}  // namespace

ChatTemplate ChatTemplate::from_folder(const std::filesystem::path& folder) {
  const auto config_path = folder / "tokenizer_config.json";
  const std::string config_text = detail::read_text_if_there(config_path).value_or("{}");
  const detail::Json json = detail::parse_object(config_text, config_path.string());
  const detail::Fields config(json, config_path.string());

  const auto file = detail::read_text_if_there(folder / "chat_template.jinja");
  const auto text = file ? file : template_of(config);
  if (!text) {
    throw Error(ErrorCode::not_found, folder.string(), "the model has no chat template",
                "take an instruction-tuned model, or give it plain text");
  }
  const ChatTemplate parsed = parse(*text, (file ? folder / "chat_template.jinja" : config_path).string());
  auto parts = std::make_shared<Parts>(*parsed.parts_);
  for (const char* key : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    if (const auto token = detail::special_token_text(config, key)) parts->special_tokens[key] = *token;
  }
  return ChatTemplate(std::move(parts));
}

ChatTemplate ChatTemplate::parse(std::string_view text, const std::string& source) {
  auto parts = std::make_shared<Parts>();
  parts->source = source;
  try {
    parts->program = jinja::parse(jinja::tokenize(valid_utf8(std::string(text))));
  } catch (const jinja::Failure& failure) {
    throw as_error(failure, source, "");
  }
  return ChatTemplate(std::move(parts));
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, ChatOptions options) const {
  Json variables{{"messages", Json::array()}, {"add_generation_prompt", options.add_generation_prompt}};
  if (options.enable_thinking) variables["enable_thinking"] = *options.enable_thinking;
  for (const ChatMessage& message : messages) {
    Json json{{"role", valid_utf8(message.role)}, {"content", valid_utf8(message.content)}};
    if (message.reasoning_content) json["reasoning_content"] = valid_utf8(*message.reasoning_content);
    variables["messages"].push_back(std::move(json));
  }
  return run(*parts_, std::move(variables));
}

std::string ChatTemplate::render_json(std::string_view variables) const {
  detail::parse_object(variables,
                       "the chat template's variables");  // for its errors; the order of keys is kept below
  return run(*parts_, Json::parse(variables));
}

}  // namespace graft
