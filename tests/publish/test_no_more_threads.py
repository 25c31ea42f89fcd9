"""A publish for which the system has no thread is found again, with nobody who works on it."""

import threading
from types import SimpleNamespace

import pytest

from ouroboros.entrypoints.worker import Worker


def test_a_publish_without_a_thread_is_begun_at_the_next_look(monkeypatch):
    claimed = SimpleNamespace(publish_id="p1", slot=SimpleNamespace(id="preview-1"))
    left = [claimed]
    publishes = SimpleNamespace(running=lambda: left, claim=lambda: None)
    worker = Worker(SimpleNamespace(publishes=publishes))
    done = threading.Event()
    monkeypatch.setattr(worker, "_publish", lambda _: done.set())

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            worker._begin_publishes()
    worker._begin_publishes()
    assert done.wait(10)
