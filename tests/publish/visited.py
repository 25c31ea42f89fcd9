"""An application to be visited while it is published again and again: each version names itself."""

import sys

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
