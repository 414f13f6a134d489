#include "tokenizer/model_file.h"

#include <cstddef>
#include <exception>

namespace graft::detail {
namespace {

/// nlohmann's SAX interface; false stops the parser.
class Reader {
 public:
  explicit Reader(ModelFile& file) : file_(file) {}

  bool null() { return value(nullptr); }
  bool boolean(bool v) { return value(v); }
  bool number_integer(std::int64_t v) { return value(v); }
  bool number_float(double v, const std::string&) { return value(v); }
  bool binary(Json::binary_t&) { return false; }  // no JSON text holds one
  bool number_unsigned(std::uint64_t v) {
    if (!in(Place::vocabulary) || v > std::uint64_t{highest_id}) return value(v);
    file_.vocabulary.emplace_back(std::move(key_), static_cast<Id>(v));
    return true;
  }
  bool string(std::string& text) {
    if (!in(Place::merges)) return value(std::move(text));
    file_.merges.push_back(std::move(text));
    return true;
  }

  bool key(std::string& name) {
    key_ = std::move(name);
    if (open_.size() == 1) in_model_ = key_ == "model";
    // Of keys that stand twice the last counts.
    const bool model = in_model_ && open_.size() == 1, field = in_model_ && open_.size() == 2;
    if (model || (field && key_ == "vocab")) file_.vocabulary.clear();
    if (model || (field && key_ == "merges")) file_.merges.clear();
    return true;
  }
  bool start_object(std::size_t) {
    return open(Json::object(), in_model_ && key_ == "vocab" ? Place::vocabulary : Place::other);
  }
  bool start_array(std::size_t) {
    return open(Json::array(), in_model_ && key_ == "merges" ? Place::merges : Place::other);
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(std::size_t, const std::string&, const std::exception&) { return false; }

 private:
  enum class Place { other, vocabulary, merges };

  // Whether what comes now is an item of that list itself.
  bool in(Place place) const { return place_ == place && open_.size() == 3; }

  // Where the value stands now. An unusual merge takes those before it into the tree, and those after it
  // follow.
  Json& put(Json&& v) {
    if (open_.empty()) return file_.json = std::move(v);
    Json& parent = *open_.back();
    if (in(Place::merges)) {
      for (std::string& text : file_.merges) parent.push_back(std::move(text));
      file_.merges.clear();
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
    if (open_.size() == std::size_t{max_json_depth}) return false;
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
  std::string key_;
  bool in_model_ = false;  // the file's field that has begun is "model"
  Place place_ = Place::other;
};

}  // namespace

ModelFile parse_model_file(std::string_view text, const std::string& source) {
  ModelFile file;
  Reader reader(file);
  if (Json::sax_parse(text, &reader) && file.json.is_object()) return file;
  return {parse_object(text, source), {}, {}};  // says what is wrong with it
}

}  // namespace graft::detail
