"""Visitors of a slot: clients that look at pages, their assets and the API without a pause."""

import http.client
import re
import threading
import time
from dataclasses import dataclass, field

_ASSET = re.compile(r'"(/assets/[^"]+)"')
_COMMIT = re.compile(r"commit ([0-9a-f]{40})")
_LIMIT_S = 30.0


@dataclass
class Seen:
    """What the visitors of one slot have seen."""

    requests: int = 0
    pages: int = 0
    commits: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)


class Visitors:
    """Some keep their connection, the others make a new one for every request."""

    def __init__(self, port: int, host: str, *, each_kind: int, pause_s: float = 0.0) -> None:
        self.seen = Seen()
        self._address = ("127.0.0.1", port)
        self._host = host
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._visit, args=(keep,), daemon=True)
            for keep in [True, False] * each_kind
        ]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * _LIMIT_S)
        assert not any(thread.is_alive() for thread in self._threads)

    def wait_for_pages(self, count: int, of: str | None = None) -> None:
        """Wait until so many more pages were seen, the last ones of a commit."""
        deadline = time.monotonic() + 60
        goal = self.seen.pages + count
        while self.seen.pages < goal or (of is not None and of not in self.seen.commits):
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)

    def _visit(self, keep: bool) -> None:
        asking = _Asking(self, keep)
        number = 0
        while not self._stop.is_set():
            number += 1
            self._look_at_page(asking)
            said = f"{threading.get_ident()}-{number}".encode()
            echoed = asking.ask("POST", "/api/echo", said)
            if echoed is not None and not echoed[1].endswith(said):
                self._note_failure(f"POST was answered {echoed[1][:80]!r}")
            self._stop.wait(self._pause_s)
        asking.close()

    def _look_at_page(self, asking: "_Asking") -> None:
        """A page must be whole: of one commit, whatever is published while it loads."""
        page = asking.ask("GET", "/")
        if page is None:
            return
        headers, body = page
        found = _COMMIT.search(body.decode())
        assert found is not None, body
        commit = found.group(1)
        if headers.get("X-Preview-Commit") != commit:
            self._note_mixed(f"page of {commit} called {headers.get('X-Preview-Commit')}")
        for path in _ASSET.findall(body.decode()):
            asset = asking.ask("GET", path)
            if asset is not None and asset[1] != f"asset of {commit}".encode():
                self._note_mixed(f"page of {commit} with {path}: {asset[1][:60]!r}")
        with self._lock:
            self.seen.pages += 1
            self.seen.commits.add(commit)

    def _note_failure(self, text: str) -> None:
        with self._lock:
            self.seen.failed.append(text)

    def _note_mixed(self, text: str) -> None:
        with self._lock:
            self.seen.mixed.append(text)

    def _note_time(self, seconds: float) -> None:
        with self._lock:
            self.seen.requests += 1
            self.seen.times_s.append(seconds)


class _Asking:
    """One client; nothing is ever asked a second time."""

    def __init__(self, visitors: Visitors, keep: bool) -> None:
        self._visitors = visitors
        self._keep = keep
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None):
        """The head and body of an answer, or None after noting what failed."""
        began = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    *self._visitors._address, timeout=_LIMIT_S
                )
            headers = {"Host": self._visitors._host}
            if not self._keep:
                headers["Connection"] = "close"
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            got = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self._visitors._note_failure(f"{method} {path}: {error!r}")
            return None
        self._visitors._note_time(time.monotonic() - began)
        if not self._keep:
            self.close()
        if answer.status != 200:
            self._visitors._note_failure(f"{method} {path}: {answer.status} {got[:120]!r}")
            return None
        return answer.headers, got

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
