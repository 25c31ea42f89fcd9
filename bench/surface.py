"""Measure the web surface beside nginx and Caddy: the same job, in turns, on this machine.

Each turn runs every server once for a few seconds, so that a busy moment of the machine hits all
of them; the table holds medians over the turns. One process each: one nginx worker, one surface;
Caddy uses what it wants. Needs nginx, caddy and wrk (Debian: nginx-light, caddy, wrk).

Usage: bench/surface.py [--rounds 5] [--seconds 2] [--only "NAME;NAME"] [--output DIRECTORY]
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPT = CHECKOUT / "scripts" / "run-web-surface.py"
ECHO = Path(__file__).with_name("surface_websocket.py")
KB, MB = 1024, 1024 * 1024

UNIQUE = """local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", nil, {["X-Unique"] = tostring(n) .. "-" .. tostring(math.random(1e9))})
end
"""


@dataclass(frozen=True)
class Case:
    """What is asked of every server; `script` is Lua for wrk."""

    name: str
    path: str
    connections: int = 64
    script: str = ""
    etag: bool = False


CASES = (
    Case("static 1 KB", "/one.js"),
    Case("static 1 KB, 1 connection", "/one.js", 1),
    Case("static 1 KB, 1,000 connections", "/one.js", 1000),
    Case("static 1 KB, unique headers", "/one.js", script=UNIQUE),
    Case("static 100 KB", "/hundred.js"),
    Case("static 100 KB, unique headers", "/hundred.js", script=UNIQUE),
    Case("static 1 MB", "/mega.bin"),
    Case("304", "/one.js", etag=True),
    Case("/api", "/api/small"),
    Case("/api, 1 connection", "/api/small", 1),
    Case("/api, 1,000 connections", "/api/small", 1000),
    Case("/api, unique headers", "/api/small", script=UNIQUE),
    Case("/api 1 MB streamed", "/api/mega.bin"),
    Case("/api 1 MB streamed, unique headers", "/api/mega.bin", script=UNIQUE),
)


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


def start_all(base: Path, api: int, echo: int) -> list[Server]:
    """nginx (plain and with its file cache), Caddy and the surface before the same upstream."""
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
    servers = [
        nginx(base, "nginx", free_port(), proxy, upstream),
        nginx(base, "nginx, open_file_cache", free_port(), proxy, upstream + cache),
    ]
    if shutil.which("caddy"):
        servers.append(caddy(base, www, api, echo))
    servers.append(surface(base, api))
    return servers


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


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(server: Server, case: Case, seconds: int, base: Path) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency"]
    if case.script:
        (base / "wrk.lua").write_text(case.script)
        command += ["-s", str(base / "wrk.lua")]
    if case.etag:
        command += ["-H", f"If-None-Match: {etag(server.port, case.path)}"]
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}{case.path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = cpu_seconds(server.pid) - before
    text = done.stdout
    # wrk counts a 304 as an error; a real one is a connection error or another status.
    if "Socket errors" in text or ("Non-2xx" in text and not case.etag):
        print(f"  {server.name}, {case.name}: {text.splitlines()[-3:]}", file=sys.stderr)
    count = int(re.search(r"(\d+) requests in", text).group(1))
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    scale = {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p99_ms": float(value) * scale,
        "cpu_us": used / count * 1e6 if count else 0,
    }


def etag(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return re.search(rb"(?i)etag: ([^\r]*)", client.recv(65536)).group(1).decode()


def websocket(server: Server, seconds: int) -> dict[str, float]:
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [sys.executable, str(ECHO), "client", str(server.port), "64", str(seconds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    used = cpu_seconds(server.pid) - before
    return {**result, "cpu_us": used / max(result["rate"] * seconds, 1) * 1e6}


def memory(pid: int, key: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) / 1024


def measure_size_and_start(base: Path, api: int, rounds: int) -> dict[str, float]:
    """RSS of one idle surface, PSS of three, and start to first 200 beside `python -c pass`."""
    starts, plain = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        plain.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        server = surface(base, api)
        etag(server.port, "/one.js")
        starts.append((time.perf_counter() - began) * 1000)
        stop(server)
    three = [surface(base, api, number) for number in (1, 2, 3)]
    for server in three:
        etag(server.port, "/one.js")
    time.sleep(1.5)
    result = {
        "idle RSS of one, MB": memory(three[0].pid, "Rss"),
        "PSS of three, MB": sum(memory(server.pid, "Pss") for server in three),
        "start to first 200, ms": statistics.median(starts),
        "python -c pass, ms": statistics.median(plain),
    }
    for server in three:
        stop(server)
    return result


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(20)
    if server.process.stdout:
        server.process.stdout.close()


def report(results: dict[str, dict[str, list[dict[str, float]]]], size: dict[str, float]) -> str:
    names = list(next(iter(results.values())))
    lines = [
        "| case | " + " | ".join(names) + " | surface / nginx | p99, ms: nginx, surface "
        "| CPU, µs a request: nginx, surface |",
        "|---|" + "---:|" * (len(names) + 3),
    ]
    for case, by_server in results.items():

        def mid(server: str, key: str, by_server=by_server) -> float:
            return statistics.median(turn[key] for turn in by_server[server])

        ratio = statistics.median(
            ours["rate"] / theirs["rate"]
            for ours, theirs in zip(by_server["surface"], by_server["nginx"], strict=True)
        )
        rates = " | ".join(f"{mid(name, 'rate'):,.0f}" for name in names)
        lines.append(
            f"| {case} | {rates} | **{ratio:.2f}** | {mid('nginx', 'p99_ms'):.1f}, "
            f"{mid('surface', 'p99_ms'):.1f} | {mid('nginx', 'cpu_us'):.0f}, "
            f"{mid('surface', 'cpu_us'):.0f} |"
        )
    lines += ["", "| | |", "|---|---:|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in size.items()]
    return "\n".join(lines) + "\n"


def plot(results: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Bars of requests a second relative to nginx, as SVG."""
    colours = {"nginx": "#b8b4a8", "nginx, open_file_cache": "#8d897d", "Caddy": "#c98a1b",
               "surface": "#3d6b4f"}  # fmt: skip
    row, left, scale = 18, 250, 220
    parts, y = [], 40
    for case, by_server in results.items():
        parts.append(f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{case}</text>')
        floor = statistics.median(turn["rate"] for turn in by_server["nginx"])
        for name, turns in by_server.items():
            value = statistics.median(turn["rate"] for turn in turns) / floor
            width = min(value, 2.6) * scale
            parts.append(
                f'<rect x="{left}" y="{y}" width="{width:.0f}" height="{row - 4}" '
                f'fill="{colours[name]}"/><text x="{left + width + 6:.0f}" y="{y + 12}" '
                f'class="n">{value:.2f}</text>'
            )
            y += row
        y += 12
    keys = "".join(
        f'<rect x="{left + 150 * i}" y="12" width="12" height="12" fill="{colour}"/>'
        f'<text x="{left + 150 * i + 18}" y="22">{name}</text>'
        for i, (name, colour) in enumerate(colours.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{y + 10}" '
        'font-family="system-ui,sans-serif" font-size="12"><style>.n{fill:#666;font-size:11px}'
        f'</style><rect width="100%" height="100%" fill="#fff"/>{keys}'
        f'<line x1="{left + scale}" y1="34" x2="{left + scale}" y2="{y}" stroke="#0003"/>'
        f"{''.join(parts)}</svg>\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--output", type=Path, default=Path(".cache/bench"))
    options = parser.parse_args()
    for tool in ("nginx", "wrk"):
        if not shutil.which(tool):
            print(f"not run: {tool} is not installed (Debian: nginx-light, wrk)")
            return 0
    wanted = [part for part in options.only.split(";") if part]
    with tempfile.TemporaryDirectory(prefix="surface-bench-") as directory:
        base = Path(directory)
        base.chmod(0o755)
        try:
            results, size = run(base, options.rounds, options.seconds, wanted)
        finally:
            for process in LAUNCHED:
                if process.poll() is None:
                    process.terminate()
                    process.wait(20)
    options.output.mkdir(parents=True, exist_ok=True)
    text = report(results, size)
    (options.output / "surface.md").write_text(text)
    (options.output / "surface.json").write_text(json.dumps({"turns": results, "size": size}))
    (options.output / "surface.svg").write_text(plot(results))
    print(text)
    return 0


def run(base: Path, rounds: int, seconds: int, wanted: list[str]):
    """All cases in turns; returns the single figures and the sizes."""
    api = free_port()
    small = "location /api/small { default_type application/json; return 200 '{\"ok\":true}'; }"
    echo = launch([sys.executable, str(ECHO), "server", "0"], stdout=subprocess.PIPE, text=True)
    echo_port = int(echo.stdout.readline())
    make_files(base)
    nginx(base, "backend", api, f"{small} location / {{ root {base}/api; }}")
    servers = start_all(base, api, echo_port)
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        rows = results[case.name] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                rows[server.name].append(wrk(server, case, seconds, base))
        print(f"{case.name}: done", file=sys.stderr)
    size = measure_size_and_start(base, api, max(rounds, 5))
    if not wanted or "WebSocket" in wanted:
        stop(servers.pop())
        servers.append(surface(base, echo_port))
        rows = results["WebSocket, 64"] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                rows[server.name].append(websocket(server, seconds))
    return results, size


if __name__ == "__main__":
    sys.exit(main())
