"""The API asked by a generator that knows nothing but its description (schemathesis)."""

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "st"
# A stream that never ends, and a route that waits up to a minute for a slot.
LEFT_OUT = ("/api/events/stream", "/api/slots/acquire")
# 503 is an answer: here runs no supervisor, and who asks for one is told so.
CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def generated(served, tmp_path: Path, *options: str, limit_s: int) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    argv = [str(PROGRAM), "run", f"http://127.0.0.1:{served.port}/openapi.json", "--no-color"]
    argv += ["--checks", ",".join(CHECKS), "--request-timeout", "60", *options]
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
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Test cases:" in done.stdout


def test_no_answer_is_an_accident_or_undocumented(served, tmp_path):
    generated(served, tmp_path, "--phases", "coverage", "--max-examples", "3", limit_s=240)


@pytest.mark.soak
def test_no_answer_is_an_accident_over_many_requests(served, tmp_path):
    generated(
        served,
        tmp_path,
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "2000"),
        limit_s=3600,
    )
