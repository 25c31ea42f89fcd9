"""The servers that bench/surface.py compares, each started for the same job on a free port.

Apart from the measuring, because what is compared must be read beside what it is compared with.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "scripts" / "run-web-surface.py"
ECHO = Path(__file__).with_name("websocket.py")
KB, MB = 1024, 1024 * 1024
FILE_CACHE = "nginx, open_file_cache"


@dataclass
class Server:
    """A running server: its port and the process whose time is counted."""

    name: str
    port: int
    process: subprocess.Popen
    pid: int


LAUNCHED: list[subprocess.Popen] = []


def launch(command: list[str], **options) -> subprocess.Popen:
    """Start a process that does not outlive this one, however it ends."""
    process = subprocess.Popen(command, **options)
    LAUNCHED.append(process)
    return process


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise SystemExit(f"nothing listens on {port}")


def nginx(base: Path, name: str, port: int, body: str, http: str = "") -> Server:
    home = base / re.sub(r"[^a-z]+", "-", name)
    home.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "nginx.conf").write_text(
        f"""worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;
user root; events {{ worker_connections 8192; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {temporary}
types {{ text/html html; text/javascript js; application/octet-stream bin; }} {http}
server {{ listen 127.0.0.1:{port} backlog=4096; {body} }} }}
"""
    )
    process = launch(
        ["nginx", "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
    )
    wait_for(port)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Server(name, port, process, int(children[0]))


def start_backends(base: Path) -> tuple[int, int]:
    """The backend that all of them proxy to (an nginx) and the WebSocket echo; their ports."""
    api = free_port()
    small = "location /api/small { default_type application/json; return 200 '{\"ok\":true}'; }"
    nginx(base, "backend", api, f"{small} location / {{ root {base}/api; }}")
    echo = launch([sys.executable, str(ECHO), "server", "0"], stdout=subprocess.PIPE, text=True)
    return api, int(echo.stdout.readline())


def start_all(base: Path, api: int, echo: int, names: list[str]) -> list[Server]:
    """nginx (plain and with its file cache), Caddy and the surface before the same backend.

    Only those in `names` when there are any.
    """
    www = base / "www"
    proxy = (
        "location /api/ws { proxy_pass http://ws; proxy_http_version 1.1; proxy_set_header Upgrade "
        '$http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host; } '
        "location /api { proxy_pass http://be; proxy_http_version 1.1; proxy_set_header Connection "
        '""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For '
        "$proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; } "
        f"location / {{ root {www}; try_files $uri /index.html; }}"
    )
    upstream = (
        f"upstream be {{ server 127.0.0.1:{api}; keepalive 256; keepalive_requests 1000000000; }} "
        f"upstream ws {{ server 127.0.0.1:{echo}; }} "
    )
    cache = "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; "
    starts = {
        "nginx": lambda: nginx(base, "nginx", free_port(), proxy, upstream),
        FILE_CACHE: lambda: nginx(base, FILE_CACHE, free_port(), proxy, upstream + cache),
        "Caddy": lambda: caddy(base, www, api, echo),
        "surface": lambda: surface(base, api),
    }
    if not shutil.which("caddy"):
        del starts["Caddy"]
    return [start() for name, start in starts.items() if not names or name in names]


def caddy(base: Path, www: Path, api: int, echo: int) -> Server:
    port = free_port()
    config = base / "Caddyfile"
    config.write_text(
        f"""{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  handle /api/ws {{
    reverse_proxy 127.0.0.1:{echo}
  }}
  handle /api/* {{
    reverse_proxy 127.0.0.1:{api}
  }}
  handle {{
    root * {www}
    try_files {{path}} /index.html
    file_server
  }}
}}
"""
    )
    process = launch(
        ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"],
        stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(base)},
    )  # fmt: skip
    wait_for(port)
    return Server("Caddy", port, process, process.pid)


def surface(base: Path, api: int, number: int = 1) -> Server:
    root = base / f"web-preview-{number}"
    process = launch(
        [sys.executable, str(SCRIPT), "--root", str(root), "--port", "0",
         "--api-target", f"http://127.0.0.1:{api}"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    first = json.loads(process.stdout.readline())
    return Server("surface", first["port"], process, process.pid)


def make_files(base: Path) -> None:
    www = base / "www"
    www.mkdir()
    (www / "index.html").write_text("<!doctype html><title>bench</title>")
    for name, size in (("one.js", KB), ("hundred.js", 100 * KB), ("mega.bin", MB)):
        (www / name).write_bytes(os.urandom(size // 2).hex().encode())
    (base / "api" / "api").mkdir(parents=True)
    shutil.copy(www / "mega.bin", base / "api" / "api")
    for number in range(1, 4):
        release = base / f"live-{number}" / "releases" / "p1"
        shutil.copytree(www, release / "web")
        (release / "release.json").write_text(
            json.dumps({"publish_id": "p1", "slot_id": f"preview-{number}", "run_id": "bench",
                        "commit_sha": "ab" * 20, "badge": False})
        )  # fmt: skip
        (base / f"live-{number}" / "current").symlink_to("releases/p1")
        (base / f"web-preview-{number}").mkdir()
        (base / f"web-preview-{number}" / "live").symlink_to(f"../live-{number}")


def stop(server: Server) -> None:
    """End a server and wait for it."""
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(20)
    if server.process.stdout:
        server.process.stdout.close()
