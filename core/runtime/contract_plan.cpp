#include <algorithm>
#include <charconv>
#include <sstream>

#include "graft/contract_plan.h"
#include "graft/dtype.h"
#include "graft/error.h"

namespace graft {
namespace {

[[noreturn]] void refuse(const graft_contract& contract, const std::string& why) {
  throw Error(ErrorCode::invalid_argument,
              "contract " + std::string(contract.name ? contract.name : "without a name"), why,
              "see the shape language in graft/abi/contract.h");
}

/// "Name/version", the version a number from 1.
bool is_contract_name(std::string_view name) {
  std::size_t slash = name.find('/');
  if (slash == 0 || slash == name.npos || slash + 1 == name.size()) return false;
  std::string_view version = name.substr(slash + 1);
  return version.front() != '0' && version.find_first_not_of("0123456789") == version.npos;
}

bool is_name(std::string_view text) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// Takes a number off the front of `text`; 0 if there is none.
std::int64_t take_number(std::string_view& text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return 0;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

ContractPlan::ContractPlan(const graft_contract& contract) : contract_(&contract) {
  constexpr std::uint32_t kMostArguments = 64;
  if (!contract.name || !is_contract_name(contract.name))
    refuse(contract, "its name is not of the form Name/1");
  if (contract.argument_count == 0 || contract.argument_count > kMostArguments || !contract.arguments)
    refuse(contract, "it has no arguments, or more than 64");
  if (contract.alignment == 0 || (contract.alignment & (contract.alignment - 1)) != 0)
    refuse(contract, "its alignment is no power of two");

  shapes_.resize(contract.argument_count);
  for (std::size_t i = 0; i < contract.argument_count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    if (!argument.name || !argument.dtype) refuse(contract, "an argument has no name or no dtype");
    graft_dtype dtype = dtype_from_name(argument.dtype);
    if (dtype.bits == 0 && std::string_view(argument.dtype) != "T")
      refuse(contract, std::string(argument.name) + " has the unknown dtype " + argument.dtype);
    dtypes_.push_back(dtype);
    compile_shape(i);
  }
  check_outputs_follow();
}

void ContractPlan::compile_shape(std::size_t index) {
  const graft_argument& argument = contract_->arguments[index];
  Shape& shape = shapes_[index];
  auto bad = [&](const std::string& word) {
    refuse(*contract_,
           std::string(argument.name) + " has \"" + word + "\" in its shape \"" + argument.shape + "\"");
  };
  if (!argument.shape) {
    if (argument.direction == GRAFT_IN) refuse(*contract_, std::string(argument.name) + " has no shape");
    shape.inferred = true;
    return;
  }
  std::istringstream words(argument.shape);
  for (std::string word; words >> word;) {
    if (word == "...") {
      if (shape.leading || !shape.dimensions.empty()) bad(word);
      shape.leading = true;
      continue;
    }
    Dimension dimension;
    std::string_view rest = word;
    if (rest.front() == '?') {
      dimension.broadcast = true;
      rest.remove_prefix(1);
    } else if (rest.front() >= '0' && rest.front() <= '9') {
      dimension.factor = take_number(rest);
      if (dimension.factor == 0) bad(word);
      if (!rest.empty() && rest.front() != '*') bad(word);
      if (!rest.empty()) rest.remove_prefix(1);
      if (rest.empty() && word.back() == '*') bad(word);
    }
    if (!rest.empty() || dimension.broadcast) {
      if (!is_name(rest)) bad(word);
      dimension.name = this->dimension(rest);
      if (dimension.name < 0) {
        if (names_.size() == kMaxDimensions) refuse(*contract_, "it has more than 16 dimension names");
        dimension.name = static_cast<int>(names_.size());
        names_.emplace_back(rest);
      }
    }
    shape.dimensions.push_back(dimension);
  }
  if (shape.dimensions.size() > kMaxRank) bad(argument.shape);
}

/// Outputs are allocated by their shapes, so each name in one stands in an input's.
void ContractPlan::check_outputs_follow() const {
  bool leading = false;
  std::vector<bool> given(names_.size());
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    if (contract_->arguments[i].direction == GRAFT_OUT) continue;
    leading |= shapes_[i].leading;
    for (const Dimension& dimension : shapes_[i].dimensions)
      if (dimension.name >= 0) given[static_cast<std::size_t>(dimension.name)] = true;
  }
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    std::string label = "the output " + std::string(contract_->arguments[i].name);
    if (shapes_[i].leading && !leading) refuse(*contract_, label + " has \"...\", which no input has");
    for (const Dimension& dimension : shapes_[i].dimensions) {
      if (dimension.name < 0) continue;
      if (!given[static_cast<std::size_t>(dimension.name)])
        refuse(*contract_, label + " has the dimension " + names_[static_cast<std::size_t>(dimension.name)] +
                               ", which no input has");
      if (dimension.broadcast && contract_->arguments[i].direction == GRAFT_OUT)
        refuse(*contract_, label + " broadcasts, so its size is open");
    }
  }
}

int ContractPlan::dimension(std::string_view name) const {
  auto it = std::find(names_.begin(), names_.end(), name);
  return it == names_.end() ? -1 : static_cast<int>(it - names_.begin());
}

int ContractPlan::output_shape(std::size_t index, const ContractBinding& binding, std::int64_t* shape) const {
  const Shape& wanted = shapes_[index];
  if (wanted.inferred || (wanted.leading && binding.leading_rank < 0)) return -1;
  int rank = 0;
  if (wanted.leading)
    for (; rank < binding.leading_rank; ++rank) shape[rank] = binding.leading[static_cast<std::size_t>(rank)];
  if (rank + wanted.dimensions.size() > kMaxRank) return -1;
  for (const Dimension& dimension : wanted.dimensions) {
    std::int64_t size = dimension.name < 0 ? 1 : binding.sizes[static_cast<std::size_t>(dimension.name)];
    if (size < 0) return -1;
    shape[rank++] = dimension.factor * size;
  }
  return rank;
}

graft_dtype ContractPlan::output_dtype(std::size_t index, const ContractBinding& binding) const {
  return dtypes_[index].bits ? dtypes_[index] : binding.dtype;
}

}  // namespace graft
