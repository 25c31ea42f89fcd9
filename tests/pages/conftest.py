"""One instance that takes pictures, with a browser that a test can take away, and one run."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.instance import Instance, Ran, running_instance
from tests.publish.applications import SOCKET_SERVER, Repository, make_repository

from ouroboros.client import Client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUN = "pictured"

PREVIEW = """
[frontend]
build = ["python3", "build.py"]
output = "dist"
[backend]
start = ["python3", "server.py", "{port}"]
listen = "socket"
[[smoke]]
kind = "page"
path = "/"
contains = "the backend says ok"
"""
PAGE = """<!doctype html><html lang="en"><head><title>The board</title>
<style>
body{margin:0;font:20px sans-serif}
#box{margin:40px;width:300px;height:120px;background:COLOUR}
</style></head><body><h1>Board</h1><p id="told"></p><div id="box"></div><script>
fetch("/api/health").then((r) => r.json()).then((d) => {
  document.querySelector("#told").textContent = "the backend says " + d.status; EXTRA
});
</script></body></html>"""


@dataclass
class Pictured:
    """The running instance with what publishes into its one leased slot."""

    instance: Instance
    repository: Repository
    slot_id: str
    chromium: Path

    def publish(self, colour: str = "#336699", extra: str = "", toml: str = PREVIEW) -> Ran:
        page = PAGE.replace("COLOUR", colour).replace("EXTRA", extra)
        files = {
            "preview.toml": toml,
            "server.py": SOCKET_SERVER,
            "build.py": "import shutil\nshutil.copytree('page', 'dist')\n",
            "page/index.html": page,
        }
        self.repository.commit("work", files)
        return self.instance.publish(RUN, self.repository.path, "work")

    def get(self, path: str) -> dict:
        return self.api().get(path)

    def api(self) -> Client:
        return Client(self.instance.state_dir / "run" / "api.sock")

    def picture_of(self, publish_id: str) -> dict:
        """What came of a publish's picture, as soon as that is known."""
        deadline = time.monotonic() + 90
        while (found := self.get(f"/api/publishes/{publish_id}")["picture"]) is None:
            assert time.monotonic() < deadline, "nothing came of the picture"
            time.sleep(0.05)
        return found

    @contextmanager
    def without_browser(self) -> Iterator[None]:
        hidden = self.chromium.with_name("hidden")
        self.chromium.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(self.chromium)


@pytest.fixture(scope="session")
def good(pictured: Pictured) -> dict:
    """A publish whose page is as it should be; it stays the live one."""
    done = pictured.publish("#336699")
    assert done.status == 0, done
    return done.document


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pictured]:
    """An instance with pictures on, and a run that holds a slot."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    directory = Path(tempfile.mkdtemp(prefix="obp", dir="/tmp"))
    chromium = directory / "chromium"
    chromium.symlink_to(CHROMIUM)
    repository = make_repository(directory / "a repo")
    try:
        with running_instance(
            OUROBOROS_PICTURES="on", OUROBOROS_CHROMIUM=str(chromium)
        ) as instance:
            lease = instance.allocate(RUN)
            assert lease.status == 0, lease
            yield Pictured(instance, repository, lease.document["slot_id"], chromium)
    finally:
        shutil.rmtree(directory)
