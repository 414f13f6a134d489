#include "tokenizer/model_file.h"

#include <cstddef>

// Boost.JSON is compiled in, under a name of its own, since a host may bring another version of it.
#define boost graft_boost
#define BOOST_USER_CONFIG "boost/config/user.hpp"  // as Boost sets it, where `boost` is another word
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#undef boost

namespace graft::detail {
namespace {

namespace json = graft_boost::json;
using json::error_code;

/// What Boost.JSON's parser tells what it reads; false would stop it. Source: its documentation of
/// basic_parser.
class Reader {
 public:
  static constexpr std::size_t max_object_size = -1, max_array_size = -1, max_key_size = -1,
                               max_string_size = -1;

  explicit Reader(ModelFile& file) : file_(file) {}

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_comment_part(std::string_view, error_code&) { return true; }
  bool on_comment(std::string_view, error_code&) { return true; }
  bool on_number_part(std::string_view, error_code&) { return true; }

  bool on_null(error_code&) { return value(nullptr); }
  bool on_bool(bool v, error_code&) { return value(v); }
  bool on_double(double v, std::string_view, error_code&) { return value(v); }
  bool on_uint64(std::uint64_t v, std::string_view, error_code&) { return value(v); }
  bool on_int64(std::int64_t v, std::string_view, error_code&) {
    if (v < 0) return value(v);
    if (!in(Place::vocabulary) || v > highest_id)
      return value(static_cast<std::uint64_t>(v));  // as nlohmann's parser has numbers without a sign
    file_.vocabulary.names.push_back(key_);
    file_.vocabulary.ids.push_back(static_cast<Id>(v));
    return true;
  }

  bool on_string_part(std::string_view part, std::size_t, error_code&) { return add(part); }
  bool on_string(std::string_view last, std::size_t, error_code&) {
    const std::string_view text = whole(last);
    if (!in(Place::merges)) return value(std::string(text));
    file_.merges.push_back(text);
    return true;
  }
  bool on_key_part(std::string_view part, std::size_t, error_code&) { return add(part); }
  bool on_key(std::string_view last, std::size_t, error_code&) {
    key_ = whole(last);
    if (open_.size() == 1) in_model_ = key_ == "model";
    // Of keys that stand twice the last counts.
    const bool model = in_model_ && open_.size() == 1, field = in_model_ && open_.size() == 2;
    if (model || (field && key_ == "vocab")) file_.vocabulary = {};
    if (model || (field && key_ == "merges")) file_.merges = {};
    return true;
  }

  bool on_object_begin(error_code&) {
    return open(Json::object(), in_model_ && key_ == "vocab" ? Place::vocabulary : Place::other);
  }
  bool on_array_begin(error_code&) {
    return open(Json::array(), in_model_ && key_ == "merges" ? Place::merges : Place::other);
  }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_end(std::size_t, error_code&) { return close(); }

 private:
  enum class Place { other, vocabulary, merges };

  // Whether what comes now is an item of that list itself.
  bool in(Place place) const { return place_ == place && open_.size() == 3; }

  // A text with escapes comes in parts.
  bool add(std::string_view part) {
    parts_ += part;
    return true;
  }
  std::string_view whole(std::string_view last) {
    if (parts_.empty()) return last;
    whole_ = parts_.append(last);
    parts_.clear();
    return whole_;
  }

  // Where the value stands now. An unusual merge takes those before it into the tree, and those after it
  // follow.
  Json& put(Json&& v) {
    if (open_.empty()) return file_.json = std::move(v);
    Json& parent = *open_.back();
    if (in(Place::merges)) {
      for (std::size_t i = 0; i < file_.merges.size(); ++i) parent.push_back(std::string(file_.merges[i]));
      file_.merges = {};
      place_ = Place::other;
    }
    if (parent.is_object()) return parent[key_] = std::move(v);
    parent.push_back(std::move(v));
    return parent.back();
  }
  bool value(Json&& v) {
    put(std::move(v));
    return true;
  }
  bool open(Json&& v, Place place) {
    const bool list = open_.size() == 2 && open_.back()->is_object();  // a field of a field of the file
    open_.push_back(&put(std::move(v)));
    if (open_.size() <= 3) place_ = list ? place : Place::other;
    return true;
  }
  bool close() {
    open_.pop_back();
    if (open_.size() < 3) place_ = Place::other;
    return true;
  }

  ModelFile& file_;
  std::vector<Json*> open_;  // objects and arrays that have not ended
  std::string key_, parts_, whole_;
  bool in_model_ = false;  // the file's field that has begun is "model"
  Place place_ = Place::other;
};

}  // namespace

ModelFile parse_model_file(std::string_view text, const std::string& source) {
  ModelFile file;
  json::parse_options options;
  options.max_depth = max_json_depth;
  json::basic_parser<Reader> parser(options, file);
  error_code error;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (!error && read < text.size()) error = json::error::extra_data;
  if (!error && file.json.is_object()) return file;
  parse_object(text, source);  // says what is wrong with it, and where
  throw Error(ErrorCode::corrupt, source, "is not JSON: " + error.message(),
              "save the tokenizer again with the tokenizers package");
}

}  // namespace graft::detail
