#include "module_tree.h"

#include <algorithm>
#include <regex>

namespace graft {
namespace {

ModuleTree& child(ModuleTree& tree, const std::string& name) {
  // From the end: a report names the layers of one module one after the other.
  for (auto it = tree.children.rbegin(); it != tree.children.rend(); ++it) {
    if (it->name == name) return *it;
  }
  return tree.children.emplace_back(ModuleTree{.name = name, .layers = {}, .children = {}, .likeness = {}});
}

bool is_number(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string told(const LayerReport& l) {
  std::string text;
  for (const std::string& part : {l.layer, std::string(name(l.state)), l.reference, l.repo, l.commit, l.variant, l.entry,
                                  l.digest, l.trust, l.license, l.signer, l.rule, folded(l.covered_by), l.reason}) {
    text += part + '\0';
  }
  return text;
}

void compare(ModuleTree& tree) {
  for (const LayerReport* layer : tree.layers) tree.likeness += told(*layer);
  for (ModuleTree& each : tree.children) {
    compare(each);
    tree.likeness += "(" + each.name + '\0' + each.likeness + ")";
  }
}

}  // namespace

ModuleTree ModuleTree::of(const std::vector<LayerReport>& layers) {
  ModuleTree root;
  for (const LayerReport& layer : layers) {
    ModuleTree* at = &root;
    for (size_t begin = 0; begin < layer.module.size();) {
      const size_t end = std::min(layer.module.find('.', begin), layer.module.size());
      at = &child(*at, layer.module.substr(begin, end - begin));
      begin = end + 1;
    }
    at->layers.push_back(&layer);
  }
  compare(root);
  return root;
}

std::vector<std::span<const ModuleTree>> ModuleTree::runs() const {
  std::vector<std::span<const ModuleTree>> found;
  for (size_t begin = 0, end; begin < children.size(); begin = end) {
    end = begin + 1;
    while (end < children.size() && is_number(children[begin].name) && is_number(children[end].name) &&
           children[end].likeness == children[begin].likeness) {
      ++end;
    }
    found.emplace_back(children.data() + begin, end - begin);
  }
  return found;
}

std::string folded(const std::string& module) {
  static const std::regex number("\\.[0-9]+(?=[. ]|$)");
  return std::regex_replace(module, number, ".*");
}

}  // namespace graft
