// A conversation as the text a model was trained to see. Models ship a Jinja template for it; this renders
// them.
//
// Understood of Jinja (as transformers sets it up: trim_blocks, lstrip_blocks, break and continue):
//   statements   if, elif, else, for (with filter, else, two targets, break, continue), set (also of a
//   namespace's
//                attribute, also as a block), generation, comments
//   expressions  literals, lists, dicts, + - * / // % ~, comparisons, in, and, or, not, a if b else c,
//   attributes, items,
//                slices, is
//   filters      capitalize count d default first int items join last length list lower map rejectattr
//   replace reverse
//                safe selectattr string tojson trim upper
//   tests        boolean defined eq equalto even false float in integer iterable mapping ne none number odd
//   sequence
//                string true undefined
//   functions    namespace raise_exception range
//   methods      of strings: capitalize endswith join lower lstrip replace rstrip split startswith strip
//   title upper;
//                of dicts: get items keys values
// Anything else is an error that names it and its line, never text that is silently different.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace graft {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  std::optional<std::string> reasoning_content =
      std::nullopt;  // an assistant's thoughts, if kept apart from content
};

struct ChatOptions {
  bool add_generation_prompt = true;      // end with the opening of an assistant's turn
  std::optional<bool> enable_thinking{};  // templates without thinking do not look at it
};

/// A parsed template. A handle to immutable data: cheap to copy, thread-safe.
class ChatTemplate {
 public:
  /// The template of the model in `folder`: chat_template.jinja, else "chat_template" in
  /// tokenizer_config.json (the one named "default" if there are several). Errors: not_found (it has none),
  /// corrupt, unsupported.
  static ChatTemplate from_folder(const std::filesystem::path& folder);

  /// `source` stands for the file in errors. Errors: corrupt (not Jinja), unsupported (Jinja not in the list
  /// above).
  static ChatTemplate parse(std::string_view jinja, const std::string& source = "chat template");

  /// The prompt; encode it with add_special_tokens off, as templates write their special tokens out.
  /// Errors: unsupported (a construct not in the list above), invalid_argument (the template refuses the
  /// conversation, or uses what is not there).
  std::string render(std::span<const ChatMessage> messages, ChatOptions options = {}) const;

  /// The same with any variables: a JSON object such as {"messages": […], "tools": […], "enable_thinking":
  /// false}.
  std::string render_json(std::string_view variables) const;

  struct Parts;

 private:
  explicit ChatTemplate(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

}  // namespace graft
