"""Publishing under load loses no request and shows nobody half of two releases."""

import sys
from contextlib import ExitStack

import pytest
from tests.instance import Instance, running_instance
from tests.publish.conftest import Bench, make_bench
from tests.publish.visitors import Visitors

# Version N of an application with fingerprinted assets, as every bundler names them.
BUILD = """
import hashlib, pathlib, sys
commit = sys.argv[1]
assets = pathlib.Path("dist/assets")
assets.mkdir(parents=True)
links = []
for name in ("app", "style", "lazy"):
    digest = hashlib.sha256((commit + name).encode()).hexdigest()[:8]
    path = assets / f"{name}-{digest}.js"
    path.write_text(f"asset of {commit}")
    links.append(f'<script src="/assets/{path.name}"></script>')
(assets.parent / "index.html").write_text(
    f"<!doctype html><title>N</title><p>commit {commit}</p>" + "".join(links))
"""

ASGI = """
import asyncio, json, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await asyncio.sleep(0.002)
    if scope["path"] == "/api/echo":
        answer = os.environ["COMMIT_SHA"].encode() + b" " + body
    else:
        answer = json.dumps({"status": "ok", "commit_sha": os.environ["COMMIT_SHA"]}).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(answer)).encode())]})
    await send({"type": "http.response.body", "body": answer})
"""

SOCKET_TOML = """
[frontend]
build = ["python3", "build.py", "{commit}"]
output = "dist"
[backend]
start = ["PYTHON", "{launcher.asgi}", "app:app"]
listen = "socket"
[[smoke]]
path = "/api/echo"
method = "POST"
""".replace("PYTHON", sys.executable)

PORT_TOML = SOCKET_TOML.replace(
    '"{launcher.asgi}", "app:app"', '"-m", "uvicorn", "app:app", "--port", "{port}"'
).replace('"socket"', '"port"')


def files(number: int, toml: str) -> dict[str, str | None]:
    return {
        "preview.toml": toml,
        "build.py": BUILD.replace("N", str(number), 1),
        "app.py": ASGI,
        "number": str(number),
        "server.py": None,
    }


@pytest.fixture(scope="module")
def instance():
    with running_instance() as running:
        yield running


def visitors_of(bench: Bench, instance: Instance, *, each_kind: int, pause_s: float) -> Visitors:
    host = f"preview{bench.number}.localhost"
    port = instance.web_port(bench.number)
    return Visitors(port, host, each_kind=each_kind, pause_s=pause_s)


def publish_under_load(instance, directory, publishes: int, toml: str) -> dict[str, Visitors]:
    """Publish again and again into the first of three visited slots."""
    with ExitStack() as stack:
        benches = [
            stack.enter_context(make_bench(instance, directory / str(slot))) for slot in range(3)
        ]
        for bench in benches:
            done = bench.publish(files(0, toml))
            assert done.status == 0, done
        visited, *others = [
            stack.enter_context(visitors_of(bench, instance, each_kind=kinds, pause_s=pause_s))
            for bench, kinds, pause_s in zip(benches, (3, 1, 1), (0.002, 0.02, 0.02), strict=True)
        ]
        for number in range(1, publishes + 1):
            visited.wait_for_pages(10)
            done = benches[0].publish(files(number, toml))
            assert done.status == 0, done
            visited.wait_for_pages(10, of=done.document["commit_sha"])
        assert len(visited.seen.commits) == publishes + 1
    return {"visited": visited, "other": others[0], "third": others[1]}


def require_nothing_lost(found: dict[str, Visitors]) -> None:
    for name, visitors in found.items():
        seen = visitors.seen
        print(name, seen.requests, "requests,", seen.pages, "pages,", len(seen.commits), "commits")
        assert seen.requests > 100
        assert seen.failed == [], (name, seen.failed[:5], len(seen.failed))
        assert seen.mixed == [], (name, seen.mixed[:5], len(seen.mixed))


@pytest.mark.parametrize("toml", [SOCKET_TOML, PORT_TOML], ids=["socket", "port"])
def test_publishing_under_load_loses_no_request(instance, tmp_path, toml):
    """Also with a backend that binds its port by itself: the surface holds visitors back."""
    require_nothing_lost(publish_under_load(instance, tmp_path, 2, toml))


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("toml", [SOCKET_TOML, PORT_TOML], ids=["socket", "port"])
def test_twenty_publishes_under_load_lose_no_request(instance, tmp_path, toml):
    require_nothing_lost(publish_under_load(instance, tmp_path, 20, toml))
