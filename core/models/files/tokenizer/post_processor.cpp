#include "tokenizer/post_processor.h"

namespace graft::detail {

void PostProcessor::add(const Fields& json) {
  const std::string type = json.type();
  if (type == "Sequence") {
    for (const Json& part : json.array("processors")) add(Fields(part, json.source()));
  } else if (type == "TemplateProcessing") {
    add_template(json);
  } else if (type != "ByteLevel") {  // ByteLevel changes offsets alone
    throw Error(ErrorCode::unsupported, json.source(), "post_processor \"" + type + "\" is not supported",
                "supported are ByteLevel, TemplateProcessing, Sequence");
  }
}

void PostProcessor::add_template(const Fields& json) {
  std::vector<std::int64_t> earlier, later;
  bool sequence_seen = false;
  for (const Json& part : json.array("single")) {
    const Fields piece(part, json.source());
    if (piece.has("Sequence")) {
      if (sequence_seen || piece.object("Sequence").text("id") != "A")
        json.fail("single", "does not hold just one $A");
      sequence_seen = true;
      continue;
    }
    const std::string name = piece.object("SpecialToken").text("id");
    for (const Json& id : json.object("special_tokens").object(name).array("ids")) {
      if (!id.is_number_unsigned())
        json.fail("special_tokens", "gives \"" + name + "\" an id that is not a number");
      (sequence_seen ? later : earlier).push_back(id.get<std::int64_t>());
    }
  }
  if (!sequence_seen) json.fail("single", "does not hold $A");
  before.insert(before.begin(), earlier.begin(), earlier.end());
  after.insert(after.end(), later.begin(), later.end());
}

}  // namespace graft::detail
