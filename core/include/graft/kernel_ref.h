// KernelRef: how a user names a kernel.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace graft {

/// "org/repo[@revision][:Entry]" or "/absolute/path[:Entry]".
///
///   graft-kernels/norm:RMSNorm                 the highest version of the repo
///   graft-kernels/norm@v1.2.0:RMSNorm          a tag, a branch or a commit
///   graft-kernels/norm@>=1.0,<2.0:RMSNorm      the highest version in a range (see version.h)
///   graft-kernels/norm@2:RMSNorm               version branch v2, as HF kernels' version=2
///   /home/me/norm:RMSNorm                      what was just built: a repo, a variant folder or a .so
///
/// A value; immutable use from any thread.
struct KernelRef {
  std::string repo;             // "org/name"; empty for a local one
  std::string revision;         // tag, branch, commit or range as written; empty: the highest version
  std::string entry;            // empty: the plugin's only one
  std::filesystem::path local;  // absolute; empty for a repo's

  bool is_local() const { return !local.empty(); }

  /// Throws Error(invalid_argument); the message shows the text with a caret under the place.
  static KernelRef parse(std::string_view text);

  /// parse() of what follows byte `begin` of `whole`, a `what` ("LOCAL_KERNELS"), which the error shows.
  static KernelRef parse_in(std::string_view what, std::string_view whole, std::size_t begin);

  /// The text again: parse(str()) is the same reference.
  std::string str() const;

  bool operator==(const KernelRef&) const = default;
};

/// What an attn_implementation names, as in transformers: "eager", "sdpa", or a repo's entry; each perhaps with "paged|"
/// before it, for attention over a paged KV cache.
struct AttentionRef {
  bool paged = false;
  std::string builtin;  // "eager" or "sdpa"; empty: a kernel
  KernelRef kernel;     // never a local one, and its revision has no slash: transformers would not take either

  /// Throws Error(invalid_argument) with a caret under the place; what transformers' pattern for kernels or the Hub's rules
  /// for repo names (hub.h) refuse is refused here.
  static AttentionRef parse(std::string_view text);

  std::string str() const;

  bool operator==(const AttentionRef&) const = default;
};

}  // namespace graft
