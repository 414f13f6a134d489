// LayerKey: what a mapping maps: a layer by its name, or several layers of a block that one kernel does as a whole.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace graft {

/// One of the layers that a fusion takes together.
struct FusionMember {
  std::string layer;  // its name: "RMSNorm"
  /// The path of its module: "model.layers.*.mlp". As in fnmatch, `*` stands for any text, `?` for one character, [0-3] and [!0-3]
  /// for one of a set; none of them for a dot. Members whose wildcards stand for the same texts are of one block.
  std::string module;
  bool operator==(const FusionMember&) const = default;
};

/// A value type. As text: "RMSNorm", or "RMSNorm@model.layers.*.post_attention_layernorm+SwiGLUMLP@model.layers.*.mlp".
class LayerKey {
 public:
  LayerKey(const char* layer) : layer_(layer) {}
  LayerKey(std::string layer) : layer_(std::move(layer)) {}
  /// A fusion of members in the order in which the model calls them, each with what the one before it returned. Throws
  /// Error(invalid_argument) for fewer than two, one that comes twice, an empty name or path, or paths whose wildcards are not equal
  /// in number.
  LayerKey(std::initializer_list<FusionMember> members);
  LayerKey(std::vector<FusionMember> members);

  /// Reads the text form. Throws Error(invalid_argument).
  static LayerKey parse(const std::string& text);
  std::string str() const;

  bool is_fusion() const { return !members_.empty(); }
  const std::string& layer() const { return layer_; }  // "" of a fusion
  const std::vector<FusionMember>& members() const { return members_; }  // none of a layer
  bool operator==(const LayerKey&) const = default;

 private:
  std::string layer_;
  std::vector<FusionMember> members_;
};

}  // namespace graft
