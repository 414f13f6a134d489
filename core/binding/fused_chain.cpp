#include "fused_chain.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>

#include "arguments.h"
#include "graft/contract.h"
#include "graft/error.h"
#include "graft/loaded_plugin.h"
#include "slot_state.h"

namespace graft {
namespace {

[[noreturn]] void refuse(const graft_contract& contract, const std::string& why) {
  throw Error(ErrorCode::unsupported, std::string("contract ") + contract.name, why, "map the members to a kernel that does their work");
}

/// "1.gate" is `gate` of member 1. Nothing if the name does not say whose it is.
struct MemberName {
  size_t member;
  std::string_view name;

  static std::optional<MemberName> of(std::string_view text) {
    size_t member = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), member);
    const size_t dot = size_t(end - text.data());
    if (error != std::errc() || dot >= text.size() || text[dot] != '.') return std::nullopt;
    return MemberName{member, text.substr(dot + 1)};
  }
};

template <class Named>
const Named* find_named(std::span<const Named> all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Named& each) { return each.name == name; });
  return found != all.end() ? &*found : nullptr;
}

size_t input_count(const graft_contract& contract) {
  const auto all = arguments_of(contract);
  return size_t(std::count_if(all.begin(), all.end(), [](const auto& each) { return is_input(each) && !is_weight(each); }));
}

size_t output_count(const graft_contract& contract) {
  const auto all = arguments_of(contract);
  return size_t(std::count_if(all.begin(), all.end(), [](const auto& each) { return !is_input(each) && !is_saved(each); }));
}

bool writes_inputs(const graft_contract& contract) {
  const auto all = arguments_of(contract);
  return std::any_of(all.begin(), all.end(), [](const auto& each) { return each.direction == GRAFT_INOUT; });
}

/// Throws Error(unsupported) if the contract is not what these members do one after the other.
void check(const graft_contract& fused, const std::vector<const graft_contract*>& members) {
  const auto member_of = [&](const char* name) {
    const std::optional<MemberName> found = MemberName::of(name);
    if (!found) refuse(fused, std::string("it is no fusion's: '") + name + "' does not say of which member it is, as \"0.weight\" does");
    if (found->member >= members.size()) refuse(fused, "it has a member more than the fusion, whose '" + std::string(name) + "' it takes");
    return *found;
  };
  for (const graft_argument& argument : arguments_of(fused)) {
    if (!is_weight(argument)) continue;
    const auto [member, name] = member_of(argument.name);
    const graft_argument* found = find_named(arguments_of(*members[member]), name);
    if (found == nullptr || !is_weight(*found)) refuse(fused, std::string(members[member]->name) + " has no weight '" + std::string(name) + "'");
  }
  for (const graft_attribute& attribute : attributes_of(fused)) {
    const auto [member, name] = member_of(attribute.name);
    const graft_attribute* found = find_named(attributes_of(*members[member]), name);
    if (found == nullptr || found->tag != attribute.tag)
      refuse(fused, std::string(members[member]->name) + " has no attribute '" + std::string(name) + "' of that type");
  }
  if (writes_inputs(fused)) refuse(fused, "it writes to an input, and a fusion's kernel must not");
  if (input_count(fused) != input_count(*members[0]) || output_count(fused) != output_count(*members[0]))
    refuse(fused, std::string("it is not called as its first member is, ") + members[0]->name);
  for (size_t i = 1; i < members.size(); ++i) {
    if (input_count(*members[i]) != 1 || output_count(*members[i]) != 1 || writes_inputs(*members[i]))
      refuse(fused, std::string("its member ") + members[i]->name + " does not take one tensor and return one");
  }
}

std::shared_ptr<const SlotState> locked(const FusedChain::Member& member) {
  if (auto slot = member.slot.lock()) return slot;
  throw Error(ErrorCode::not_found, "module " + member.module, "it is a member of a fusion, and is not there any more", "kernelize again");
}

graft_value default_of(const graft_attribute& attribute) {
  graft_value value{};
  value.tag = attribute.tag;
  if (attribute.tag == GRAFT_FLOAT) {
    value.as.number = attribute.number;
  } else if (attribute.tag == GRAFT_STRING) {
    value.as.string = attribute.string != nullptr ? attribute.string : "";
    value.length = uint32_t(std::string_view(value.as.string).size());
  } else {
    value.as.integer = attribute.integer;
  }
  return value;
}

}  // namespace

