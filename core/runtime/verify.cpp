#include "graft/verify.h"

#include "graft/error.h"
#include "variant_digest.h"

namespace graft {

TrustDecision verify_kernel(Runtime& runtime, const KernelRef& ref, const LoadOptions& options) {
  TrustDecision decision{true, "local", "", "local path", "a path on this machine, named by its user",
                         "",   ""};
  if (!ref.is_local()) {
    decision = decide_publisher(runtime.options().policy, ref.repo, options.allow_all_kernels);
    if (!decision.accepted) return decision;
  }
  LocatedPackage found = runtime.locate(ref, options);
  const std::filesystem::path folder = runtime.fetch(found, options);
  if (folder.empty())
    throw Error(ErrorCode::unsupported, "kernel " + ref.str(),
                "no variant fits: " + found.variants.why_none(), "name the device: --device cuda");
  try {
    decide_digest(verify_variant(folder), decision);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::corrupt) throw;
    decision.accepted = false;
    decision.state = "refused";
    decision.rule = "digest";
    decision.reason = e.what();
  }
  return decision;
}

}  // namespace graft
