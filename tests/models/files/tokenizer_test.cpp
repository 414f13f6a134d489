#include "graft/tokenizer.h"

#include <map>
#include <thread>

#include "graft/stream_decoder.h"
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

TEST(Tokenizer, MergesByRankNotByLength) {
  const Tokenizer tokenizer = make(small_tokenizer());
  EXPECT_EQ(words(tokenizer, "hello hello"), (Words{"hello", " hello"}));
  EXPECT_EQ(words(tokenizer, "abc"), (Words{"a", "bc"}));  // "b c" comes before "a b"
  EXPECT_EQ(words(tokenizer, "lllo"), (Words{"ll", "lo"}));
}

TEST(Tokenizer, MergesMayBePairs) {
  json file = small_tokenizer();
  json pairs = json::array();
  for (const auto& merge : file["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    pairs.push_back({text.substr(0, space), text.substr(space + 1)});
  }
  file["model"]["merges"] = pairs;
  EXPECT_EQ(words(make(file), "hello hello"), (Words{"hello", " hello"}));
}

TEST(Tokenizer, MergesMayBePairsInPart) {
  const std::string text = "hello hello abc lo";
  for (const size_t first :
       {size_t{0}, size_t{3}, size_t{8}}) {  // strings before and after pairs keep their order
    auto file = small_tokenizer();
    for (size_t i = first; i < file["model"]["merges"].size(); i += 2) {
      auto& merge = file["model"]["merges"][i];
      const auto both = merge.get<std::string>();
      merge = {both.substr(0, both.find(' ')), both.substr(both.find(' ') + 1)};
    }
    EXPECT_EQ(make(file).encode(text), make(small_tokenizer()).encode(text)) << first;
  }
}

TEST(Tokenizer, OfKeysThatStandTwiceTheLastCounts) {
  const auto with = [](const std::string& json, const std::string& before, const std::string& added) {
    const size_t at = json.find(before);
    return json.substr(0, at) + added + json.substr(at);
  };
  const std::string file = small_tokenizer().dump();
  const Ids ids = Tokenizer::from_json(file).encode("hello");
  for (const auto& json :
       {with(file, "\"model\":", R"("model":{"type":"BPE","vocab":{"a":7},"merges":["a b"]},)"),
        with(file, "\"vocab\":", R"("vocab":{"zz":7,"hello":3},)"),
        with(file, "\"merges\":", R"("merges":["q q",["q","q"]],)"),
        with(file, "\"hello\":", R"("hello":7,)")}) {
    EXPECT_EQ(Tokenizer::from_json(json).encode("hello"), ids) << json.substr(0, 80);
    EXPECT_FALSE(Tokenizer::from_json(json).id_of("zz"));
  }
}

TEST(Tokenizer, ListsOfThoseNamesElsewhereAreNotTheModels) {
  auto file = small_tokenizer();
  file["vocab"] = {{"zz", 7}};
  file["other"] = {{"vocab", {{"zz", 7}}}, {"merges", {"q q"}}};
  file["model"]["deeper"] = {{"vocab", {{"zz", 7}}}, {"merges", {"q q"}}};
  EXPECT_EQ(make(file).encode("hello"), make(small_tokenizer()).encode("hello"));
  EXPECT_FALSE(make(file).id_of("zz"));
}

TEST(Tokenizer, EscapedTextIsWhatItStandsFor) {
  auto file = small_tokenizer();
  file["added_tokens"] = {added_token(266, "<\u00e9\n\U0001F600>")};
  file["model"]["vocab"]["\"\\"] = 265;
  file["model"]["merges"].push_back("\" \\");
  const std::string escaped = file.dump(-1, ' ', true), text = "\"\\ <\u00e9\n\U0001F600> hello";
  ASSERT_NE(escaped.find("\\ud83d"), std::string::npos);
  EXPECT_EQ(Tokenizer::from_json(escaped).encode(text), make(file).encode(text));
  EXPECT_EQ(make(file).encode(text), (Ids{265, 32, 266, 260}));
}

TEST(Tokenizer, TheOrderOfAVocabularyDoesNotMatter) {
  const json file = small_tokenizer();  // by name
  std::map<int, std::string> names;
  for (const auto& [name, id] : file["model"]["vocab"].items()) names[id] = name;
  nlohmann::ordered_json by_id(file), backwards(file);
  for (auto* each : {&by_id, &backwards}) (*each)["model"]["vocab"] = nlohmann::ordered_json::object();
  for (auto at = names.begin(); at != names.end(); ++at) by_id["model"]["vocab"][at->second] = at->first;
  for (auto at = names.rbegin(); at != names.rend(); ++at)
    backwards["model"]["vocab"][at->second] = at->first;
  const std::string text = "hello abc helllo";
  EXPECT_EQ(Tokenizer::from_json(by_id.dump()).encode(text), make(file).encode(text));
  EXPECT_EQ(Tokenizer::from_json(backwards.dump()).encode(text), make(file).encode(text));
}

TEST(Tokenizer, AVocabularyWithAnythingButIdsIsRefusedByTheToken) {
  for (const nlohmann::json& id :
       {nlohmann::json("x"), nlohmann::json(-1), nlohmann::json(1.5), nlohmann::json(16'000'001),
        nlohmann::json::object(), nlohmann::json::array({1}), nlohmann::json(nullptr)}) {
    auto file = small_tokenizer();
    file["model"]["vocab"]["he"] = id;
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "he", [&] { make(file); })) << id;
  }
  for (const nlohmann::json& merge :
       {nlohmann::json("h e x"), nlohmann::json("he"), nlohmann::json(3), nlohmann::json("h zz")}) {
    auto file = small_tokenizer();
    file["model"]["merges"].push_back(merge);
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "merges", [&] { make(file); })) << merge;
  }
}

