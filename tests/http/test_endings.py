"""What somebody opened ends with what they are known by, and waiting takes nothing from others."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.http.conftest import BROWSER
from tests.http.test_events import Stream

from ouroboros.adapters.control.events import EventFilter
from ouroboros.domain.publish import PublishState
from ouroboros.entrypoints.http import admission, gate, news, publishes
from ouroboros.entrypoints.http.rates import Rates


def revoke(served, text: str) -> None:
    with served.local() as api:
        done = api.post(f"/api/tokens/{text.split('_')[1]}/revoke", json={})
    assert done.status_code == 200, done.text


@pytest.mark.parametrize("ends", ["revoked", "expired"])
def test_a_session_ends_with_the_token_it_was_made_with(served, ends):
    text = served.token("operate")
    host = f"ouroboros.localhost:{served.port}"
    with served.tcp(**BROWSER, Host=host, Origin=f"http://{host}") as browser:
        made = browser.post("/sign-in", data={"secret": text})
        cookie = {"Cookie": made.headers["set-cookie"].split(";")[0]}
        assert browser.get("/access", headers=cookie).status_code == 200
        if ends == "revoked":
            revoke(served, text)
        else:
            served.sql(
                "UPDATE tokens SET expires_at = clock_timestamp() WHERE token_id = %(id)s",
                id=text.split("_")[1],
            )
        assert browser.get("/access", headers=cookie).status_code == 401


def test_a_stream_ends_soon_after_its_token(served, monkeypatch):
    monkeypatch.setattr(admission, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(news, "_BREATH_S", 0.1)
    text = served.token("read")
    with served.tcp(Authorization=f"Bearer {text}") as api:
        stream = Stream(api)
        assert not stream.ended.wait(1)
        revoke(served, text)
        assert stream.ended.wait(10)


def test_a_reader_that_missed_more_than_a_page_gets_all_of_it(served, monkeypatch):
    monkeypatch.setattr(news, "_MISSED_LIMIT", 2)
    with served.tcp() as api:
        newest = api.get("/api/events", params={"limit": 1}).json()["events"]
        last = newest[0]["id"] if newest else 0
        runs = [f"missed-{number}" for number in range(3)]
        for run in runs:
            served.lease(run)
        stream = Stream(api, after=last)
        for run in runs:
            stream.wait(lambda f, run=run: run in f["data"] and "lease.granted" in f["data"])


def test_a_reader_that_falls_behind_is_ended_so_that_it_asks_for_what_it_missed(
    served, monkeypatch
):
    monkeypatch.setattr(news, "_MOST_WAITING", 2)

    class Admitted:
        async def holds(self) -> bool:
            return True

    async def read(items: int) -> int:
        told = served.app.state.news
        stream = told.follow(EventFilter(), None, Admitted())
        await anext(stream)
        for _ in range(items):
            told._hand_out(news.Item("slots", {}))
        await asyncio.sleep(0)
        seen = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                async for _ in stream:
                    seen += 1
                return -1  # it has ended
        return seen

    assert asyncio.run(read(2)) == 2
    assert asyncio.run(read(3)) == -1


def test_a_hundred_waiting_answers_keep_nobody_from_a_quick_one(served):
    served.lease("watched")
    publish_id = served.at.publishes.queue("watched", "/tmp/nowhere", "main")
    with served.local() as api:
        seen = api.get(f"/api/publishes/{publish_id}").json()["version"]
    begun = threading.Semaphore(0)

    def wait() -> int:
        with served.local() as api:
            begun.release()
            asked = {"wait_s": 30, "seen": seen}
            return api.get(f"/api/publishes/{publish_id}", params=asked).status_code

    with ThreadPoolExecutor(100) as readers:
        waiting = [readers.submit(wait) for _ in range(100)]
        for _ in waiting:
            begun.acquire()
        time.sleep(1)
        with served.local() as api:
            assert api.get("/api/slots").status_code == 200
        assert not any(each.done() for each in waiting)
        served.at.publishes.cancel(publish_id)  # which all of them wait for
        assert {each.result() for each in waiting} == {200}


def test_who_watches_is_told_of_steps_together_and_of_the_end_at_once(served, monkeypatch):
    monkeypatch.setattr(publishes, "_STEPS_TOGETHER_S", 60.0)
    served.lease("watched")
    store = served.at.publishes
    publish_id = store.queue("watched", "/tmp/nowhere", "main")
    served.sql("UPDATE publishes SET state = 'running' WHERE publish_id = %(id)s", id=publish_id)
    publish = next(each for each in store.running() if each.publish_id == publish_id)
    store.begin_step(publish, "source", 1)

    def answer(asked: dict[str, object]) -> dict[str, Any]:
        with served.local() as api:
            return api.get(f"/api/publishes/{publish_id}", params=asked).json()

    asked = {"wait_s": 30, "seen": answer({})["version"]}
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(answer, asked)
        listening = served.app.state.publish_changes._called
        while all(publish_id != payload for _, payload, _ in list(listening.values())):
            assert not waiting.done()
            time.sleep(0.01)
        store.end_step(publish, "source", succeeded=False, result={})
        time.sleep(0.5)
        assert not waiting.done()
        store.finish_otherwise(publish, PublishState.FAILED, "source", None)
        told = waiting.result(timeout=20)
    assert told["final"]
    assert told["steps"][0]["state"] == "failed"


def test_who_waits_for_its_turn_at_a_slot_keeps_nobody_from_a_quick_answer(served, monkeypatch):
    monkeypatch.setattr("ouroboros.adapters.control.slots._WORK_WAIT_S", 4.0)
    slot = served.at.settings.pool.slots[0]

    def reset() -> int:
        with served.local() as api:
            asked = {"strategy": "empty"}
            return api.post(f"/api/slots/{slot.id}/database/reset", json=asked).status_code

    many = 50  # more than all other threads
    with ThreadPoolExecutor(many) as askers, served.at.slots.exclusive_work(slot):
        waiting = [askers.submit(reset) for _ in range(many)]
        time.sleep(1)
        with served.local() as api:
            assert api.get("/api/slots").status_code == 200
        assert not any(each.done() for each in waiting)
        assert {each.result() for each in waiting} == {409}


def test_one_run_cannot_take_every_thread(served, monkeypatch):
    monkeypatch.setattr(gate, "_MOST_OPEN", 2)
    served.lease("greedy")
    publish_id = served.at.publishes.queue("greedy", "/tmp/nowhere", "main")
    with served.bearer("run", "greedy") as api, ThreadPoolExecutor(2) as readers:
        seen = api.get(f"/api/publishes/{publish_id}").json()["version"]
        path, asked = f"/api/publishes/{publish_id}", {"wait_s": 3, "seen": seen}
        waiting = [readers.submit(api.get, path, params=asked) for _ in range(2)]
        time.sleep(1)
        refused = api.get(path)
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
        assert [each.result().status_code for each in waiting] == [200, 200]
        assert api.get(path).status_code == 200


def test_too_many_askers_forget_the_one_of_longest_ago(monkeypatch):
    monkeypatch.setattr("ouroboros.entrypoints.http.rates._MOST_KEPT", 2)
    rates = Rates(per_s=0.001, burst=1, clock=lambda: 0.0)
    assert [rates.take(key) for key in ("a", "b", "b", "c")] == [True, True, False, True]
    assert not rates.take("b"), "b was used after a"
