"""The programs that a test starts: `graft serve`, `graft download`, and Python with huggingface_hub.

GRAFT_PROGRAM names the program (build/bin/graft if not set), GRAFT_PEERS the folder with huggingface_hub (what
`python3 tools/setup --only peers` makes if not set). None reaches further than this machine.
"""

import http.client
import http.server
import json
import os
import queue
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "setup"))

import peers  # noqa: E402  (found through the line above)

PROGRAM = Path(os.environ.get("GRAFT_PROGRAM") or SOURCE / "build" / "bin" / "graft")
PEERS = Path(os.environ.get("GRAFT_PEERS") or peers.folder())
PATIENCE = 120  # seconds for any one program; a sanitized build on a busy machine is slow
OWN_VARIABLES = re.compile(
    r"(HF|HUGGINGFACE|HUGGING_FACE|TRANSFORMERS|KERNELS|LOCAL_KERNELS|USE_HUB_KERNELS|GRAFT_HUB|GRAFT_LOCK|PYTHON|XDG_CACHE_HOME)"
    r"|.*(_proxy|_PROXY|CA_BUNDLE)$|SSL_CERT_"
)


def environment(**more):
    """This process's, without what could lead a program elsewhere: the user's cache, token, endpoint or proxy"""
    return {**{name: value for name, value in os.environ.items() if not OWN_VARIABLES.match(name)}, **more}


class Server:
    """`graft serve`, from its first line to its end."""

    def __init__(self, folder, options=()):
        command = [str(PROGRAM), "serve", str(folder), "--port", "0", "--json", *map(str, options)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment())
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            addresses = json.loads(lines.get(timeout=PATIENCE))
            self.endpoint, self.cdn = addresses["endpoint"], addresses["cdn"]
        except (queue.Empty, ValueError, KeyError, TypeError) as error:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{' '.join(command)} did not say where it listens ({error!r}):\n{self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.log.close()


def dead_endpoint():
    """An address at which nobody listens"""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


class Recorder:
    """A Hub's address that writes down each request and passes it on to the endpoint. What is redirected to a CDN goes
    there without it, after the request that asked for it has been seen here."""

    def __init__(self, endpoint):
        self.requests = []  # "GET /api/models/…", percent-decoded
        upstream = urllib.parse.urlsplit(endpoint).netloc
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                recorder.requests.append(f"{self.command} {urllib.parse.unquote(self.path)}")
                link = http.client.HTTPConnection(upstream, timeout=PATIENCE)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                link.request(self.command, self.path, headers=headers)
                answer = link.getresponse()
                body = answer.read()
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
                if length is not None:
                    self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(body)
                link.close()

            do_GET = do_HEAD = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def asked_for(self, path):
        return [request for request in self.requests if request.split("?")[0].endswith(path)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Python:
    """One process of huggingface_hub (or of HF kernels: peer_kernels.py), imported and waiting for its calls."""

    def __init__(self, variables, script="peer.py"):
        self.process = subprocess.Popen(
            # Without site: what else this machine has installed, and hooks of its own, are no part of the peer.
            [sys.executable, "-B", "-S", str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**variables, "PYTHONPATH": str(PEERS), "HF_HUB_DISABLE_XET": variables.get("HF_HUB_DISABLE_XET", "1")},
        )
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"huggingface_hub cannot be imported:\n{self.process.communicate()[1]}")

    def start(self, calls):
        self.process.stdin.write(json.dumps(calls))
        self.process.stdin.close()
        self.process.stdin = None  # so that communicate() does not write to it

    def answers(self):
        out, error = self.process.communicate(timeout=PATIENCE)
        if self.process.returncode != 0:
            raise AssertionError(f"the Python side failed (exit {self.process.returncode}):\n{out}{error}")
        return json.loads(out.strip().splitlines()[-1])


def graft(words, variables, folder=None):
    """A command of `graft`, run to its end: (exit code, what --json printed)"""
    done = subprocess.run(
        [str(PROGRAM), *map(str, words), "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=variables,
        cwd=folder,
        timeout=PATIENCE,
    )
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{words} (exit {done.returncode}) printed no JSON:\n{done.stdout}\n{done.stderr}") from None


class Graft:
    """One `graft download --json`, started; finished() gives its exit code and what it printed."""

    def __init__(self, words, variables):
        self.command = [str(PROGRAM), "download", *map(str, words), "--json"]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )

    def finished(self):
        out, error = self.process.communicate(timeout=PATIENCE)
        try:
            return self.process.returncode, json.loads(out)
        except ValueError:
            raise AssertionError(
                f"{' '.join(self.command)} (exit {self.process.returncode}) printed no JSON:\n{out}\n{error}"
            ) from None
