#include "graft/chat_template.h"

#include "graft/tokenizer.h"
#include "support.h"

namespace graft {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;
using testing::throws_error;

void expect_all(const std::filesystem::path& model, const json& cases) {
  const ChatTemplate chat = ChatTemplate::from_folder(model);
  const Tokenizer tokenizer = Tokenizer::from_file(model / "tokenizer.json");
  ASSERT_FALSE(cases.empty());
  for (const json& one : cases) {
    SCOPED_TRACE(one["messages"].dump() + one["options"].dump());
    std::vector<ChatMessage> messages;
    for (const json& message : one["messages"]) messages.push_back({message["role"], message["content"]});
    ChatOptions options;
    for (const auto& [key, value] : one["options"].items()) {
      if (key == "enable_thinking") {
        options.enable_thinking = value.get<bool>();
      } else {
        ASSERT_EQ(key, "add_generation_prompt");
        options.add_generation_prompt = value.get<bool>();
      }
    }
    const std::string text = chat.render(messages, options);
    EXPECT_EQ(text, one["text"].get<std::string>());
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false}),
              one["ids"].get<std::vector<std::int64_t>>());
  }
}

TEST(ChatTemplate, SmolLm2PromptsAreThoseOfTransformers) {
  expect_all(testing::smollm2(), testing::read_json(testing::kGolden / "chat_cases.json"));
}

TEST(ChatTemplate, ThinkingPromptsAreThoseOfTransformers) {
  const auto folder = testing::kGolden / "tiny-qwen-tokenizer";
  expect_all(folder, testing::read_json(folder / "cases.json")["chats"]);
}

TEST(ChatTemplate, ReasoningAndToolsReachTheTemplate) {
  const ChatTemplate chat = ChatTemplate::from_folder(testing::kGolden / "tiny-qwen-tokenizer");
  const std::vector<ChatMessage> messages{{"user", "2 + 2?"}, {"assistant", "4", "easy"}};
  EXPECT_EQ(
      chat.render(messages, {.add_generation_prompt = false}),
      "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n<think>\neasy\n</think>\n\n4<|im_end|>\n");
  EXPECT_EQ(chat.render_json(
                R"({"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","args":[1,true]}]})"),
            "<|im_start|>system\nTools:\n{\"name\": \"f\", \"args\": [1, "
            "true]}<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n");
}

TEST(ChatTemplate, TheFileWinsOverTheConfigAndSpecialTokensAreVariables) {
  TemporaryFolder folder;
  testing::write_file(folder / "tokenizer_config.json",
                      R"({"chat_template":"config","bos_token":"<s>","eos_token":{"content":"</s>"}})");
  EXPECT_EQ(ChatTemplate::from_folder(folder.path()).render({}), "config");
  testing::write_file(folder / "chat_template.jinja", "{{ bos_token }}file{{ eos_token }}{{ pad_token }}");
  EXPECT_EQ(ChatTemplate::from_folder(folder.path()).render({}), "<s>file</s>");
}

TEST(ChatTemplate, OfSeveralTheDefaultIsTaken) {
  TemporaryFolder folder;
  testing::write_file(
      folder / "tokenizer_config.json",
      R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})");
  EXPECT_EQ(ChatTemplate::from_folder(folder.path()).render({}), "d");
  testing::write_file(folder / "tokenizer_config.json",
                      R"({"chat_template":[{"name":"tool_use","template":"t"}]})");
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "default", [&] { ChatTemplate::from_folder(folder.path()); }));
  testing::write_file(folder / "tokenizer_config.json", R"({"chat_template":5})");
  EXPECT_TRUE(
      throws_error(ErrorCode::corrupt, "chat_template", [&] { ChatTemplate::from_folder(folder.path()); }));
}

TEST(ChatTemplate, AModelWithoutOneIsNamed) {
  TemporaryFolder folder;
  EXPECT_TRUE(throws_error(ErrorCode::not_found, folder.path().string(),
                           [&] { ChatTemplate::from_folder(folder.path()); }));
}

TEST(ChatTemplate, TextThatIsNotUtf8IsRenderedWithReplacementCharacters) {
  const std::vector<ChatMessage> messages{{"user", "a\xff"}};
  EXPECT_EQ(ChatTemplate::parse("{{ messages[0].content }}").render(messages), "a\uFFFD");
}

TEST(ChatTemplate, ErrorsNameTheTemplateAndItsLine) {
  const auto chat = ChatTemplate::parse("\n\n{{ messages[0].content + 1 }}", "the/template");
  const std::vector<ChatMessage> messages{{"user", "a"}};
  EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "the/template", [&] { chat.render(messages); }));
  EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "line 3", [&] { chat.render(messages); }));
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "line 2",
                           [] { ChatTemplate::parse("\n{% macro f() %}{% endmacro %}"); }));
}

TEST(ChatTemplate, WhatTheTemplateSaysAgainstAConversationIsTheError) {
  const auto chat = ChatTemplate::parse("{{ raise_exception('roles must alternate') }}");
  EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "roles must alternate", [&] { chat.render({}); }));
}

TEST(ChatTemplate, VariablesThatAreNotAJsonObjectAreRefused) {
  const auto chat = ChatTemplate::parse("x");
  for (const char* variables : {"", "[]", "{", "\xff"}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "variables", [&] { chat.render_json(variables); }))
        << variables;
  }
}

}  // namespace
}  // namespace graft
