#include "graft/attributes.h"

#include "graft/error.h"

namespace graft {
namespace {

/// GRAFT_NONE if it is of another type than the contract's.
graft_value to_value(const AttributeValue& value, std::uint32_t tag) {
  graft_value out{};
  if (const auto* boolean = std::get_if<bool>(&value); boolean && tag == GRAFT_BOOL) {
    out.as.integer = *boolean;
  } else if (const auto* integer = std::get_if<std::int64_t>(&value); integer && tag == GRAFT_INT) {
    out.as.integer = *integer;
  } else if (const auto* number = std::get_if<double>(&value); number && tag == GRAFT_FLOAT) {
    out.as.number = *number;
  } else if (const auto* string = std::get_if<std::string>(&value); string && tag == GRAFT_STRING) {
    out.as.string = string->c_str();
    out.length = static_cast<std::uint32_t>(string->size());
  } else {
    return out;
  }
  out.tag = tag;
  return out;
}

}  // namespace

std::vector<graft_value> attribute_values(const graft_contract& contract, const Attributes& given, const std::string& what) {
  const auto refuse = [&](const std::string& why) { throw Error(ErrorCode::invalid_argument, what, why); };
  std::vector<graft_value> values(contract.attribute_count, graft_value{});
  for (const auto& [name, value] : given) {
    std::uint32_t i = 0;
    while (i < contract.attribute_count && name != contract.attributes[i].name) ++i;
    if (i == contract.attribute_count) refuse("the contract has no attribute '" + name + "'");
    values[i] = to_value(value, contract.attributes[i].tag);
    if (values[i].tag == GRAFT_NONE) refuse("the attribute '" + name + "' has another type in the contract");
  }
  for (std::uint32_t i = 0; i < contract.attribute_count; ++i) {
    if (contract.attributes[i].required != 0 && values[i].tag == GRAFT_NONE)
      refuse(std::string("the attribute '") + contract.attributes[i].name + "' must be given");
  }
  return values;
}

}  // namespace graft
