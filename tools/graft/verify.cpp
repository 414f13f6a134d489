// graft verify: whether the trust policy and the digests would let a kernel in; loads nothing.
#include "graft/verify.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/runtime.h"
#include "terminal.h"

namespace graft {
namespace {

struct VerifyOptions {
  std::string ref;
  LoadOptions load;
};

int verify(const VerifyOptions& options, bool json) {
  TrustDecision decision = verify_kernel(Runtime::shared(), KernelRef::parse(options.ref), options.load);
  if (json) {
    nlohmann::ordered_json object = {{"verdict", decision.accepted ? "accepted" : "refused"},
                                     {"rule", decision.rule},
                                     {"reason", decision.reason},
                                     {"publisher", decision.publisher},
                                     {"signer", decision.signer},
                                     {"log_index", decision.log_index},
                                     {"digest", decision.digest}};
    fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{}  {}\n  rule:   {}\n  reason: {}\n",
               decision.accepted ? styled("accepted", Style::green) : styled("refused", Style::red),
               options.ref, decision.rule, printable(decision.reason));
    if (!decision.signer.empty()) fmt::print("  signer: {}\n", printable(decision.signer));
    if (!decision.digest.empty()) fmt::print("  digest: {}\n", decision.digest);
  }
  return decision.accepted ? kDone : kFailed;
}

}  // namespace

void add_verify(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "verify",
                                  "Say whether policy and digests let a kernel in; its code does not run",
                                  "graft verify graft-kernels/norm");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("REF", options->ref, "org/repo[@revision], or the path of a repo or variant folder")
      ->required();
  command->add_option("--device", options->load.device, "cpu, cuda, …")->capture_default_str();
  command->add_flag("--allow-all-kernels", options->load.allow_all_kernels,
                    "admit publishers that the policy does not trust");
  command->callback(
      [&line, options] { line.action = [&line, options] { return verify(*options, line.json); }; });
}

}  // namespace graft
