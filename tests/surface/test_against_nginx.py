"""Where behaviour is a matter of RFC, the surface answers as nginx does; differences are listed."""

import os
import shutil
import socket
import subprocess
import time

import pytest
from tests.surface.support import INDEX, read_all, read_answer, running_surface

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")

FILES = {
    "index.html": INDEX, "a.css": b"body{}", "data.json": b"{}", "blob.bin": bytes(1000),
    "dir/index.html": b"<h1>dir</h1>", "with space.txt": b"x",
}  # fmt: skip

# (request line and fields after Host, what is compared)
SAME = [
    ("GET /", ""),
    ("GET /index.html", ""),
    ("HEAD /a.css", ""),
    ("GET /a.css?x=1", ""),
    ("GET /data.json", "Accept: */*"),
    ("GET /with%20space.txt", ""),
    ("GET /missing.png", ""),
    ("GET /dir/", ""),
    ("GET /blob.bin", "Range: bytes=0-9"),
    ("GET /blob.bin", "Range: bytes=990-"),
    ("GET /blob.bin", "Range: bytes=-10"),
    ("GET /blob.bin", "Range: bytes=1000-"),
    ("GET /blob.bin", "Range: items=0-9"),
    ("GET /blob.bin", "Range: bytes=0-0,5-6"),
    ("GET /a.css", 'If-None-Match: "nothing"'),
    ("GET /a.css", "If-None-Match: *"),
    ("GET /a.css", 'If-Match: "nothing"'),
    ("GET /blob.bin", 'Range: bytes=0-9\r\nIf-Range: "nothing"'),
    ("POST /a.css", "Content-Length: 0"),
    ("DELETE /a.css", ""),
    ("GET /a.css HTTP/1.0", ""),
    ("GET /a.css HTTP/1.0", "Connection: keep-alive"),
    ("GET /a.css", "Content-Length: x"),
    ("GET /a.css", "Content-Length: 1\r\nContent-Length: 1"),
    ("GET /a.css", "Content-Length: 0\r\nTransfer-Encoding: chunked"),
    ("GET /a.css", "Host: localhost"),
    ("TRACE /a.css", ""),
]

# Why the surface answers otherwise; the status of nginx and ours.
DIFFERENT = {
    ("GET /blob.bin", "Range: bytes=abc"): (416, 200, "RFC 9110, 14.2: not a range, so ignored"),
    ("HEAD /blob.bin", "Range: bytes=0-9"): (206, 200, "RFC 9110, 14.2: Range is for GET alone"),
    ("GET /%00", ""): (400, 404, "a path like any other that names no file"),
    ("GET /../etc/passwd", ""): (400, 404, "a path like any other that names no file"),
    ("GET  /a.css", ""): (200, 400, "one space separates the parts of a request line"),
    ("GET /a.css HTTP/9.9", ""): (505, 400, "a malformed request is never answered with 5xx"),
    ("POST /a.css", "Transfer-Encoding: gzip"): (501, 400, "as above"),
    ("GET /.env", ""): (200, 404, "no dotfiles are served"),
    ("GET /link.txt", ""): (200, 404, "no symlink is followed"),
    ("GET /dir", ""): (301, 301, "the Location is relative: the host may have another port"),
    ("GET http://localhost/a.css", ""): (200, 400, "absolute form is for proxies"),
    ("GET //a.css", ""): (200, 404, "slashes are not merged: one file has one path"),
    ("GET /./a.css", ""): (200, 404, "dot segments are not resolved"),
    ("GET /%61.css", ""): (200, 200, "percent-encoding of plain letters is undone by both"),
    ("GET /a.css", "X Y: 1"): (400, 400, "nginx drops some bad lines, we refuse all"),
    ("GET /a.css", "X_Y: 1"): (200, 200, "served by both; neither passes it on to a backend"),
    ("BREW /a.css", ""): (405, 405, "an unknown method is a token like any other"),
    ("GET /a.css HTTP/1.2", ""): (200, 400, "only 1.0 and 1.1 are spoken here"),
    ("GET /a.css", "If-Modified-Since: Mon, 23 Nov 2099 00:00:00 GMT"): (
        200, 200, "only a tag says that content is the same; nginx wants the exact date"),
}  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    from tests.surface.support import WebRoot

    base = tmp_path_factory.mktemp("nginx")
    web = WebRoot(base)
    files = {**FILES, ".env": b"SECRET"}
    directory = web.publish("one", files, spa=False)
    (directory / "web" / "link.txt").symlink_to("a.css")
    for part in [base, *base.parents][:3]:
        part.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporary = "".join(
        f"{name}_temp_path {base}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (base / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {base}/pid; error_log {base}/error.log; {user}"
        f"events {{ worker_connections 64; }} http {{ access_log off; {temporary} server {{ "
        f"listen 127.0.0.1:{port}; root {directory}/web; server_name localhost; }} }}"
    )
    arguments = ["-p", str(base), "-c", str(base / "nginx.conf"), "-e", str(base / "error.log")]
    process = subprocess.Popen([NGINX, *arguments])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (base / "error.log").read_text()
                time.sleep(0.02)
        with running_surface(web.root) as surface:
            yield port, surface
    finally:
        process.terminate()
        process.wait(10)


def ask(port: int, line: str, fields: str):
    if " HTTP/" not in line:
        line += " HTTP/1.1"
    text = f"{line}\r\nHost: localhost\r\n" + (f"{fields}\r\n" if fields else "")
    if "onnection" not in fields:
        text += "Connection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall((text + "\r\n").encode())
        client.shutdown(socket.SHUT_WR)
        data = read_all(client)
    return read_answer(data, bodiless=line.startswith("HEAD"))[0]


@pytest.mark.parametrize(("line", "fields"), SAME)
def test_the_status_and_the_content_are_those_of_nginx(both, line, fields):
    port, surface = both
    theirs, ours = ask(port, line, fields), ask(surface.port, line, fields)
    assert ours.status == theirs.status
    if ours.status < 300:
        for name in ("content-length", "content-range"):
            if "multipart" not in ours.headers.get("content-type", ""):
                assert ours.headers.get(name) == theirs.headers.get(name), name
        if "multipart" not in ours.headers.get("content-type", ""):
            assert ours.body == theirs.body


@pytest.mark.parametrize(("line", "fields"), DIFFERENT)
def test_a_difference_to_nginx_is_known(both, line, fields):
    port, surface = both
    theirs, ours, _ = DIFFERENT[line, fields]
    assert ask(port, line, fields).status == theirs
    assert ask(surface.port, line, fields).status == ours
