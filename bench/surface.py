"""Measure the web surface beside nginx and Caddy: the same job, in turns, on this machine.

Each turn runs every server once for a few seconds, so that a busy moment of the machine hits all
of them; the table holds medians over the turns. One process each: one nginx worker, one surface;
Caddy uses what it wants. Needs nginx, caddy and wrk (Debian: nginx-light, caddy, wrk).

A part that is asked for by --only (its name, or a part of a case's name) is measured alone, and
--join keeps the figures of the parts that were measured into the same directory before.

Usage: bench/surface.py [--rounds 5] [--seconds 2] [--only static|unique|api|websocket|start]
       [--servers nginx,surface] [--join] [--output DIRECTORY]
"""

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from web.report import Turns, plot, report
from web.servers import ECHO, LAUNCHED, Server, make_files, start_all, start_backends, stop, surface

UNIQUE = """local all, n = {}, 0
init = function(args)
  for i = 1, 200000 do
    local value = tostring(i) .. "-" .. tostring(math.random(1e9))
    all[i] = wrk.format("GET", nil, {["X-Unique"] = value})
  end
end
request = function()
  n = n % 200000 + 1
  return all[n]
end
"""
"""Written ahead, else wrk is slower than what it measures; no server remembers 200,000 heads."""


@dataclass(frozen=True)
class Case:
    """What is asked of every server; `script` is Lua for wrk."""

    part: str
    name: str
    path: str
    connections: int = 64
    script: str = ""
    etag: bool = False


CASES = (
    Case("static", "static 1 KB", "/one.js"),
    Case("static", "static 1 KB, 1 connection", "/one.js", 1),
    Case("static", "static 1 KB, 1,000 connections", "/one.js", 1000),
    Case("static", "static 100 KB", "/hundred.js"),
    Case("static", "static 1 MB", "/mega.bin"),
    Case("static", "304", "/one.js", etag=True),
    Case("unique", "static 1 KB, unique headers", "/one.js", script=UNIQUE),
    Case("unique", "static 100 KB, unique headers", "/hundred.js", script=UNIQUE),
    Case("unique", "/api, unique headers", "/api/small", script=UNIQUE),
    Case("unique", "/api 1 MB streamed, unique headers", "/api/mega.bin", script=UNIQUE),
    Case("api", "/api", "/api/small"),
    Case("api", "/api, 1 connection", "/api/small", 1),
    Case("api", "/api, 1,000 connections", "/api/small", 1000),
    Case("api", "/api 1 MB streamed", "/api/mega.bin"),
    Case("websocket", "WebSocket, 64", ""),
)
START = "start"


def main() -> int:
    """Measure what is asked for and write table, figures and picture."""
    options = read_options()
    for tool in ("nginx", "wrk"):
        if not shutil.which(tool):
            print(f"not run: {tool} is not installed (Debian: nginx-light, wrk)")
            return 0
    with tempfile.TemporaryDirectory(prefix="surface-bench-") as directory:
        base = Path(directory)
        base.chmod(0o755)
        try:
            results, size = run(base, options)
        finally:
            for process in LAUNCHED:
                if process.poll() is None:
                    process.terminate()
                    process.wait(20)
    options.output.mkdir(parents=True, exist_ok=True)
    figures = options.output / "surface.json"
    if options.join and figures.exists():
        before = json.loads(figures.read_text())
        results = {**before["turns"], **results}
        results = {case.name: results[case.name] for case in CASES if case.name in results}
        size = {**before["size"], **size}
    text = report(results, size)
    figures.write_text(json.dumps({"turns": results, "size": size}))
    (options.output / "surface.md").write_text(text)
    (options.output / "surface.svg").write_text(plot(results))
    print(text)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="parts of the bench, or of names, with |")
    parser.add_argument("--servers", default="", help="names of servers, with commas")
    parser.add_argument("--join", action="store_true", help="keep figures that are there")
    parser.add_argument("--output", type=Path, default=Path(".cache/bench"))
    return parser.parse_args()


