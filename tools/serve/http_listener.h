// HttpListener: one address, HTTP/1.1 with or without TLS, over cpp-httplib.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "http.h"

namespace graft::server {

/// Gets each request on a thread of its connection.
using HttpHandler = std::function<ServedReply(const ServedRequest&)>;

struct ListenerOptions {
  std::string host;
  int port = 0;
  std::filesystem::path certificate = {}, key = {};  // both: HTTPS
  std::function<void(const std::string&)> log = {};
};

/// Has its address from construction on, and answers at it from start() to stop().
class HttpListener {
 public:
  /// Throws Error: io for an address that cannot be had, invalid_argument for a certificate that does not
  /// serve.
  HttpListener(const ListenerOptions& options, HttpHandler handler);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  int port() const;

  void start();

  /// Ends every connection, also those that a client keeps open; returns once no thread is left.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::server
