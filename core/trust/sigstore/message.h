// A protobuf message in its JSON form, read strictly: an unknown field is an error, as it is to protobuf's
// own reader.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "encoding.h"
#include "json_text.h"

namespace graft::sigstore {

/// One message. Fields go by their lowerCamelCase names; the original snake_case is read, too. Errors:
/// corrupt.
class Message {
 public:
  Message(const detail::Json& object, std::string source, std::initializer_list<const char*> known);

  bool has(const std::string& key) const { return find(key) != nullptr; }
  std::string text(const std::string& key) const;    // absent: ""
  Bytes bytes(const std::string& key) const;         // absent: empty
  std::int64_t whole(const std::string& key) const;  // ≥ 0, as digits or a number; absent: 0
  Message message(const std::string& key, std::initializer_list<const char*> known) const;  // must be there
  /// Absent: none.
  std::vector<Message> messages(const std::string& key, std::initializer_list<const char*> known) const;
  std::vector<Bytes> list_of_bytes(const std::string& key) const;

  [[noreturn]] void fail(const std::string& key, const std::string& why) const;

 private:
  const detail::Json* find(const std::string& key) const;
  const detail::Json* list(const std::string& key) const;
  Bytes bytes_in(const detail::Json& value, const std::string& key) const;

  const detail::Json* object_;
  std::string source_;
};

}  // namespace graft::sigstore