FusedChain::FusedChain(std::vector<Member> members, const graft_entry& entry) : members_(std::move(members)) {
  std::vector<const graft_contract*> contracts;
  for (const Member& member : members_) contracts.push_back(&locked(member)->plan().contract());
  std::optional<Error> refused;
  for (uint32_t i = 0; i < entry.contract_count && plan_ == nullptr; ++i) {
    const ContractPlan* plan = ContractRegistry::shared().plan(entry.contracts[i]);
    if (plan == nullptr) continue;
    try {
      check(plan->contract(), contracts);
      plan_ = plan;
    } catch (const Error& error) {
      if (!refused) refused = error;
    }
  }
  if (plan_ != nullptr) return;
  if (refused) throw *refused;
  throw Error(ErrorCode::unsupported, std::string("entry ") + entry.name,
              "its contract is " + contract_names(entry) + ", which is neither a standard contract nor a registered one",
              "add it with ContractRegistry::shared().add(…)");
}

LayerFacts FusedChain::facts(std::shared_ptr<FusedChain> self, c10::Device device, at::ScalarType fallback_dtype) const {
  std::vector<LayerFacts> of;
  for (const Member& member : members_) of.push_back(locked(member)->facts(device, fallback_dtype));
  const graft_contract& contract = plan_->contract();
  LayerFacts facts{.plan = plan_, .attributes = {}, .weights = {}, .device = of[0].device, .dtype = of[0].dtype};
  for (size_t i = 1; i < of.size(); ++i) {
    if (of[i].device == facts.device) continue;
    refuse(contract, members_[0].module + " is on " + facts.device.str() + ", " + members_[i].module + " on " + of[i].device.str());
  }
  facts.weights.resize(contract.argument_count);
  for (size_t i = 0; i < contract.argument_count; ++i) {
    if (!is_weight(contract.arguments[i])) continue;
    const MemberName name = *MemberName::of(contract.arguments[i].name);
    const auto members = arguments_of(of[name.member].plan->contract());
    facts.weights[i] = of[name.member].weights[size_t(find_named(members, name.name) - members.data())];
  }
  auto texts = std::make_shared<std::vector<std::unique_ptr<std::string>>>();
  for (const graft_attribute& attribute : attributes_of(contract)) {
    const MemberName name = *MemberName::of(attribute.name);
    const auto members = attributes_of(of[name.member].plan->contract());
    const graft_attribute* found = find_named(members, name.name);
    graft_value value = of[name.member].attributes[size_t(found - members.data())];
    if (value.tag == GRAFT_NONE) value = default_of(*found);
    if (value.tag == GRAFT_STRING) {  // the member's may be gone before the first one is
      texts->push_back(std::make_unique<std::string>(value.as.string, value.length));
      value.as.string = texts->back()->c_str();
    }
    facts.attributes.push_back(value);
  }
  facts.texts = std::move(texts);
  facts.chain = std::move(self);
  return facts;
}

void FusedChain::made(const at::Tensor& output) {
  const std::lock_guard lock(mutex_);
  // Of this thread nothing is on its way any more: an exception came between, or nobody asked a further member.
  const auto thread = std::this_thread::get_id();
  std::erase_if(made_, [&](const Made& each) { return each.tensor.expired() && (each.taken || each.thread == thread); });
  made_.push_back({c10::weak_intrusive_ptr<c10::TensorImpl>(output.getIntrusivePtr()), thread});
}

bool FusedChain::passes(const at::Tensor& input) {
  const std::lock_guard lock(mutex_);
  for (Made& each : made_) {
    if (each.tensor._unsafe_get_target() != input.unsafeGetTensorImpl()) continue;
    each.taken = true;
    return true;
  }
  return false;
}

void FusedChain::check_nothing_waits(const SlotState& member) {
  const std::lock_guard lock(mutex_);
  const auto thread = std::this_thread::get_id();
  const auto waiting = std::find_if(made_.begin(), made_.end(), [&](const Made& each) { return !each.taken && each.thread == thread; });
  if (waiting == made_.end()) return;
  made_.erase(waiting);  // the next call is another one
  throw Error(ErrorCode::unsupported, "layer " + member.layer() + " (" + members_[0].module + " is fused with it)",
              "the model changes the tensor between the two, or calls them in another order, and one kernel has done the work of both",
              "map the layers by themselves, without the fusion");
}

void FusedChain::give_up(std::string why) {
  const std::lock_guard lock(mutex_);
  given_up_ = std::move(why);
}

std::string FusedChain::given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_;
}

}  // namespace graft
