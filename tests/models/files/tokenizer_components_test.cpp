// The components of tokenizer.json: what each does, and what is refused.
#include "small_tokenizer.h"
#include "support.h"

namespace graft {
namespace {

using nlohmann::json;
using testing::added_token;
using testing::Ids;
using testing::make;
using testing::small_tokenizer;
using testing::throws_error;
using testing::words;
using Words = std::vector<std::string>;

json with(const std::string& pointer, json value) {
  json file = small_tokenizer();
  file[json::json_pointer(pointer)] = std::move(value);
  return file;
}

::testing::AssertionResult refuses(ErrorCode code, const std::string& part, const std::string& pointer,
                                   json value) {
  return throws_error(code, part, [&] { make(with(pointer, std::move(value))); });
}

// Each word that the pre-tokenizer makes ends up as one token, as long as no two of its bytes merge: so
// letters are told by a vocabulary in which "ab" merges.
Words split(json pre_tokenizer, std::string_view text) {
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return words(make(with("/pre_tokenizer",
                         {{"type", "Sequence"}, {"pretokenizers", {std::move(pre_tokenizer), byte_level}}})),
               text);
}

json split_at(const std::string& kind, const std::string& pattern, const std::string& behavior,
              bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{kind, pattern}}}, {"behavior", behavior}, {"invert", invert}};
}

TEST(PreTokenizer, SplitsMergeNothingAcrossTheirCuts) {
  EXPECT_EQ(split(split_at("String", "z", "Isolated"), "hellozhello"), (Words{"hello", "z", "hello"}));
  EXPECT_EQ(split(split_at("String", "ell", "Isolated"), "hello"), (Words{"h", "e", "ll", "o"}));
  EXPECT_EQ(split(split_at("String", "e", "Removed"), "hello"), (Words{"h", "ll", "o"}));
  EXPECT_EQ(split(split_at("String", "ll", "Removed", true), "hello"), (Words{"ll"}));
  EXPECT_EQ(split(split_at("String", "e", "MergedWithPrevious"), "hello"), (Words{"he", "ll", "o"}));
  EXPECT_EQ(split(split_at("String", "e", "MergedWithNext"), "hello"), (Words{"h", "e", "ll", "o"}));
  EXPECT_EQ(split(split_at("String", "l", "Contiguous"), "hello"), (Words{"he", "ll", "o"}));
  EXPECT_EQ(split(split_at("String", "l", "Isolated"), "hello"), (Words{"he", "l", "l", "o"}));
}

TEST(PreTokenizer, AStringIsNotARegularExpression) {
  EXPECT_EQ(split(split_at("String", "e.", "Isolated"), "hello"), (Words{"hello"}));
  EXPECT_EQ(split(split_at("Regex", "e.", "Isolated"), "hello"), (Words{"h", "e", "l", "lo"}));
}

TEST(PreTokenizer, EmptyMatchesCutBetweenAllLetters) {
  EXPECT_EQ(split(split_at("Regex", "x*", "Isolated"), "hello"), (Words{"h", "e", "l", "l", "o"}));
  EXPECT_EQ(split(split_at("String", "", "Isolated"), "hello"), (Words{"h", "e", "l", "l", "o"}));
}

TEST(PreTokenizer, DigitsAreCutOneByOneOrTogether) {
  json file = small_tokenizer();
  file["model"]["vocab"]["11"] = 265;
  file["model"]["merges"].push_back("1 1");
  const auto digits = [&](bool individual) {
    file["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Digits"}, {"individual_digits", individual}},
                               {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}}}};
    return words(make(file), "11 11");
  };
  EXPECT_EQ(digits(true), (Words{"1", "1", " ", "1", "1"}));
  EXPECT_EQ(digits(false), (Words{"11", " ", "11"}));
}

TEST(PreTokenizer, AddPrefixSpacePutsOneWhereNoneIs) {
  const json file = with("/pre_tokenizer/add_prefix_space", true);
  EXPECT_EQ(words(make(file), "hello"), (Words{" hello"}));
  EXPECT_EQ(words(make(file), " hello"), (Words{" hello"}));
}

