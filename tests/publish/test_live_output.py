"""A person sees the line of a running build at once, and every line of it later."""

import http.client
import itertools
import json
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.instance import PROGRAM, running_instance
from tests.publish.applications import BUILD
from tests.publish.conftest import make_bench

LIMIT_S = 60
_numbers = itertools.count()

# Says a line for every file `say-N` that appears beside it, and ends with the file `end`.
TALKING = (
    BUILD
    + """
import os, sys, time
stage = pathlib.Path("{stage}")
number = 0
stage.joinpath("began").touch()
while (said := stage.joinpath(f"say-{number}").exists()) or not stage.joinpath("end").exists():
    if said:
        print(f"\\x1b[32mline {number} at {time.time()}\\x1b[0m\\x1b[2J", flush=True)
        number += 1
    time.sleep(0.001)
"""
)


class Stream:
    """One follower of a publish's output, as a client of the API's port."""

    def __init__(self, instance, path: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", instance.api_port, timeout=LIMIT_S
        )
        self.connection.request("GET", path, headers={"Host": "localhost", **headers})
        self.answer = self.connection.getresponse()

    def events(self):
        fields = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields["event"], fields["id"], json.loads(fields["data"])
                fields = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Talk:
    """A publish whose build says what it is told to."""

    def __init__(self, bench, stage: Path) -> None:
        self.bench, self.stage = bench, stage
        stage.mkdir()
        self.ref = f"talk-{next(_numbers)}"
        bench.repository.commit(self.ref, {"build.py": TALKING.replace("{stage}", str(stage))})
        queued = bench.instance.ouroboros(
            "publish", "--run-id", bench.run_id, "--repo", str(bench.repository.path),
            "--ref", self.ref, "--detach",
        )  # fmt: skip
        assert queued.status == 0, queued
        self.publish_id = queued.document["publish_id"]
        self.said = 0
        wait_until((stage / "began").exists)

    @property
    def path(self) -> str:
        return f"/api/publishes/{self.publish_id}/log?follow"

    def say(self) -> float:
        """Let the build say its next line; returns when it was told to."""
        told = time.time()
        (self.stage / f"say-{self.said}").touch()
        self.said += 1
        return told

    def end(self) -> None:
        (self.stage / "end").touch()


def wait_until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def talking_bench(tmp_path_factory):
    """A run in an instance with the usual limits: a build here waits for its test."""
    directory = tmp_path_factory.mktemp("talk")
    with running_instance() as instance, make_bench(instance, directory) as bench:
        yield bench


@pytest.fixture
def talk(talking_bench, tmp_path):
    made = Talk(talking_bench, tmp_path / "stage")
    yield made
    made.end()


def text_of(events) -> str:
    return "".join(document["text"] for kind, _, document in events if kind == "output")


def test_each_line_comes_while_the_build_waits_for_the_next(talk):
    with Stream(talk.bench.instance, talk.path) as stream:
        events = stream.events()
        for number in range(5):
            talk.say()
            seen = ""
            while f"line {number} " not in seen:
                kind, _, document = next(events)
                assert kind == "output"
                seen += document["text"]
            assert document["step"] == "frontend"
            assert f"\x1b[32mline {number} " in seen
            assert "\x1b[2J" not in seen
        talk.end()
        rest = list(events)
    assert rest[-1][0] == "end"
    assert rest[-1][2] == {"state": "ready"}


def test_a_stream_is_resumed_by_its_last_event_id_and_works_after_the_end(talk):
    instance = talk.bench.instance
    with Stream(instance, talk.path) as stream:
        events = stream.events()
        talk.say()
        first = []
        while "line 0 " not in text_of(first):
            first.append(next(events))
    talk.say()
    talk.end()
    with Stream(instance, talk.path, **{"Last-Event-ID": first[-1][1]}) as stream:
        rest = list(stream.events())
    with Stream(instance, talk.path) as stream:
        whole = list(stream.events())
    assert "line 1 " in text_of(rest)
    assert text_of(first) + text_of(rest) == text_of(whole)
    log = instance.state_dir / "artifacts" / talk.publish_id / "preview.publish.log"
    assert text_of(whole) == log.read_text(encoding="utf-8")
    with Stream(instance, talk.path, **{"Last-Event-ID": whole[-1][1]}) as stream:
        assert [kind for kind, _, _ in stream.events()] == ["end"]
    with Stream(instance, talk.path, **{"Last-Event-ID": "-1"}) as stream:
        assert stream.answer.status == 422


def test_the_command_line_follows_one_step(talk):
    process = subprocess.Popen(
        [str(PROGRAM), "logs", "--slot", talk.bench.slot_id, "--step", "build", "-f"],
        env=dict(talk.bench.instance.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(LIMIT_S, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        for number in range(3):
            talk.say()
            line = ""
            while f"line {number} " not in line:
                line = process.stdout.readline()
                assert line != ""
            assert "\x1b" not in line, "colours go to a terminal alone"
        talk.end()
        rest, told = process.communicate(timeout=LIMIT_S)
    finally:
        guard.cancel()
    assert process.returncode == 0
    assert "Readiness" not in rest
    assert f"publish {talk.publish_id} ready" in told
    shown = talk.bench.instance.ouroboros("logs", talk.publish_id, "--step", "smoke")
    assert "==> Smoke check" in shown.document["text"]
    assert "line 0" not in shown.document["text"]
    unknown = talk.bench.instance.ouroboros("logs", talk.publish_id, "--step", "deploy")
    assert unknown.document["error"] == "step_not_found"


def test_a_hundred_followers_do_not_stop_the_api(talk):
    instance = talk.bench.instance
    streams = [Stream(instance, talk.path) for _ in range(120)]
    try:
        assert all(stream.answer.status == 200 for stream in streams)
        began = time.monotonic()
        assert instance.ouroboros("slots").status == 0
        assert time.monotonic() - began < LIMIT_S / 2
        talk.say()
        for stream in streams:
            seen = ""
            events = stream.events()
            while "line 0 " not in seen:
                seen += next(events)[2]["text"]
    finally:
        for stream in streams:
            stream.connection.close()


def test_followers_do_not_keep_the_api_from_ending(talk):
    """The API is started again by its supervisor, and a follower finds its place again."""
    instance = talk.bench.instance
    follower = subprocess.Popen(
        [str(PROGRAM), "logs", talk.publish_id, "-f"],
        env=dict(instance.environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    guard = threading.Timer(LIMIT_S, follower.kill)
    guard.start()
    talk.say()
    while "line 0 " not in follower.stdout.readline():
        assert follower.poll() is None
    status = instance.ouroboros("status").document
    before = next(each["pid"] for each in status["services"] if each["name"] == "api")
    subprocess.run(["kill", "-TERM", str(before)], check=True)
    wait_until(lambda: not Path(f"/proc/{before}").exists())
    talk.say()
    while "line 1 " not in (line := follower.stdout.readline()):
        assert "line 0 " not in line, "a line came twice"
        assert follower.poll() is None
    talk.end()
    follower.communicate(timeout=LIMIT_S)
    guard.cancel()
    assert follower.returncode == 0
