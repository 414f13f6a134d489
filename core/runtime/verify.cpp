#include "graft/verify.h"

#include "admission.h"
#include "graft/error.h"
#include "signature.h"
#include "whole_file.h"

namespace graft {

TrustDecision verify_kernel(Runtime& runtime, const KernelRef& ref, const LoadOptions& options) {
  TrustDecision decision{.accepted = true,
                         .state = "local",
                         .publisher = {},
                         .rule = "local_kernels",
                         .reason = "a path on this machine, named by its user",
                         .signer = {},
                         .digest = {}};
  const Policy& policy = runtime.policy(options);
  if (!ref.is_local()) {
    decision = decide_publisher(policy, ref.repo, options.allow_all_kernels);
    if (!decision.accepted) return decision;
  }
  LocatedPackage found = runtime.locate(ref, options);
  const std::filesystem::path folder = runtime.fetch(found, options);
  if (folder.empty())
    throw Error(ErrorCode::unsupported, "kernel " + ref.str(),
                "no variant fits: " + found.variants.why_none(), "name the device: --device cuda");
  try {
    if (ref.is_local()) {
      decision.rule = "digest";
      decision.digest = verify_variant(folder, read_metadata(folder)).digest();
      decision.rule = "local_kernels";
    } else {
      admit(policy, ref, found, folder, decision);
    }
  } catch (const Error& e) {
    if (e.code() != ErrorCode::corrupt && e.code() != ErrorCode::untrusted) throw;
    decision.accepted = false;
    decision.state = "refused";
    decision.reason = e.what();
  }
  return decision;
}

TrustedRoot trusted_root_in_force() {
  return trusted_root();
}

void replace_trusted_root(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::not_found, "trusted root " + file.string(), "there is no such file", "name a trusted_root.json");
  std::string text = read_whole(file);
  TrustedRoot::parse(text, file.string());
  write_whole(trusted_root_file(), text);
}

}  // namespace graft
