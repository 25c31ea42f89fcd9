"""A switch shows with the first request after it, loses none, and mixes no two releases."""

import shutil
import threading

import pytest
from tests.surface.support import INDEX, answers_in, read_answer, running_surface, wait_until

from ouroboros.adapters.http_probe import ask

KEEP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def page(name: str) -> bytes:
    return b"<html><head></head><body>" + name.encode() + b"</body></html>"


@pytest.mark.parametrize("uvloop", [True, False])
def test_the_first_request_after_the_rename_sees_the_new_release(web, uvloop):
    for number in range(2):
        web.write(f"r{number}", {"index.html": page(f"r{number}")})
    web.switch("r0")
    with running_surface(web.root, uvloop=uvloop) as surface, surface.connect() as client:
        for number in range(100):
            web.switch(f"r{number % 2}")
            client.sendall(KEEP)
            answer, _ = read_answer(client.recv(65536))
            assert answer.body == page(f"r{number % 2}")
            assert answer.headers["x-preview-publish"] == f"r{number % 2}"


def test_without_inotify_a_switch_is_seen_as_soon(web, monkeypatch):
    monkeypatch.setattr("ouroboros.entrypoints.surface.watch._ONLY_DIRECTORY", 0x80000000 - 1)
    monkeypatch.setattr("ctypes.CDLL", lambda *a, **k: NoInotify())
    test_the_first_request_after_the_rename_sees_the_new_release(web, uvloop=True)


class NoInotify:
    def inotify_init1(self, flags: int) -> int:
        return -1


def test_switches_under_load_lose_no_request_and_mix_no_releases(web, backend):
    names = [f"r{number}" for number in range(4)]
    for name in names:
        body = page(name) * 200
        web.write(name, {"index.html": body, "big.bin": name.encode() * 200_000})
    web.switch("r0")
    stop = threading.Event()
    failures: list[str] = []
    served = [0]

    def load(surface, path: bytes) -> None:
        with surface.connect() as client:
            while not stop.is_set():
                client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                data = b""
                while b"\r\n\r\n" not in data or not is_whole(data):
                    part = client.recv(262144)
                    if not part:
                        failures.append(f"closed after {len(data)} bytes")
                        return
                    data += part
                answer, rest = read_answer(data)
                name = answer.headers["x-preview-publish"].encode()
                whole = name * 200_000 if path == b"/big.bin" else page(name.decode()) * 200
                if answer.status != 200 or rest or (path != b"/api" and answer.body != whole):
                    failures.append(f"{answer.status} {name!r} {answer.body[:40]!r}")
                served[0] += 1

    with running_surface(web.root, backend.target) as surface:
        paths = (b"/", b"/", b"/big.bin", b"/api")
        threads = [threading.Thread(target=load, args=(surface, path)) for path in paths]
        for thread in threads:
            thread.start()
        for number in range(200):
            web.switch(names[number % 4])
            threading.Event().wait(0.005)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert surface.surface.switches > 20
    assert failures == []
    assert served[0] > 200


def is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return len(body) >= length


def test_an_answer_on_its_way_ends_with_the_release_it_began_with(web):
    web.publish("one", {"index.html": INDEX, "big.bin": b"1" * 8_000_000})
    with running_surface(web.root) as surface, surface.connect() as client:
        client.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = client.recv(1000)
        old = web.live / "releases" / "one"
        web.publish("two", {"index.html": INDEX, "big.bin": b"2" * 8_000_000})
        shutil.rmtree(old)
        assert surface.get("/big.bin").body[:3] == b"222"
        while part := client.recv(1_000_000):
            data += part
    assert data.partition(b"\r\n\r\n")[2] == b"1" * 8_000_000


def test_an_asset_stays_reachable_also_when_its_name_does_not_look_like_a_hash(web):
    """Hexadecimal digests often look like numbers; a missing asset breaks an open page."""
    old = {"assets/style-2146345d.css": b"0", "old-12345678.html": b"old"}
    web.publish("r0", {"index.html": INDEX, **old})
    web.publish("r1", {"index.html": INDEX, "assets/style-99999999.css": b"1"})
    with running_surface(web.root) as surface:
        former = surface.get("/assets/style-2146345d.css")
        assert (former.status, former.body) == (200, b"0")
        assert former.headers["cache-control"] == "no-cache"
        assert surface.get("/old-12345678.html").body != b"old", "a page that is gone is gone"


