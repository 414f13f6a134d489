// graft verify-bundle: whether a Sigstore bundle proves who signed a file. Its flags are those of
// sigstore-conformance.
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/sigstore.h"
#include "terminal.h"

namespace graft {
namespace {

struct VerifyBundleOptions {
  std::string bundle, artifact, key, trusted_root;
  SigstoreIdentity identity;
  bool staging = false;
};

std::string read(const std::string& file) {
  constexpr std::size_t limit = std::size_t{64} << 20;  // far more than a bundle, a key or a root may have
  std::error_code error;
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file, error))
    throw Error(ErrorCode::io, "file " + file, "cannot be read", "check its path and permissions");
  std::string text;
  for (std::istreambuf_iterator<char> at(in), end; at != end && text.size() <= limit; ++at) text += *at;
  return text;
}

/// A file of that name comes first.
Artifact artifact_of(const std::string& file_or_digest) {
  std::error_code error;
  if (file_or_digest.starts_with("sha256:") && !std::filesystem::exists(file_or_digest, error))
    return Artifact::of_digest(file_or_digest);
  return Artifact::of_file(file_or_digest);
}

SigstoreSigner signer_of(const VerifyBundleOptions& options) {
  const Artifact artifact = artifact_of(options.artifact);
  const std::string bundle = read(options.bundle);
  const TrustedRoot root = options.trusted_root.empty()
                               ? TrustedRoot::embedded()
                               : TrustedRoot::parse(read(options.trusted_root), options.trusted_root);
  return options.key.empty() ? verify_bundle(bundle, artifact, root, options.identity)
                             : verify_bundle_with_key(bundle, artifact, root, read(options.key));
}

void print(const SigstoreSigner& signer, const VerifyBundleOptions& options, bool json) {
  if (json) {
    nlohmann::ordered_json object = {{"verdict", "accepted"},         {"reason", ""},
                                     {"signer", signer.subject},      {"issuer", signer.issuer},
                                     {"log_index", signer.log_index}, {"signed_at", signer.signed_at}};
    fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{}  {}\n  signer: {}\n  log:    entry {}\n", styled("verified", Style::green),
               printable(options.artifact), printable(signer.str()), signer.log_index);
  }
}

void print_refusal(const Error& error, const VerifyBundleOptions& options, bool json) {
  if (json) {
    nlohmann::ordered_json object = {{"verdict", "refused"},
                                     {"reason", error.what()},
                                     {"signer", ""},
                                     {"issuer", ""},
                                     {"log_index", nullptr}};
    fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print("{}  {}\n  reason: {}: {}\n", styled("refused", Style::red), printable(options.artifact),
             printable(error.failed()), printable(error.why()));
  if (!error.mend().empty()) fmt::print("  → {}\n", printable(error.mend()));
}

int verify_bundle_command(const VerifyBundleOptions& options, bool json) {
  if (options.staging)
    throw Error(ErrorCode::invalid_argument, "option --staging",
                "Graft carries no trusted root of Sigstore's staging",
                "give it yourself: --trusted-root FILE");
  try {
    print(signer_of(options), options, json);
    return kDone;
  } catch (const Error& error) {
    // What could not be read or asked was not judged.
    const bool is_verdict = error.code() == ErrorCode::untrusted || error.code() == ErrorCode::corrupt ||
                            error.code() == ErrorCode::unsupported;
    if (!is_verdict) throw;
    print_refusal(error, options, json);
    return kFailed;
  }
}

}  // namespace

void add_verify_bundle(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(
      app, line, "verify-bundle", "Say whether a Sigstore bundle proves who signed a file; asks no network",
      "graft verify-bundle --bundle norm.so.sigstore.json --certificate-identity me@example.org "
      "--certificate-oidc-issuer https://accounts.google.com norm.so");
  auto options = std::make_shared<VerifyBundleOptions>();
  command
      ->add_option("FILE_OR_DIGEST", options->artifact, "what was signed: a path, or sha256:<64 hex digits>")
      ->required();
  command->add_option("--bundle", options->bundle, "the Sigstore bundle, JSON")->required();
  command->add_option("--certificate-identity", options->identity.subject,
                      "who must have signed: a URI or email address");
  command->add_option("--certificate-oidc-issuer", options->identity.issuer,
                      "who must have vouched for them: a URL");
  command->add_option("--key", options->key,
                      "the public key in PEM that must have signed; no identity is asked for then");
  command->add_option("--trusted-root", options->trusted_root,
                      "the Sigstore instance's keys; default: the public one's");
  command->add_flag("--staging", options->staging, "refused: give the staging instance's --trusted-root");
  command->callback([&line, options] {
    line.action = [&line, options] { return verify_bundle_command(*options, line.json); };
  });
}

}  // namespace graft
