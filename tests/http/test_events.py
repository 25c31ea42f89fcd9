"""Events as they happen: told at once, resumed after a break, filtered, ended with the server."""

import contextlib
import json
import threading

import httpx
import pytest
from tests.http.conftest import serve


class Stream:
    """Reads a stream in a thread; `wait` gives its frames."""

    def __init__(self, client, **query) -> None:
        self._frames, self._came = [], threading.Condition()
        self.ended = threading.Event()
        self.opened = threading.Event()
        headers = {"Last-Event-ID": str(query.pop("after"))} if "after" in query else {}
        arguments = (client, query, headers)
        self._thread = threading.Thread(target=self._read, args=arguments, daemon=True)
        self._thread.start()
        assert self.opened.wait(20)

    def _read(self, client, query, headers) -> None:
        with contextlib.suppress(httpx.HTTPError):  # the test has closed its client
            self._follow(client, query, headers)

    def _follow(self, client, query, headers) -> None:
        with client.stream("GET", "/api/events/stream", params=query, headers=headers) as answer:
            frame = {}
            for line in answer.iter_lines():
                self.opened.set()
                name, _, value = line.partition(": ")
                if name:
                    frame[name] = value
                elif "event" in frame:
                    with self._came:
                        self._frames.append(frame)
                        self._came.notify_all()
                    frame = {}
        self.ended.set()

    def wait(self, admits, seconds: float = 20) -> dict:
        with self._came:
            assert self._came.wait_for(lambda: any(map(admits, self._frames)), seconds)
            return next(filter(admits, self._frames))

    @property
    def kinds(self) -> list[str]:
        with self._came:
            return [_kind(frame) for frame in self._frames]


def _kind(frame: dict) -> str:
    return json.loads(frame["data"]).get("kind", "") if frame["event"] == "event" else ""


def test_what_happens_is_told_with_its_row(served):
    with served.tcp() as api:
        stream = Stream(api)
        slot = served.lease("told")
        frame = stream.wait(lambda f: _kind(f) == "lease.granted" and "told" in f["data"])
        event = json.loads(frame["data"])
        assert (event["slot_id"], event["run_id"]) == (slot, "told")
        assert int(frame["id"]) == event["id"]


def test_a_step_of_a_publish_is_told_without_a_row(served):
    served.lease("steps")
    publish_id = served.at.publishes.queue("steps", "/tmp/nowhere", "main")
    with served.tcp() as api:
        stream = Stream(api)
        served.at.publishes.cancel(publish_id)
        frame = stream.wait(lambda f: f["event"] == "publish")
        assert json.loads(frame["data"])["publish_id"] == publish_id
        assert "id" not in frame


def test_a_reader_that_comes_back_gets_what_it_missed(served):
    served.lease("missed-1")
    last = served.at.events.newest(_everything(), 1)[0]["id"]
    served.lease("missed-2")
    with served.tcp() as api:
        stream = Stream(api, after=last)
        stream.wait(lambda f: _kind(f) == "lease.granted" and "missed-2" in f["data"])
        assert not any("missed-1" in frame["data"] for frame in stream._frames)


def test_a_stream_of_one_run_tells_of_no_other(served):
    with served.tcp() as api:
        stream = Stream(api, run_id="mine")
        served.lease("other")
        served.lease("mine")
        stream.wait(lambda f: _kind(f) == "lease.granted")
        assert all(
            json.loads(frame["data"])["run_id"] == "mine"
            for frame in stream._frames
            if frame["event"] == "event"
        )


def test_events_come_page_by_page(served):
    for number in range(3):
        served.lease(f"page-{number}")
    with served.tcp() as api:
        first = api.get("/api/events", params={"limit": 2}).json()
        second = api.get("/api/events", params={"limit": 2, "before": first["next_before"]}).json()
    ids = [event["id"] for event in first["events"] + second["events"]]
    assert len(ids) == 4
    assert ids == sorted(ids, reverse=True)


def test_a_stopping_server_ends_its_streams(served, tmp_path):
    with serve(served.at, tmp_path) as second:
        client = second.tcp()
        stream = Stream(client)
    assert stream.ended.wait(20)
    client.close()


def test_postgres_away_for_a_moment_loses_no_reader(served):
    with served.tcp() as api:
        stream = Stream(api)
        served.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
        )
        stream.wait(lambda f: f["event"] == "missed")
        served.lease("after-the-break")
        stream.wait(lambda f: "after-the-break" in f["data"])


def test_events_are_never_changed(served):
    served.lease("kept")
    with pytest.raises(Exception, match="append-only"):
        served.sql("UPDATE events SET kind = 'other'")


def _everything():
    from ouroboros.adapters.control.events import EventFilter

    return EventFilter()
