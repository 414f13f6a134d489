// Packing: from an author's working copy to a commit in a Hub's folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace graft {

struct PackOptions {
  std::filesystem::path
      source;  // a repo as built: build/<variant>/<library>.so, and what else belongs to it (README.md …)
  std::filesystem::path hub;         // a file:// hub's folder; made if it is not there
  std::string repo;                  // "org/name"
  std::string tag;                   // "v1.0.0"
  std::string license = {};          // SPDX, "Apache-2.0"; may be empty
  std::string algorithm = "sha256";  // of the digests; or "sha512"
  std::filesystem::path key = {};    // an Ed25519 private key in PEM to sign each variant with; empty: unsigned
  bool move_tag =
      false;  // let `tag` leave the commit it names now; commits that no ref names are then removed
};

struct PackResult {
  std::string commit;  // 40 hex digits, by content: the same files give the same commit
  std::vector<std::string> variants;
  bool changed = false;  // false: the hub held all this already
};

/// Copies the files, writes each variant's metadata.json with the digests of its files (fields of one that is
/// there are kept), then lets refs/tags/<tag> and refs/heads/main name the commit. Readers of the hub see all
/// of it or nothing. Packs of different repos may run at once. Throws Error: invalid_argument (names; a tag
/// that would move), not_found (no variants), corrupt (a link that leads out), io.
PackResult pack_repo(const PackOptions& options);

}  // namespace graft