TEST(PreTokenizer, WhatIsNotByteLevelIsUnsupportedAndNamed) {
  const json byte_level = {{"type", "ByteLevel"}};
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "\"Metaspace\"", "/pre_tokenizer", {{"type", "Metaspace"}}));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "end in ByteLevel", "/pre_tokenizer", {{"type", "Digits"}}));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "after ByteLevel", "/pre_tokenizer",
                      {{"type", "Sequence"}, {"pretokenizers", {byte_level, {{"type", "Digits"}}}}}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "pre_tokenizer", "/pre_tokenizer", nullptr));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "type", "/pre_tokenizer", json::object()));
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "\"Sideways\"",
                           [] { split(split_at("String", "x", "Sideways"), ""); }));
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "\"String\" is missing",
                           [] { split(split_at("Glob", "x", "Isolated"), ""); }));
}

TEST(Regex, ReadsOnigurumasClasses) {
  const auto cuts = [](const std::string& pattern, std::string_view text) {
    return split(split_at("Regex", pattern, "Isolated"), text).size() > 1;
  };
  EXPECT_FALSE(cuts(R"([\s])", "ab\u180Eab") &&
               split(split_at("Regex", R"(\s)", "Isolated"), "ab\u180E").size() == 2);
  EXPECT_EQ(split(split_at("Regex", R"(\s+)", "Removed"),
                  "ab \t\u3000\u0085"
                  "ab"),
            (Words{"ab", "ab"}));
  EXPECT_EQ(split(split_at("Regex", R"(\S+)", "Removed"), "ab ab"), (Words{" "}));
  EXPECT_EQ(split(split_at("Regex", R"(\d)", "Removed"),
                  "ab\u0663"
                  "ab"),
            (Words{"ab", "ab"}));
  EXPECT_EQ(split(split_at("Regex", R"(\w+)", "Removed"), "ab_\u0301!\u00BD"), (Words{"!"}));
  EXPECT_EQ(split(split_at("Regex", R"([\w]+)", "Removed"), "ab!"), (Words{"!"}));
  EXPECT_EQ(split(split_at("Regex", R"(\W+)", "Removed"), "ab!?"), (Words{"ab"}));
  EXPECT_EQ(split(split_at("Regex", R"([^\S]|\P{^L})", "Removed"), "!a b!"), (Words{"!", "!"}));
  EXPECT_EQ(split(split_at("Regex", R"(\u0061\x{62})", "Removed"), "!ab!"), (Words{"!", "!"}));
  EXPECT_EQ(split(split_at("Regex", R"(\p{Han}+)", "Removed"), "ab\u4e2d\u6587"), (Words{"ab"}));
  EXPECT_EQ(split(split_at("Regex", "(?i)AB|(?i:L)", "Removed"), "abhel"), (Words{"he"}));
  EXPECT_EQ(split(split_at("Regex", "^a|b$", "Removed"), "ab\nab"), (Words{"\n"}));
}

TEST(Regex, WhatPcre2WouldReadDifferentlyIsUnsupportedAndNamed) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {R"(a{2}+)", "{n}+"},
      {R"(a{2}?)", "{n}?"},
      {R"(a{,2})", "{,n}"},
      {R"(a{2)", "{ without }"},
      {R"([a&&b])", "&&"},
      {R"([a[b]])", "[ within"},
      {R"([]a])", "] as the first"},
      {R"([a)", "[ without ]"},
      {R"(\h)", "\\h"},
      {R"(\bx)", "\\b"},
      {R"([\W])", "\\W within"},
      {R"(\1)", "\\1"},
      {R"(a(?i)b)", "(?i)"},
      {R"((?<n>a))", "(?<n"},
      {R"((*FAIL))", "(*"},
      {R"(\u12)", "\\u"},
      {R"(\pL)", "\\p"},
      {"a\\", "\\ at the end"},
      {R"(\p{Nonsense})", "Nonsense"},
      {"(", "missing"},
  };
  for (const auto& [pattern, part] : refused) {
    EXPECT_TRUE(throws_error(ErrorCode::unsupported, part, [&] {
      split(split_at("Regex", pattern, "Isolated"), "");
    })) << pattern;
  }
}

TEST(Regex, APatternThatBacktracksWithoutEndIsAnErrorNotAHang) {
  const auto run = [] { split(split_at("Regex", "(a+)+[bc]", "Isolated"), std::string(3000, 'a')); };
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "regular expression", run));
}

