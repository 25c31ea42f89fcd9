"""The API asked by a generator that knows nothing but its description (schemathesis)."""

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "st"
# A stream that never ends, and a route that waits up to a minute for a slot.
LEFT_OUT = ("/api/events/stream", "/api/slots/acquire")
# 503 is an answer: here runs no supervisor, and who asks for one is told so. Further rules than a
# schema can say, such as that a seed needs a version, are refused with 422; a POST says that it is
# JSON (415) because a foreign page cannot.
CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
# POST is a method of this path, too: of the one that ends with any verb.
[[operations]]
include-path = "/api/slots/{slot}/backend/health"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false
"""
PHASES = "examples,coverage,fuzzing,stateful"
SOAK_MINUTES = float(os.environ.get("API_FUZZ_MINUTES", "60"))


def generated(served, tmp_path: Path, seconds: float, capsys) -> None:
    """Ask for so long, check every answer in every way, and print what was asked."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    argv = [str(PROGRAM), "run", f"http://127.0.0.1:{served.port}/openapi.json", "--no-color"]
    argv += ["--phases", PHASES, "--max-time", str(round(seconds)), "--request-timeout", "60"]
    argv += ["--max-examples", "50", "--no-shrink"]
    for path in LEFT_OUT:
        argv += ["--exclude-path", path]
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        argv,
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-60000:]
    with capsys.disabled():
        print(done.stdout[done.stdout.rindex("SUMMARY") :])


@pytest.mark.timeout(600)
def test_no_answer_is_an_accident_or_undocumented(served, tmp_path, capsys):
    generated(served, tmp_path, 120, capsys)


@pytest.mark.soak
@pytest.mark.timeout(60 * SOAK_MINUTES + 600)
def test_no_answer_is_an_accident_over_many_requests(served, tmp_path, capsys):
    generated(served, tmp_path, 60 * SOAK_MINUTES, capsys)