def test_assets_of_earlier_releases_of_the_run_stay_reachable(web):
    name = "assets/app-BxK2f9a{}.js"
    web.write("zero", {"index.html": INDEX, name.format(0): b"0"}, run_id="another-run")
    web.write("one", {"index.html": INDEX, name.format(1): b"1", "logo.png": b"old"})
    web.publish("two", {"index.html": INDEX, name.format(2): b"2"})
    with running_surface(web.root) as surface:
        assert surface.get("/" + name.format(2)).body == b"2"
        assert surface.get("/" + name.format(1)).body == b"1"
        assert surface.get("/" + name.format(0)).status == 404, "another run's"
        assert surface.get("/logo.png").status == 404, "not fingerprinted, so it is gone"
        assert surface.get("/" + name.format(3)).status == 404


def test_equal_size_and_time_is_still_another_page(web):
    import os

    for name in ("one", "two"):
        directory = web.write(name, {"index.html": page(name)})
        os.utime(directory / "web" / "index.html", (1, 1))
    web.switch("one")
    with running_surface(web.root) as surface:
        tag = surface.get("/").headers["etag"]
        web.switch("two")
        assert surface.get("/", If_None_Match=tag).body == page("two")


def test_a_root_without_releases_serves_its_own_files_and_notices_new_ones(tmp_path):
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "a").mkdir()
    with running_surface(tmp_path) as surface:
        assert surface.get("/deep/link", Accept="text/html").body == INDEX
        (tmp_path / "a" / "new.txt").write_text("new")
        assert surface.get("/a/new.txt").body == b"new"
        assert "x-preview-publish" not in surface.get("/").headers


def test_a_release_is_found_when_the_directory_behind_live_appears_later(web):
    with running_surface(web.root) as surface:
        assert surface.get("/", Accept="text/html").status == 404
        web.publish("one", {"index.html": INDEX})
        assert surface.get("/").body == INDEX
        shutil.rmtree(web.live)
        assert surface.get("/", Accept="text/html").status == 404
        web.publish("two", {"index.html": b"two"})
        assert surface.get("/").body == b"two"


@pytest.mark.parametrize(
    "broken", ["", "[]", "{", '{"headers": 5, "redirects": [5, {}], "spa": 1}']
)
def test_a_release_that_cannot_be_read_is_no_crash(web, broken):
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root) as surface:
        directory = web.write("two", {"index.html": b"two"})
        (directory / "release.json").write_text(broken)
        web.switch("two")
        answer = surface.get("/", Accept="text/html")
        assert answer.status == (200 if broken.endswith("1}") else 503)
        web.switch("one")
        assert surface.get("/").body == INDEX


def test_requests_sent_ahead_are_answered_from_the_release_of_their_turn(web):
    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root) as surface:
        data = surface.raw(KEEP * 9 + KEEP.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert len(answers_in(data)) == 10


def test_health_tells_for_how_long_nobody_asked_for_anything_else(web):
    def quiet_s() -> float:
        # As the same program asks again and again: such a request may be known by its bytes.
        headers = {"Host": "localhost"}
        return ask(surface.port, "/health", headers=headers).json()["quiet_s"]

    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root) as surface:
        wait_until(lambda: quiet_s() > 1.5)
        assert surface.get("/no-such-file.txt").status == 404
        wait_until(lambda: quiet_s() < 1.0)
        wait_until(lambda: quiet_s() > 1.5)
        wait_until(lambda: quiet_s() > 4)


def test_health_tells_the_identity_of_slot_release_and_process(web):
    import json
    import os

    web.publish("one", {"index.html": INDEX})
    with running_surface(web.root, "http://127.0.0.1:8101") as surface:
        answer = surface.get("/health")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        document = json.loads(answer.body)
        assert document.pop("quiet_s") >= 0
        assert document == {
            "status": "ok", "slot_id": "preview-1", "run_id": "run-1", "publish_id": "one",
            "commit_sha": (b"one".hex() + "0" * 40)[:40], "release": "releases/one",
            "state": "live", "root": str(web.root), "pid": os.getpid(),
            "api_target": "http://127.0.0.1:8101", "backend_held": False, "backend_in_flight": 0,
            "database_fingerprint": None,
        }  # fmt: skip
        web.publish("two", {"index.html": INDEX})
        assert json.loads(surface.get("/health").body)["publish_id"] == "two"
