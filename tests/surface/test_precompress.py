"""What a publish compresses once is what a surface then chooses from."""

import gzip
import os

from tests.surface.support import INDEX, running_surface

from ouroboros.entrypoints.surface.precompress import precompress

TEXT = b"let answer = 42;\n" * 500


def test_files_get_a_sibling_once_and_are_served_by_it(web):
    files = {
        "index.html": INDEX, "app.js": TEXT, "a/b.css": TEXT, "tiny.js": b"1", "x.png": TEXT,
        "noise.json": os.urandom(5000), "own.js": TEXT, "own.js.gz": b"own",
    }  # fmt: skip
    directory = web.write("one", files) / "web"
    (directory / "link.js").symlink_to("app.js")
    assert precompress(str(directory)) == 2
    assert precompress(str(directory)) == 0
    assert (directory / "own.js.gz").read_bytes() == b"own"
    assert sorted(path.name for path in directory.rglob("*.gz")) == [
        "app.js.gz", "b.css.gz", "own.js.gz"
    ]  # fmt: skip
    web.switch("one")
    with running_surface(web.root) as surface:
        answer = surface.get("/app.js", Accept_Encoding="gzip")
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == TEXT
