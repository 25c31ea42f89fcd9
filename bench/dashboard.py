"""How soon the dashboard shows what happened, and how long its first page takes.

    .venv/bin/python bench/dashboard.py [--rounds 40]

Serves the API from this process over a PostgreSQL of its own, with 3 and with 300 slots, and looks
at it with Chromium. Prints medians in milliseconds: the first page beside `/health` (over one kept
connection), and from an event's row to its line on the open page.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.http.conftest import Served, serve
from tests.postgres import running_cluster

from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.bootstrap import compose
from ouroboros.domain.slot import make_pool

LIMITS_MS = {3: 30, 300: 100}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# A line's time is noted by the page itself, so asking for it costs nothing.
WATCH = """() => {
  window.seen = {};
  new MutationObserver(() => {
    for (const row of document.querySelectorAll('[id^=event-]'))
      window.seen[row.id] ??= Date.now();
  }).observe(document.body, {childList: true, subtree: true, attributes: true});
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with running_cluster() as cluster:
        migrate_control_plane(cluster.access.control_dsn())
        for count in (3, 300):
            pool = make_pool(",".join(f"preview-{n}" for n in range(1, count + 1)))
            at = compose(replace(cluster.settings, pool=pool), {}, "bench")
            at.leases.register()
            directory = Path(tempfile.mkdtemp(prefix="obd", dir="/tmp"))
            try:
                with serve(at, directory) as served:
                    measure(served, count, rounds)
            finally:
                at.close()
                shutil.rmtree(directory)


def measure(served: Served, count: int, rounds: int) -> None:
    for number in range(min(count, 250)):
        served.lease(f"bench-{count}-{number}")
    with served.tcp(Accept="text/html") as api:
        health, page = (median_ms(api, path, rounds) for path in ("/health", "/"))
    print(
        f"{count:3} slots: first page {page:6.1f} ms, /health {health:5.1f} ms"
        f"  (wanted: under {LIMITS_MS[count]})"
    )
    served.end_leases()
    print(f"{count:3} slots: event to page {event_to_page_ms(served, rounds):6.1f} ms"
          "  (wanted: under 300)")  # fmt: skip


def median_ms(api: httpx.Client, path: str, rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        assert api.get(path).status_code == 200
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def event_to_page_ms(served: Served, rounds: int) -> float:
    chromium = shutil.which("chromium")
    if chromium is None:
        return float("nan")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{served.port}/")
        page.locator("#live[data-state=live]").wait_for()
        page.evaluate(WATCH)
        taken = [one_event_ms(served, page, number) for number in range(rounds)]
        browser.close()
    return statistics.median(taken)


def one_event_ms(served: Served, page, number: int) -> float:
    served.at.leases.enqueue(f"seen-{number}", "main")
    row = served.sql("SELECT id, at FROM events ORDER BY id DESC LIMIT 1")[0]
    served.at.leases.leave_queue(f"seen-{number}")
    page.locator(f"#event-{row['id']}").wait_for()
    shown = page.evaluate(f"window.seen['event-{row['id']}']")
    page.wait_for_timeout(400)
    return shown - row["at"].timestamp() * 1000


if __name__ == "__main__":
    main()