TEST(Normalizer, NormalFormsAreApplied) {
  const auto normalized = [](json normalizer) {
    const Tokenizer tokenizer = make(with("/normalizer", std::move(normalizer)));
    return tokenizer.decode(tokenizer.encode("e\u0301 \u00E9 \uFB01"));
  };
  EXPECT_EQ(normalized(nullptr), "e\u0301 \u00E9 \uFB01");
  EXPECT_EQ(normalized({{"type", "NFC"}}), "\u00E9 \u00E9 \uFB01");
  EXPECT_EQ(normalized({{"type", "NFD"}}), "e\u0301 e\u0301 \uFB01");
  EXPECT_EQ(normalized({{"type", "NFKC"}}), "\u00E9 \u00E9 fi");
  EXPECT_EQ(normalized({{"type", "NFKD"}}), "e\u0301 e\u0301 fi");
  EXPECT_EQ(normalized({{"type", "Sequence"}, {"normalizers", {{{"type", "NFKD"}}, {{"type", "NFC"}}}}}),
            "\u00E9 \u00E9 fi");
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "\"Lowercase\"", "/normalizer", {{"type", "Lowercase"}}));
}

Words with_added(json flags, std::string_view text) {
  return words(make(with("/added_tokens", {added_token(265, "<t>", std::move(flags))})), text);
}

TEST(AddedTokens, StripTakesTheSpacesBesideThem) {
  EXPECT_EQ(with_added(json::object(), "a <t> b").size(), 5u);
  const Tokenizer left = make(with("/added_tokens", {added_token(265, "<t>", {{"lstrip", true}})}));
  EXPECT_EQ(left.encode("a \t<t> b"), (Ids{'a', 265, ' ', 'b'}));
  const Tokenizer right = make(with("/added_tokens", {added_token(265, "<t>", {{"rstrip", true}})}));
  EXPECT_EQ(right.encode("a <t>\u3000 b<t>"), (Ids{'a', ' ', 265, 'b', 265}));
}

TEST(AddedTokens, SingleWordsAreFoundOnlyBetweenOtherCharacters) {
  const Tokenizer tokenizer = make(with("/added_tokens", {added_token(262, "ab", {{"single_word", true}})}));
  EXPECT_EQ(tokenizer.encode("ab,ab\u4e2d"), (Ids{262, ',', 262, 0xE4, 0xB8, 0xAD}));
  EXPECT_EQ(tokenizer.encode("ababab"), (Ids{262, 262, 262}));  // within a word BPE finds it, three times
  EXPECT_EQ(tokenizer.encode("ab bc"), (Ids{262, ' ', 264}));
}

TEST(AddedTokens, OfTwoThatBeginAtOnePlaceTheLongerIsFound) {
  const Tokenizer tokenizer =
      make(with("/added_tokens", {added_token(265, "<t>"), added_token(266, "<t><u>")}));
  EXPECT_EQ(tokenizer.encode("<t><u><t>"), (Ids{266, 265}));
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalisedText) {
  json file = with("/normalizer", {{"type", "NFC"}});
  file["added_tokens"] = {added_token(265, "[e\u0301]", {{"normalized", true}}),
                          added_token(266, "<e\u0301>")};
  const Tokenizer tokenizer = make(file);
  EXPECT_EQ(tokenizer.encode("[e\u0301][\u00E9]"), (Ids{265, 265}));
  EXPECT_EQ(tokenizer.encode("<e\u0301>"), Ids{266});
  EXPECT_EQ(tokenizer.encode("<\u00E9>").size(), 4u);
}

TEST(AddedTokens, IdsThatDisagreeWithTheirPlaceAreRefused) {
  EXPECT_TRUE(
      refuses(ErrorCode::corrupt, "by its place it is 265", "/added_tokens", {added_token(300, "<t>")}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "by its place it is 97", "/added_tokens", {added_token(265, "a")}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"content\" is missing", "/added_tokens", {{{"id", 265}}}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"id\" is missing", "/added_tokens", {{{"content", "x"}}}));
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "is not a token id", [] {
    make(small_tokenizer(), {{"added_tokens_decoder", {{"12x", added_token(265, "<t>")}}}});
  }));
}