def run(base: Path, options: argparse.Namespace) -> tuple[Turns, dict[str, float]]:
    """All wanted cases in turns; returns the single figures and the sizes."""
    wanted = [part for part in options.only.split("|") if part]
    cases = [
        case
        for case in CASES
        if not wanted or case.part in wanted or any(part == case.name for part in wanted)
    ]
    make_files(base)
    api, echo = start_backends(base)
    results: Turns = {}
    if cases:
        names = [name for name in options.servers.split(",") if name]
        servers = start_all(base, api, echo, names)
        for case in cases:
            if case.part == "websocket" and servers[-1].name == "surface":
                stop(servers.pop())
                servers.append(surface(base, echo))
            rows = results[case.name] = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    rows[server.name].append(measure(server, case, options.seconds, base))
            print(f"{case.name}: done", file=sys.stderr)
        for server in servers:
            stop(server)
    size = {}
    if not wanted or START in wanted:
        size = measure_size_and_start(base, api, max(options.rounds, 15))
    return results, size


def measure(server: Server, case: Case, seconds: int, base: Path) -> dict[str, float]:
    """One turn: requests a second, the slowest hundredth, and the server's time a request."""
    before = cpu_seconds(server.pid)
    if case.part == "websocket":
        rate, p99, count = websocket(server, seconds)
    else:
        rate, p99, count = wrk(server, case, seconds, base)
    used = cpu_seconds(server.pid) - before
    return {"rate": rate, "p99_ms": p99, "cpu_us": used / count * 1e6 if count else 0}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; /proc/PID/schedstat counts it in nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def wrk(server: Server, case: Case, seconds: int, base: Path) -> tuple[float, float, float]:
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency"]
    if case.script:
        (base / "wrk.lua").write_text(case.script)
        command += ["-s", str(base / "wrk.lua")]
    if case.etag:
        command += ["-H", f"If-None-Match: {etag(server.port, case.path)}"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}{case.path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    text = done.stdout
    # wrk counts a 304 as an error; a real one is a connection error or another status.
    if "Socket errors" in text or ("Non-2xx" in text and not case.etag):
        print(f"  {server.name}, {case.name}: {text.splitlines()[-3:]}", file=sys.stderr)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return (
        float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        int(re.search(r"(\d+) requests in", text).group(1)),
    )


def etag(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return re.search(rb"(?i)etag: ([^\r]*)", client.recv(65536)).group(1).decode()


def websocket(server: Server, seconds: int) -> tuple[float, float, float]:
    done = subprocess.run(
        [sys.executable, str(ECHO), "client", str(server.port), "64", str(seconds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    return result["rate"], result["p99_ms"], result["rate"] * seconds


def memory(pid: int, key: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) / 1024


def measure_size_and_start(base: Path, api: int, rounds: int) -> dict[str, float]:
    """RSS of one idle surface, PSS of three, and start to first 200 beside `python3 -c pass`."""
    starts, plain, more = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        plain.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        server = surface(base, api)
        etag(server.port, "/one.js")
        starts.append((time.perf_counter() - began) * 1000)
        more.append(starts[-1] - plain[-1])
        stop(server)
    three = [surface(base, api, number) for number in (1, 2, 3)]
    for server in three:
        etag(server.port, "/one.js")
    time.sleep(1.5)
    result = {
        "idle RSS of one, MB": memory(three[0].pid, "Rss"),
        "PSS of three, MB": sum(memory(server.pid, "Pss") for server in three),
        "start to first 200, ms": statistics.median(starts),
        "python3 -c pass, ms": statistics.median(plain),
        "start beyond python3 -c pass, ms": statistics.median(more),
        "the same, least of all turns, ms": min(more),
    }
    for server in three:
        stop(server)
    return result


if __name__ == "__main__":
    sys.exit(main())
