#include "graft/layer_key.h"

#include <algorithm>

#include "graft/error.h"
#include "module_glob.h"

namespace graft {
namespace {

[[noreturn]] void refuse(const LayerKey& key, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "fusion '" + key.str() + "' in a kernel mapping", why,
              "write it as in RMSNorm@model.layers.*.post_attention_layernorm+SwiGLUMLP@model.layers.*.mlp");
}

void check(const LayerKey& key) {
  const std::vector<FusionMember>& members = key.members();
  if (members.size() < 2) refuse(key, "it takes two layers or more");
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (member->layer.empty() || member->module.empty()) refuse(key, "a member has no layer or no module");
    if (std::find(members.begin(), member, *member) != member) refuse(key, "a member is named twice");
    if (ModuleGlob(member->module).wildcards() != ModuleGlob(members[0].module).wildcards())
      refuse(key, "its modules have different numbers of wildcards, so nothing says which are of one block");
  }
}

}  // namespace

LayerKey::LayerKey(std::initializer_list<FusionMember> members) : LayerKey(std::vector(members)) {}

LayerKey::LayerKey(std::vector<FusionMember> members) : members_(std::move(members)) { check(*this); }

LayerKey LayerKey::parse(const std::string& text) {
  if (text.find('@') == text.npos) return text;
  std::vector<FusionMember> members;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('+', begin), text.size());
    const std::string member = text.substr(begin, end - begin);
    const size_t at = std::min(member.find('@'), member.size());
    members.push_back({member.substr(0, at), member.substr(std::min(at + 1, member.size()))});
    begin = end + 1;
  }
  return members;
}

std::string LayerKey::str() const {
  std::string text = layer_;
  for (const FusionMember& member : members_) text += (text.empty() ? "" : "+") + member.layer + "@" + member.module;
  return text;
}

}  // namespace graft