TEST(PostProcessor, TemplatesPutSpecialTokensAround) {
  const json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
             eos = {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json ids = {{"<s>", {{"id", "<s>"}, {"ids", {1, 2}}}}, {"</s>", {{"id", "</s>"}, {"ids", {3}}}}};
  const json whole = {{"type", "TemplateProcessing"}, {"single", {bos, text, eos}}, {"special_tokens", ids}};
  const Tokenizer tokenizer =
      make(with("/post_processor", {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, whole}}}));
  EXPECT_EQ(tokenizer.encode("a"), (Ids{1, 2, 'a', 3}));
  EXPECT_EQ(tokenizer.encode("", {}), (Ids{1, 2, 3}));
  EXPECT_EQ(tokenizer.encode("a", {.add_special_tokens = false}), Ids{'a'});

  const auto refuses_single = [&](json single, const std::string& part) {
    json changed = whole;
    changed["single"] = std::move(single);
    return refuses(ErrorCode::corrupt, part, "/post_processor", changed);
  };
  EXPECT_TRUE(refuses_single({bos}, "$A"));
  EXPECT_TRUE(refuses_single({text, text}, "$A"));
  EXPECT_TRUE(refuses_single({text, {{"SpecialToken", {{"id", "<x>"}}}}}, "<x>"));
  EXPECT_TRUE(
      refuses(ErrorCode::unsupported, "\"BertProcessing\"", "/post_processor", {{"type", "BertProcessing"}}));
}

TEST(Decoder, OnlyByteLevelIsSupported) {
  EXPECT_NO_THROW(make(with("/decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteLevel"}}}}})));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "\"Metaspace\"", "/decoder", {{"type", "Metaspace"}}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "decoder", "/decoder", nullptr));
}

TEST(BpeModel, WhatItDoesNotDoIsUnsupportedAndNamed) {
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "\"Unigram\"", "/model/type", "Unigram"));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "byte_fallback", "/model/byte_fallback", true));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "dropout", "/model/dropout", 0.1));
  EXPECT_TRUE(refuses(ErrorCode::unsupported, "end_of_word_suffix", "/model/end_of_word_suffix", "</w>"));
  EXPECT_TRUE(
      refuses(ErrorCode::unsupported, "continuing_subword_prefix", "/model/continuing_subword_prefix", "##"));
}

TEST(BpeModel, VocabularyAndMergesThatDoNotFitAreRefused) {
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"model\"", "/model", nullptr));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"vocab\"", "/model/vocab", json::array()));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"zz\"", "/model/vocab/zz", -1));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"zz\"", "/model/vocab/zz", 1LL << 40));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "\"zz\"", "/model/vocab/zz", "1"));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "not all in the vocabulary", "/model/merges", {"a z"}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "not a pair", "/model/merges", {"a"}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "not a pair", "/model/merges", {"a b c"}));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "not a pair", "/model/merges", json::array({{"a", 1}, {"b"}})));
  EXPECT_TRUE(refuses(ErrorCode::corrupt, "unk_token", "/model/unk_token", "<unk>"));
}

TEST(BpeModel, TextThatIsNoTokenizerIsCorrupt) {
  for (const char* text : {"", "[]", "{}", "{", R"({"model":[]})"}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "tokenizer.json", [&] { Tokenizer::from_json(text); }))
        << text;
  }
  const std::string whole = small_tokenizer().dump();
  for (const std::string& text :
       {"\xEF\xBB\xBF" + whole, whole + "x", whole.substr(0, whole.size() - 1), whole + "{}"}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "tokenizer.json", [&] { Tokenizer::from_json(text); }))
        << text.substr(0, 10);
  }
}

TEST(BpeModel, AFieldMayBeNestedAsDeepAsOtherJson) {
  const std::string file = small_tokenizer().dump();
  const auto with_nested = [&](std::size_t depth) {
    return "{\"x\":" + std::string(depth, '[') + std::string(depth, ']') + "," + file.substr(1);
  };
  EXPECT_NO_THROW(Tokenizer::from_json(with_nested(63)));  // and the object around it: 64
  for (const std::size_t depth : {64, 100'000}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "nested deeper", [&] {
      Tokenizer::from_json(with_nested(depth));
    })) << depth;
  }
}

}  // namespace
}  // namespace graft
