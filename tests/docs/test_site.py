"""The documentation as a site: every link leads somewhere, nothing is fetched from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\ssrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|(?:url\(|@import )["']?(?:https?:)?//[^"')]+"""
)


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--site-dir", str(site)],
        cwd=checkout,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    built = build(HOME, directory)
    assert built.returncode == 0, built.stderr
    return directory


def test_nothing_in_the_site_is_fetched_from_elsewhere(site):
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(pages) > 40
    found = {path.name: FETCHED.findall(path.read_text("utf-8")) for path in pages}
    assert {name: addresses for name, addresses in found.items() if addresses} == {}


def test_what_would_be_fetched_is_found():
    for text in (
        '<script src="https://cdn.example/a.js">',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "@import 'https://fonts.example/css'",
        "src: url(https://fonts.example/a.woff2)",
    ):
        assert FETCHED.search(text), text


def test_decisions_and_the_reference_can_be_found(site):
    text = (site / "index.html").read_text("utf-8")
    for path in [*HOME.glob("docs/adr/*.md"), *HOME.glob("docs/reference/*.md")]:
        assert f"{path.parent.name}/{path.stem}.html" in text, path.name


@pytest.mark.parametrize(
    ("page", "line", "told"),
    [
        ("leases.md", "[a page that is not there](gone.md)", "gone.md"),
        ("leases.md", "[a section that is not there](api.md#gone)", "#gone"),
        ("nobody-links-here.md", "A page outside.", "nobody-links-here.md"),
    ],
)
def test_a_link_that_leads_nowhere_and_a_lost_page_fail_the_build(tmp_path, page, line, told):
    for part in ("docs", "scripts"):
        shutil.copytree(HOME / part, tmp_path / part)
    shutil.copy(HOME / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / page).open("a") as file:
        file.write(f"\n\n{line}\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode == 1
    warnings = built.stderr.partition("WARNING")[2]
    assert told in warnings
    assert "WARNING" not in warnings, warnings
