"""Applications for a host: one with a page, a backend that inherits its listener, and a database;
and one whose backend does what it is asked, to try from inside what a branch must not do."""

SERVER = """
import asyncio, json, os, subprocess, sys
import psycopg

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, answer = await handle(scope["path"], body)
    raw = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})

async def handle(path, body):
    if path == "/health":
        return 200, {"status": "ok", "commit_sha": os.environ["COMMIT_SHA"]}
    if path == "/api/who":
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            row = connection.execute("SELECT current_database(), session_user").fetchone()
        return 200, {"slot": os.environ["SLOT_ID"], "database": row[0], "role": row[1],
                     "uid": os.getuid(), "env": sorted(os.environ), "version": VERSION}
    if path == "/api/count":
        return 200, {"got": len(body)}
    if path == "/api/do":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", body.decode(),
            stdout=subprocess.PIPE, stderr=None if b'# to the log' in body else subprocess.STDOUT)
        out, _ = await process.communicate()
        return 200, {"status": process.returncode, "out": out.decode("utf-8", "replace")[-4000:]}
    return 404, {"error": "not_found"}

VERSION = "one"
"""

PREVIEW = """
[frontend]
build = ["/usr/bin/python3", "build.py"]
output = "dist"
[backend]
start = ["/srv/oroboros/current/.venv/bin/python", "{launcher.asgi}", "server:app"]
listen = "socket"
health = "/health"
[database]
migrate = ["/srv/oroboros/current/.venv/bin/python", "migrate.py"]
[[smoke]]
path = "/api/who"
contains = "app_preview_"
"""

BUILD = """
import os, pathlib
out = pathlib.Path("dist")
out.mkdir(exist_ok=True)
(out / "index.html").write_text(f"<!doctype html><title>{os.environ['VITE_SLOT_ID']} one</title>")
print("built as", os.getuid())
"""

MIGRATE = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS migrated (at timestamptz DEFAULT now())")
"""

FILES = {"preview.toml": PREVIEW, "server.py": SERVER, "build.py": BUILD, "migrate.py": MIGRATE}

PORT_FILES = {
    "preview.toml": """
[backend]
start = ["/usr/bin/python3", "server.py", "{port}"]
listen = "port"
[[smoke]]
path = "/health"
""",
    "server.py": """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
""",
}
"""An application whose backend binds its port by itself."""


def version(word: str) -> dict[str, str]:
    """The application with another word in its page and its answers."""
    return {
        **FILES,
        "server.py": SERVER.replace('"one"', f'"{word}"'),
        "build.py": BUILD.replace("one<", f"{word}<"),
    }