TEST(Tokenizer, IgnoreMergesTakesAWholeWordOfTheVocabulary) {
  json file = small_tokenizer();
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(words(make(file), "abc abc"), (Words{"abc", " ", "a", "bc"}));
}

TEST(Tokenizer, TheSecondTimeAWordGivesTheSameIds) {
  const Tokenizer tokenizer = make(small_tokenizer());
  const Ids once = tokenizer.encode("hello abc");
  EXPECT_EQ(tokenizer.encode("hello abc"), once);
}

TEST(Tokenizer, AWordOfAMillionLettersIsMerged) {
  const Tokenizer tokenizer = make(small_tokenizer());
  const Ids ids = tokenizer.encode(std::string(1'000'000, 'l'));
  ASSERT_EQ(ids.size(), 500'000u);
  EXPECT_EQ(ids, Ids(500'000, *tokenizer.id_of("ll")));
}

TEST(Tokenizer, BytesOutsideTheVocabularyBecomeUnkOrNothing) {
  json file = small_tokenizer();
  file["model"]["vocab"].erase("x");
  EXPECT_EQ(make(file).encode("axxb"),
            (Ids{262}));  // dropped before merging, so that "ab" is found: as tokenizers does
  file["model"]["unk_token"] = "?";
  EXPECT_EQ(make(file).encode("axxb"), (Ids{'a', '?', '?', 'b'}));
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(make(file).encode("axxb"), (Ids{'a', '?', 'b'}));
}

TEST(Tokenizer, BytesThatAreNotUtf8AreReadAsReplacementCharacters) {
  const Tokenizer tokenizer = make(small_tokenizer());
  const std::string replacement = "\uFFFD";
  const auto reads_as = [&](std::string_view bytes, const std::string& text) {
    return tokenizer.encode(bytes) == tokenizer.encode(text) &&
           tokenizer.decode(tokenizer.encode(bytes)) == text;
  };
  EXPECT_TRUE(
      reads_as("a\xff"
               "b",
               "a" + replacement + "b"));
  EXPECT_TRUE(reads_as("\xe2\x82", replacement));  // cut off: one
  EXPECT_TRUE(reads_as("\xe2\x82(", replacement + "("));
  EXPECT_TRUE(reads_as("\xed\xa0\x80", replacement + replacement + replacement));  // a surrogate
  EXPECT_TRUE(reads_as("\xc0\xaf", replacement + replacement));                    // overlong
  EXPECT_TRUE(reads_as("\xf0\x9f\x98\x80\xf0\x9f", "\U0001F600" + replacement));
  EXPECT_TRUE(
      reads_as("\xf4\x90\x80\x80", replacement + replacement + replacement + replacement));  // above U+10FFFF
}

TEST(Tokenizer, EmbeddedZeroBytesArePartOfTheText) {
  const Tokenizer tokenizer = make(small_tokenizer());
  EXPECT_EQ(tokenizer.encode(std::string_view("a\0b", 3)), (Ids{'a', 0, 'b'}));
}

TEST(Tokenizer, UnknownIdsAreLeftOutOfDecodedText) {
  const Tokenizer tokenizer = make(small_tokenizer());
  EXPECT_EQ(tokenizer.decode(Ids{'a', -1, 1'000'000, 'b'}), "ab");
  EXPECT_TRUE(tokenizer.token_bytes(-1).empty());
  EXPECT_TRUE(tokenizer.token_bytes(tokenizer.size()).empty());
  EXPECT_FALSE(tokenizer.is_special(tokenizer.size()));
  EXPECT_FALSE(tokenizer.id_of("nowhere"));
}

TEST(Tokenizer, SpecialTokensComeFromBothFiles) {
  json file = small_tokenizer();
  file["added_tokens"] = {added_token(265, "<s>", {{"special", true}}), added_token(266, "<plain>")};
  const json config = {{"bos_token", "<s>"},
                       {"eos_token", {{"content", "</s>"}}},
                       {"pad_token", "!"},
                       {"unk_token", "not in the vocabulary"},
                       {"added_tokens_decoder", {{"267", added_token(267, "</s>", {{"special", true}})}}}};
  const Tokenizer tokenizer = make(file, config);
  EXPECT_EQ(tokenizer.bos_id(), 265);
  EXPECT_EQ(tokenizer.eos_id(), 267);
  EXPECT_EQ(tokenizer.pad_id(), '!');
  EXPECT_EQ(tokenizer.size(), 268);
  EXPECT_EQ(tokenizer.encode("<s>a<plain></s>"), (Ids{265, 'a', 266, 267}));
  EXPECT_EQ(tokenizer.decode(Ids{265, 'a', 266, 267}, {.skip_special_tokens = true}), "a<plain>");
  EXPECT_TRUE(tokenizer.is_special(265) && tokenizer.is_special('!') && !tokenizer.is_special(266));
  const Tokenizer without = make(small_tokenizer());
  EXPECT_FALSE(without.bos_id() || without.eos_id() || without.pad_id());
}

TEST(Tokenizer, FromFileReadsTheConfigBesideIt) {
  testing::TemporaryFolder folder;
  testing::write_file(folder / "tokenizer.json", small_tokenizer().dump());
  EXPECT_FALSE(Tokenizer::from_file(folder / "tokenizer.json").eos_id());
  testing::write_file(folder / "tokenizer_config.json", R"({"eos_token":"!"})");
  EXPECT_EQ(Tokenizer::from_file(folder / "tokenizer.json").eos_id(), '!');
  EXPECT_TRUE(throws_error(ErrorCode::not_found, "absent.json",
                           [&] { Tokenizer::from_file(folder / "absent.json"); }));
  testing::write_file(folder / "tokenizer_config.json", "{");
  EXPECT_TRUE(throws_error(ErrorCode::corrupt, "tokenizer_config.json",
                           [&] { Tokenizer::from_file(folder / "tokenizer.json"); }));
}

TEST(Tokenizer, ManyThreadsEncodeAtOnce) {
  const Tokenizer tokenizer = Tokenizer::from_file(testing::kGolden / "tiny-qwen-tokenizer/tokenizer.json");
  const auto cases = testing::read_json(testing::kGolden / "tiny-qwen-tokenizer/cases.json")["texts"];
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& mistakes : wrong) {
    threads.emplace_back([&tokenizer, &cases, &mistakes] {
      for (int round = 0; round < 20; ++round) {
        for (const auto& one : cases)
          mistakes += tokenizer.encode(one["text"].get<std::string>()) != one["ids"].get<Ids>();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(StreamDecoder, GivesCharactersWhenTheirLastByteArrives) {
  StreamDecoder stream(make(small_tokenizer()));
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.push(0x80), "\U0001F600");
  EXPECT_EQ(stream.push(0xFF), "\uFFFD");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.push('b'),
            "\uFFFD"
            "b");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.push('c'), "c");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, EqualsDecodeForAnyBytes) {
  const Tokenizer tokenizer = make(small_tokenizer());
  std::uint32_t state = 1;
  for (int round = 0; round < 500; ++round) {
    Ids ids(20);
    for (std::int64_t& id : ids) {
      state = state * 1664525 + 1013904223;
      const std::uint32_t kind = state >> 30;
      id = static_cast<std::int64_t>(kind == 0   ? (state >> 8) % 256
                                     : kind == 1 ? 0xE0 + (state >> 8) % 24
                                                 : 0x80 + (state >> 8) % 64);
    }
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const std::int64_t id : ids) text += stream.push(id);
    EXPECT_EQ(text + stream.finish(), tokenizer.decode(ids));
  }
}

}  // namespace
}  // namespace graft
