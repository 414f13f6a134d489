// BindReport: for every layer what runs, from where, or why not.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

enum class LayerState {
  own,       // no mapping, or kernels are off: the layer's own forward
  bound,     // a kernel runs
  fallback,  // a kernel was asked for and could not be had: the layer's own forward, see reason
  disabled,  // mapped to ""
};
/// "own", "bound", "fallback", "disabled".
std::string_view name(LayerState state);

struct LayerReport {
  std::string layer = {};  // "RMSNorm"
  std::string module = {}; // "model.layers.0.input_layernorm"
  LayerState state = LayerState::own;
  std::string reference = {}; // as mapped: "graft-kernels/norm:RMSNorm"
  std::string repo = {};   // "graft-kernels/norm", or the absolute path of a local kernel
  std::string commit = {}; // 40 hex digits
  std::string variant = {}; // "graft1-cpu-x86_64-linux-x86_64_v3"
  std::string entry = {};  // "RMSNorm"
  std::string digest = {}; // "sha256:…" of the library that was loaded
  std::string trust = {};  // "trusted", "local", "allowed" …
  std::string publisher = {}; // "graft-kernels"
  std::string signer = {}; // "key graft-kernels (sha256:…)", or a Sigstore identity with its log index; empty: unsigned
  std::string rule = {};   // of the policy, that let it in: "signers", "trusted_publishers", "allow_all_kernels" …
  std::string covered_by = {}; // a module whose own kernel does this layer's work as well
  std::string reason = {}; // why not bound, or what to know about it
};

struct BindReport {
  std::vector<LayerReport> layers;
  /// Mapped names that the model does not have, with near names.
  std::vector<std::string> warnings;
  double seconds = 0;  // wall time of resolve, fetch, check, load and bind

  int count(LayerState state) const;
  bool any_fallback() const { return count(LayerState::fallback) > 0; }
  /// What strict asks for: no mapped layer fell back, and every mapped name is one of the model's.
  bool as_mapped() const { return !any_fallback() && warnings.empty(); }
  /// {layers: [{layer, module, state, repo, commit, variant, entry, digest, trust, publisher, signer, rule, reason}],
  /// warnings, seconds}
  std::string json() const;
  /// A table with a row for each kind of layer, equal rows of different modules folded into one ("× 30").
  std::string table() const;
};

std::ostream& operator<<(std::ostream& out, const BindReport& report);

}  // namespace graft
