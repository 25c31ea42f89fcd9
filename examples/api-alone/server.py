"""Tell the phase of the moon over HTTP, with nothing but the standard library.

GET /health                 -> 200 {"status": "ok", "slot_id", "commit_sha"}
GET /api/moon?on=YYYY-MM-DD -> 200 {"on", "age_days", "phase"}, 400 `bad_date`
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from urllib.parse import parse_qs, urlsplit

# The new moon of 6 January 2000, 18:14 UTC, and the mean length of a month since (Meeus,
# Astronomical Algorithms, chapter 49).
_KNOWN_NEW_MOON = dt.datetime(2000, 1, 6, 18, 14, tzinfo=dt.UTC)
_MONTH_DAYS = 29.530588861
_PHASES = (
    "new moon",
    "waxing crescent",
    "first quarter",
    "waxing gibbous",
    "full moon",
    "waning gibbous",
    "last quarter",
    "waning crescent",
)


def moon_age_days(day: dt.date) -> float:
    """Say how many days the moon is old at noon UTC, from 0 to 29.53; good to about half a day."""
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    return ((noon - _KNOWN_NEW_MOON) / dt.timedelta(days=1)) % _MONTH_DAYS


def phase(age_days: float) -> str:
    """Name the eighth of the month that an age falls in."""
    return _PHASES[round(age_days / _MONTH_DAYS * 8) % 8]


class Handler(BaseHTTPRequestHandler):
    """One request; answers are JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if target.path == "/health":
            self._answer(
                HTTPStatus.OK,
                {
                    "status": "ok",
                    "slot_id": os.environ.get("MOON_SLOT", ""),
                    "commit_sha": os.environ.get("COMMIT_SHA", ""),
                },
            )
        elif target.path == "/api/moon":
            self._moon(parse_qs(target.query).get("on", [""])[0])
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not_found"})

    def _moon(self, on: str) -> None:
        try:
            day = dt.date.fromisoformat(on)
        except ValueError:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "bad_date", "message": "on=YYYY-MM-DD"})
            return
        age = moon_age_days(day)
        self._answer(HTTPStatus.OK, {"on": on, "age_days": round(age, 1), "phase": phase(age)})

    def _answer(self, status: HTTPStatus, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> int:
    """Serve on 127.0.0.1 until SIGTERM."""
    parser = argparse.ArgumentParser(description="Tell the phase of the moon.")
    parser.add_argument("--port", type=int, required=True)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits for the loop that this handler interrupts, so another thread calls it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
