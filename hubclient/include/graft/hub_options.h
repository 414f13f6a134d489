// HubOptions: how a Hub is spoken to and where what it gives is kept.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "graft/progress.h"

namespace graft {

/// The defaults are those of huggingface_hub; from_environment() reads the variables that it reads.
struct HubOptions {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT
  std::string token = {};  // HF_TOKEN, else the file HF_TOKEN_PATH; sent to the endpoint's own origin alone
  bool offline = false;    // HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE: no connection at all, the cache alone

  // Absolute, made when needed. cache_dir: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub;
  // kernels_cache_dir: KERNELS_CACHE, else cache_dir.
  std::filesystem::path cache_dir = {};
  std::filesystem::path kernels_cache_dir = {};
  bool symlinks = true;      // HF_HUB_DISABLE_SYMLINKS: snapshots hold copies
  bool shared_blobs = true;  // HF_HUB_DISABLE_SHARED_BLOBS, HF_HUB_DISABLE_XET: none from other repos

  // Without a byte for so long, a connection is given up. HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT.
  std::chrono::milliseconds metadata_timeout{10'000};
  std::chrono::milliseconds download_timeout{10'000};
  int retries = 5;                            // after timeouts, broken connections, 408, 429 and 5xx
  std::chrono::milliseconds retry_wait{1000};  // before the first retry; doubled for each further one, up to 8 s

  int connections = 8;  // files, or parts of one, at once

  // Certificates that a server's may be signed by, in PEM: SSL_CERT_FILE (which huggingface_hub
  // reads), else REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, and SSL_CERT_DIR; empty: the system's.
  std::filesystem::path ca_file = {}, ca_folder = {};

  /// Told how a fetch goes on. from_environment() sets a bar on standard error if that is a terminal and
  /// HF_HUB_DISABLE_PROGRESS_BARS is not set.
  ProgressCallback progress = {};

  /// http_proxy, https_proxy, all_proxy and no_proxy are read by libcurl. Throws Error(invalid_argument) for
  /// a variable whose value cannot be meant, io for a token file that cannot be read.
  static HubOptions from_environment();
};

}  // namespace graft
