"""The command line in a real terminal, and in a real shell, against the API as it is served."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

PROGRAM = Path(sys.executable).with_name("ouroboros")
STATE, PLAIN = r"\x1b\[\d+m", r"\x1b\[0m"
LEAVES_THE_SCREEN = re.escape("\x1b[?1049l")


@pytest.fixture
def environment(served):
    return {
        "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "OUROBOROS_URL": f"http://127.0.0.1:{served.port}",
        "OUROBOROS_TOKEN": served.token("operate"),
    }


@pytest.fixture
def terminal(environment):
    """Starts programs in a terminal of 160 columns; none outlives the test."""
    started = []

    def start(*command: str) -> pexpect.spawn:
        child = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=environment,
            encoding="utf-8",
            dimensions=(40, 160),
            timeout=60,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def ended(child: pexpect.spawn) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_states_have_colours_on_a_terminal_that_may_have_them(served, terminal, environment):
    served.lease("terminal-colours")
    child = terminal(str(PROGRAM), "slots")
    child.expect(re.escape("\x1b[33mleased"))
    child.expect(re.escape("\x1b[2mfree"))
    assert ended(child) == 0
    for key, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        environment[key] = value
        child = terminal(str(PROGRAM), "slots")
        child.expect("leased")
        assert "\x1b[33m" not in child.before + child.after
        assert ended(child) == 0
        environment.pop("NO_COLOR", None)


def test_a_publish_says_how_long_it_will_take_as_the_last_ones_did(served, terminal):
    served.lease("terminal-progress")
    ended_now = "state = 'ready', finished_at = now(), started_at = now() - make_interval(secs => "
    for took_s in (4, 6, 60):
        done = served.at.publishes.queue("terminal-progress", "/srv/known", "main")
        served.sql(f"UPDATE publishes SET {ended_now}{took_s}) WHERE publish_id = '{done}'")
    assert served.at.measures.typical_publish_s("/srv/strange", is_rollback=False) is None
    child = terminal(str(PROGRAM), "publish", "--run-id", "terminal-progress", "--repo",
                     "/srv/known", "--ref", "main")  # fmt: skip
    ours = "run_id = 'terminal-progress' AND state = 'queued'"
    deadline = time.monotonic() + 30
    while not (queued := served.sql(f"SELECT publish_id FROM publishes WHERE {ours}")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with served.local() as api:
        found = api.get(f"/api/publishes/{queued[0]['publish_id']}").json()
    assert found["expected_s"] == pytest.approx(6, abs=0.1)
    served.sql(
        "INSERT INTO publish_steps (publish_id, step, position, state, fence) "
        f"SELECT publish_id, 'source', 1, 'running', fence FROM publishes WHERE {ours}"
    )
    served.sql(f"UPDATE publishes SET state = 'running', started_at = now() WHERE {ours}")
    child.expect(r"source  about \d s left")
    child.sendintr()
    child.expect(pexpect.EOF)
    served.sql(
        "UPDATE publishes SET state = 'cancelled', finished_at = now() "
        "WHERE run_id = 'terminal-progress' AND state = 'running'"
    )


def test_alone_it_shows_the_slots_and_what_is_useful_next(served, terminal):
    served.lease("terminal-alone")
    child = terminal(str(PROGRAM))
    child.expect(r"\x1b\[1mslot +state +run")
    child.expect(rf"preview-1 +{STATE}leased *{PLAIN} +terminal-alone")
    child.expect("Next: .*ouroboros publish --run-id terminal-alone")
    assert ended(child) == 0


def test_watching_shows_what_happens_until_ctrl_c_and_leaves_the_last_answer(served, terminal):
    child = terminal(str(PROGRAM), "slots", "--watch")
    child.expect(rf"preview-1 +{STATE}free")
    child.expect("Ctrl-C ends")
    served.lease("terminal-watch")
    child.expect(rf"preview-1 +{STATE}leased *{PLAIN} +terminal-watch")
    child.sendintr()
    child.expect(LEAVES_THE_SCREEN)
    child.expect(rf"preview-1 +{STATE}leased *{PLAIN} +terminal-watch")
    assert ended(child) == 0


def test_watching_from_a_program_is_a_document_for_each_change(served, environment):
    with subprocess.Popen(
        [PROGRAM, "queue", "--watch"], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert json.loads(child.stdout.readline())["holders"] == []
            served.lease("program-watch")
            holders = json.loads(child.stdout.readline())["holders"]
            assert [each["run_id"] for each in holders] == ["program-watch"]
            child.send_signal(signal.SIGINT)
            assert child.stdout.read() == ""
            assert child.wait(30) == 0
        finally:
            child.kill()  # nobody else would end it


def test_watching_goes_on_when_the_instance_is_not_there_yet(environment, tmp_path, terminal):
    del environment["OUROBOROS_URL"], environment["OUROBOROS_TOKEN"]
    environment["OUROBOROS_STATE_DIR"] = str(tmp_path)
    child = terminal(str(PROGRAM), "status", "--watch")
    child.expect(r"Ouroboros is not up .*\(not_running\)")
    child.expect("Next: start it: ouroboros up")
    child.sendintr()
    assert ended(child) == 0


def test_a_failure_names_the_command_that_mends_it(terminal):
    child = terminal(str(PROGRAM), "heartbeat", "--run-id", "nobody", "--slot", "preview-1")
    child.expect(r"Not done.*: .*\(lease_lost\)")
    child.expect("Next: ")
    assert ended(child) == 1


def test_bash_completes_commands_options_and_slots(terminal):
    shell = terminal("/bin/bash", "--norc", "--noprofile", "-i")
    shell.sendline("PS1='ready> '; bind 'set show-all-if-ambiguous on'")
    shell.sendline('eval "$(ouroboros completion bash)"; echo eval-$?')
    shell.expect("eval-0")
    shell.expect("ready> ")
    shell.send("ouroboros rollb\t")
    shell.expect("ouroboros rollback ")
    shell.send("--sl\t")
    shell.expect("--slot ")
    shell.send("\x15ouroboros heartbeat --slot \t")
    shell.expect("preview-1 +preview-2")
    shell.sendline("\x15exit")
    assert ended(shell) == 0


def test_the_completion_of_other_shells_is_printed_and_an_unknown_one_refused(environment):
    def asked(shell: str) -> tuple[int, str]:
        done = subprocess.run(
            [PROGRAM, "completion", shell],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    for shell, sign in (("zsh", "#compdef ouroboros"), ("fish", "complete --command ouroboros")):
        status, script = asked(shell)
        assert (status, sign in script) == (0, True)
    status, refused = asked("tcsh")
    assert (status, json.loads(refused)["error"]) == (2, "unknown_shell")
