"""Tiny applications as real git repositories, quick enough to publish dozens of times."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "ok", "commit_sha": os.environ["COMMIT_SHA"],
                           "keys": sorted(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

SOCKET_SERVER = """
import http.server, json, os, signal, socket, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "ok", "commit_sha": os.environ["COMMIT_SHA"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("X-Preview-Probe"):
            self.send_header("X-Preview-Nonce", os.environ["PREVIEW_NONCE"])
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
def serve(number):
    server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=number)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
signal.signal(signal.SIGUSR1, lambda *_: serve(4))
serve(3)
while True:
    signal.pause()
"""
"""Takes inherited listeners: the first at once, the second when it is told that it is live."""

LINK = "a link to /etc"
"""As the text of a file: commit a symbolic link to /etc in its place."""

PREVIEW_TOML = """
[frontend]
build = ["python3", "build.py"]
output = "dist"
[backend]
start = ["python3", "server.py", "{port}"]
listen = "port"
[[smoke]]
path = "/api/anything"
"""

BUILD = """
import pathlib
out = pathlib.Path("dist")
out.mkdir(exist_ok=True)
(out / "index.html").write_text("<!doctype html><title>PAGE</title>")
"""


@dataclass
class Repository:
    """A git repository to which commits are added on branches."""

    path: Path

    def commit(self, branch: str, files: Mapping[str, str | None]) -> str:
        """Commit these files on top of a tiny application that works; None removes a file."""
        whole: dict[str, str | None] = {
            "preview.toml": PREVIEW_TOML,
            "server.py": SERVER,
            "build.py": BUILD,
            **files,
        }
        self.git("checkout", "-q", "--orphan", f"draft-{len(self.git('rev-list', '--all'))}")
        self.git("rm", "-rqf", "--ignore-unmatch", ".")
        for name, text in whole.items():
            if text is not None:
                target = self.path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if text == LINK:
                    target.symlink_to("/etc")
                else:
                    target.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", branch)
        self.git("branch", "-f", branch)
        self.git("checkout", "-q", "--detach")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments],
            cwd=self.path,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"},
        )
        return done.stdout.strip()


def make_repository(path: Path) -> Repository:
    """An empty repository."""
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "-q", "-b", "main")
    return repository
