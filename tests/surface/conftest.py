"""Fixtures of the surface's tests: a web root, a backend that keeps raw bytes, a surface."""

from collections.abc import Iterator

import pytest
from tests.surface.support import INDEX, RawBackend, RunningSurface, WebRoot, running_surface


@pytest.fixture
def web(tmp_path) -> WebRoot:
    return WebRoot(tmp_path)


@pytest.fixture
def backend() -> Iterator[RawBackend]:
    running = RawBackend()
    yield running
    running.close()


@pytest.fixture(params=["uvloop", "asyncio"])
def surface(request, web, backend) -> Iterator[RunningSurface]:
    """A surface with one small release, on each of the two event loops."""
    web.publish("one", {"index.html": INDEX, "assets/app-BxK2f9aQ.js": b"let a = 1"})
    with running_surface(web.root, backend.target, uvloop=request.param == "uvloop") as running:
        yield running
