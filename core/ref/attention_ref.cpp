#include "caret.h"
#include "graft/kernel_ref.h"

namespace graft {
namespace {

constexpr std::string_view kPaged = "paged|";

}  // namespace

AttentionRef AttentionRef::parse(std::string_view text) {
  AttentionRef ref;
  ref.paged = text.starts_with(kPaged);
  const std::size_t begin = ref.paged ? kPaged.size() : 0;
  const std::string_view name = text.substr(begin);
  auto fail = [&](std::size_t at, std::string why) {
    throw_at("attn_implementation", text, at, std::move(why),
             "write eager, sdpa, org/repo[@revision][:Entry], or paged| and one of these");
  };
  if (name == "eager" || name == "sdpa") {
    ref.builtin = name;
    return ref;
  }
  if (name.starts_with('/')) fail(begin, "is a path, which attn_implementation does not take: map the layer \"attention\" to it");
  if (std::size_t bar = name.find('|'); bar != name.npos) fail(begin + bar, "'|' stands after \"paged\" only");
  if (name.find('/') == name.npos) fail(begin, "is neither an attention of LibTorch's nor a repo");
  ref.kernel = KernelRef::parse_in("attn_implementation", text, begin);
  // transformers looks for ^[^/:]+/[^/:]+(?:@[^/:]+)?(?::[^/:]+)?$ (integrations/hub_kernels.py).
  if (std::size_t slash = ref.kernel.revision.find('/'); slash != std::string::npos)
    fail(begin + ref.kernel.repo.size() + 1 + slash, "transformers takes no revision with a slash");
  return ref;
}

std::string AttentionRef::str() const {
  return (paged ? std::string(kPaged) : "") + (builtin.empty() ? kernel.str() : builtin);
}

}  // namespace graft
