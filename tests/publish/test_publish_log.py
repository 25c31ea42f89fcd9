"""The log of a publish as files: what is kept, what is left out and said so, and its parts."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from ouroboros.adapters.publish_log import PUBLISH_LOG, PublishLog

FULL = Path("/dev/full")


@pytest.fixture
def open_log(tmp_path):
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(
            closing(PublishLog(tmp_path, *given, **named))
        )


def parts_of(log, start=0, limit=1000):
    found = []
    while (part := log.part_after(start, limit, whole=True)) is not None:
        found.append(part)
        start = part.end
    return found


def test_the_parts_are_the_whole_log_and_know_their_steps(open_log, tmp_path):
    log = open_log([])
    for step in ("source", "frontend"):
        log.step(step, step.title())
        for number in range(100):
            log.output(f"\x1b[3{number % 8}m{step} ✓ {number}\x1b[0m\n".encode())
    log.flush()
    parts = parts_of(log, limit=70)
    assert "".join(part.text for part in parts).encode() == (tmp_path / PUBLISH_LOG).read_bytes()
    for step in ("source", "frontend"):
        text = "".join(part.text for part in parts if part.step == step)
        assert text.encode() == (tmp_path / f"{step}.log").read_bytes()
    assert all(part.end - part.start <= 70 for part in parts)
    assert not any(part.text.endswith("\x1b[3") for part in parts)


def test_output_beyond_the_limit_is_left_out_and_its_end_is_kept(open_log, tmp_path):
    log = open_log([], kept_bytes=1000)
    log.step("frontend", "Build")
    log.output(b"the beginning\n")
    for number in range(20_000):
        log.output(b"line %d\n" % number)
    log.line("exit 1")
    text = (tmp_path / "frontend.log").read_text()
    assert "the beginning\n" in text
    assert "[this step has printed 1000 bytes: only its last 65536 are kept from here on]\n" in text
    assert "bytes are left out here]\n" in text
    assert "line 19999\n[" in text
    assert len(text) < 1000 + 65536 + 500
    log.step("backend", "Install")
    log.output(b"the next step has room again\n")
    assert "room again" in (tmp_path / "backend.log").read_text()


def test_every_byte_is_kept_or_counted_as_left_out(open_log, tmp_path):
    log = open_log([], kept_bytes=500)
    log.step("frontend", "Build")
    sent = b"".join(b"%06d\n" % number for number in range(30_000))
    for at in range(0, len(sent), 4096):
        log.output(sent[at : at + 4096])
    log.flush()
    lines = (tmp_path / "frontend.log").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("[")]
    left_out = next(int(line[1:].split()[0]) for line in lines if "left out" in line)
    # The line in which the limit fell stands in two pieces, with a line end of ours between.
    assert sum(map(len, kept)) + left_out in (len(sent), len(sent) + 1)


def test_colours_and_open_lines_of_a_command_end_with_it(open_log, tmp_path):
    log = open_log([])
    log.step("frontend", "Build")
    log.output(b"\x1b[41mno end of the line")
    log.line("exit 0")
    assert "no end of the line\x1b[0m\n[" in (tmp_path / "frontend.log").read_text()


def test_secrets_are_masked_also_across_chunks_and_controls(open_log, tmp_path):
    log = open_log(["hunter2hunter2"])
    log.step("frontend", "Build")
    for byte in b"url=hun\x07ter2hunter2;\n":
        log.output(bytes([byte]))
    log.line("$ command hunter2hunter2")
    text = (tmp_path / "frontend.log").read_text()
    assert "url=***;\n" in text
    assert "hunter2" not in text


def test_a_log_is_continued_where_a_killed_worker_left_it(open_log, tmp_path):
    first = open_log([])
    first.step("frontend", "Build")
    first.output(b"half a line")
    size = (tmp_path / PUBLISH_LOG).stat().st_size
    second = open_log([], "frontend")
    second.step("frontend", "Build")
    parts = parts_of(second)
    assert "".join(part.text for part in parts) == (tmp_path / PUBLISH_LOG).read_text()
    assert {part.step for part in parts} == {"frontend"}
    assert "half a line\n[" in (tmp_path / PUBLISH_LOG).read_text().replace("\x1b[0m", "")
    assert second.part_after(size, 10) is not None


def test_the_tail_for_a_failure_has_no_colours(open_log, tmp_path):
    log = open_log([])
    log.step("frontend", "Build")
    log.output(b"\x1b[31mthe colour is missing\x1b[0m\n")
    assert log.tail("frontend").endswith("the colour is missing")
    assert log.tail("no such step") == ""


def test_a_part_waits_for_the_rest_of_a_character(open_log, tmp_path):
    log = open_log([])
    log.output("a✓".encode())
    assert log.part_after(0, 3).text == "a"
    assert log.part_after(1, 3).text == "✓"


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_log_that_cannot_be_written_is_an_error(open_log, tmp_path):
    (tmp_path / PUBLISH_LOG).symlink_to(FULL)
    log = open_log([])
    with pytest.raises(OSError, match="No space left"):
        log.line("does not fit")
