#include "schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <vector>

#include "arguments.h"

namespace graft {
namespace {

bool is_optional(const graft_argument& argument) {
  return (argument.flags & GRAFT_ARG_OPTIONAL) != 0;
}

/// "m0_weight" of "0.weight", the weight of a fusion's member 0: torch's names have no dot, and begin with a letter.
std::string identifier(const char* name) {
  std::string text = name;
  if (text.find('.') != text.npos) text.insert(0, "m");
  std::replace(text.begin(), text.end(), '.', '_');
  return text;
}

/// As torch's parser reads it: a float needs its point.
std::string number(double value) {
  std::array<char, 32> text;
  std::string digits(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  if (digits.find_first_of(".en") == digits.npos) digits += ".0";
  return digits;
}

std::string attribute_text(const graft_attribute& attribute) {
  std::string type, value;
  switch (attribute.tag) {
    case GRAFT_BOOL:
      type = "bool", value = attribute.integer != 0 ? "True" : "False";
      break;
    case GRAFT_INT:
      type = "int", value = std::to_string(attribute.integer);
      break;
    case GRAFT_FLOAT:
      type = "float", value = number(attribute.number);
      break;
    default:
      type = "str", value = '"' + std::string(attribute.string != nullptr ? attribute.string : "") + '"';
  }
  return type + " " + identifier(attribute.name) + (attribute.required != 0 ? "" : "=" + value);
}

std::vector<std::string> inputs_of_forward(const graft_contract& contract) {
  std::vector<std::string> texts;
  size_t with_default = 0;  // what stands at the end may be left away
  for (const graft_argument& argument : arguments_of(contract)) {
    if (!is_input(argument)) continue;
    texts.push_back(std::string(is_optional(argument) ? "Tensor? " : "Tensor ") + identifier(argument.name));
    with_default = is_optional(argument) ? with_default + 1 : 0;
  }
  for (size_t i = texts.size() - with_default; i < texts.size(); ++i) texts[i] += "=None";
  return texts;
}

std::vector<std::string> inputs_of_backward(const graft_contract& contract) {
  std::vector<std::string> texts;
  size_t inputs = 0;
  for (const graft_argument& argument : arguments_of(contract)) {
    inputs += is_input(argument);
    if (!is_input(argument) && !is_saved(argument))
      texts.push_back("Tensor? grad_" + identifier(argument.name));
  }
  for (const graft_argument& argument : arguments_of(contract)) {
    const std::string name = identifier(argument.name);
    switch (backward_takes(argument)) {
      case BackwardTakes::tensor:
        texts.push_back((is_input(argument) && is_optional(argument) ? "Tensor? " : "Tensor ") + name);
        break;
      case BackwardTakes::sizes:
        texts.push_back("SymInt[] " + name + "_sizes");
        break;
      case BackwardTakes::nothing:
        break;
    }
  }
  texts.push_back("bool[" + std::to_string(inputs) + "] output_mask");
  return texts;
}

size_t output_count(const graft_contract& contract, OperatorKind kind) {
  const auto arguments = arguments_of(contract);
  return size_t(std::count_if(arguments.begin(), arguments.end(), [&](const graft_argument& argument) {
    if (kind == OperatorKind::backward) return is_input(argument);
    return !is_input(argument) && (kind == OperatorKind::forward || !is_saved(argument));
  }));
}

}  // namespace

BackwardTakes backward_takes(const graft_argument& argument) {
  if (is_for_backward(argument)) return BackwardTakes::tensor;
  if (!is_input(argument)) return BackwardTakes::nothing;
  return is_weight(argument) ? BackwardTakes::tensor : BackwardTakes::sizes;
}

bool can_be_operator(const graft_contract& contract) {
  const auto arguments = arguments_of(contract);
  const auto attributes = attributes_of(contract);
  const auto taken = [](std::string_view name) { return name == "kernel_ref" || name == "output_mask"; };
  return contract.argument_count <= kMaxArguments &&
         std::none_of(arguments.begin(), arguments.end(),
                      [&](const graft_argument& argument) {
                        return argument.direction == GRAFT_INOUT || argument.shape == nullptr ||
                               taken(argument.name);
                      }) &&
         std::none_of(attributes.begin(), attributes.end(),
                      [&](const graft_attribute& attribute) { return taken(attribute.name); });
}

std::string operator_name(const graft_contract& contract, OperatorKind kind) {
  std::string name = std::string("graft::") + contract.name;
  std::replace(name.begin(), name.end(), '/', '_');
  if (kind == OperatorKind::forward) name += "_forward";
  if (kind == OperatorKind::backward) name += "_backward";
  return name;
}

std::string operator_schema(const graft_contract& contract, OperatorKind kind) {
  std::vector<std::string> parts =
      kind == OperatorKind::backward ? inputs_of_backward(contract) : inputs_of_forward(contract);
  parts.push_back("*");
  for (const graft_attribute& attribute : attributes_of(contract)) parts.push_back(attribute_text(attribute));
  parts.push_back(
      "str kernel_ref");  // torch's inductor has a `kernel` of its own among an operator's keyword arguments

  std::string text = operator_name(contract, kind) + "(";
  for (const std::string& part : parts) text += (&part == parts.data() ? "" : ", ") + part;
  text += ") -> ";
  const size_t outputs = output_count(contract, kind);
  if (outputs == 1) return text + "Tensor";
  text += "(";
  for (size_t i = 0; i < outputs; ++i) text += i == 0 ? "Tensor" : ", Tensor";
  return text + ")";
}

}  // namespace graft
