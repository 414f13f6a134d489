// A stranger's Sigstore bundle, from its JSON to the last check: no crash, and never believed. The seeds are
// bundles of another file than the one asked about, so that even an untouched one must be refused.
#include <cstddef>
#include <cstdint>

#include "graft/error.h"
#include "graft/sigstore.h"

namespace {

template <typename Verify>
void must_refuse(const Verify& verify) {
  try {
    verify();
  } catch (const graft::Error& e) {
    const bool expected = e.code() == graft::ErrorCode::corrupt || e.code() == graft::ErrorCode::untrusted ||
                          e.code() == graft::ErrorCode::unsupported;
    if (!expected) __builtin_trap();
    return;
  }
  __builtin_trap();
}

constexpr const char* kKey =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExRRST79+PsrRBnGAI4cMu6Omz2Jh\n"
    "fwlMW+gIutNKVRaMyS4rQKvgngc5p8UbLj55pVHhIoAxi/SRgURZI0J3Xw==\n"
    "-----END PUBLIC KEY-----\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  static const graft::Artifact artifact = graft::Artifact::of_bytes("a file that nobody signed");
  static const graft::SigstoreIdentity identity{"https://token.actions.githubusercontent.com", "", "*", "",
                                                ""};
  const graft::TrustedRoot& root = graft::TrustedRoot::embedded();
  must_refuse([&] { graft::verify_bundle(json, artifact, root, identity); });
  must_refuse([&] { graft::verify_bundle_with_key(json, artifact, root, kKey); });
  try {
    graft::TrustedRoot::parse(json, "root").services();
  } catch (const graft::Error&) {
  }
  return 0;
}
