// Attributes and Arguments: arrays of graft_value seen through their contract.
#pragma once

#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "../abi/contract.h"
#include "tensor.hpp"

namespace graft::plugin {

// The attributes of one instance, by name. An absent one gives the contract's default; a name that the contract does not
// have throws std::invalid_argument.
class Attributes {
 public:
  Attributes(const graft_contract* contract, const graft_value* values) : contract_(contract), values_(values) {}

  double number(const char* name) const {
    const auto [attribute, value] = find(name, GRAFT_FLOAT);
    return value != nullptr ? value->as.number : attribute->number;
  }
  int64_t integer(const char* name) const {
    const auto [attribute, value] = find(name, GRAFT_INT);
    return value != nullptr ? value->as.integer : attribute->integer;
  }
  bool boolean(const char* name) const {
    const auto [attribute, value] = find(name, GRAFT_BOOL);
    return (value != nullptr ? value->as.integer : attribute->integer) != 0;
  }
  std::string_view string(const char* name) const {
    const auto [attribute, value] = find(name, GRAFT_STRING);
    if (value != nullptr) return {value->as.string, value->length};
    return attribute->string != nullptr ? attribute->string : "";
  }

  const graft_contract* contract() const { return contract_; }

 private:
  struct Found {
    const graft_attribute* attribute;
    const graft_value* value;
  };
  Found find(const char* name, uint32_t tag) const {
    for (uint32_t i = 0; i < contract_->attribute_count; ++i) {
      const graft_attribute* attribute = &contract_->attributes[i];
      if (std::strcmp(attribute->name, name) != 0) continue;
      if (attribute->tag != tag) break;
      const bool given = values_ != nullptr && values_[i].tag != GRAFT_NONE;
      return {attribute, given ? &values_[i] : nullptr};
    }
    throw std::invalid_argument(std::string(contract_->name) + " has no attribute '" + name + "' of that type");
  }

  const graft_contract* contract_;
  const graft_value* values_;
};

// The arguments of one call, by their position in the contract.
class Arguments {
 public:
  explicit Arguments(const graft_value* values) : values_(values) {}

  bool has(int i) const { return values_[i].tag == GRAFT_TENSOR; }
  Tensor tensor(int i) const {
    if (!has(i)) throw std::invalid_argument("argument " + std::to_string(i) + " is no tensor");
    return Tensor(values_[i].as.tensor);
  }
  std::optional<Tensor> optional(int i) const {
    return has(i) ? std::optional<Tensor>(Tensor(values_[i].as.tensor)) : std::nullopt;
  }

 private:
  const graft_value* values_;
};

}  // namespace graft::plugin
