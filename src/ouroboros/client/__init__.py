"""A client of the control plane's API, which the command line uses itself.

It speaks HTTP over the installation's unix socket, or to a URL, with nothing but the standard
library, so that a command starts quickly. Failures come back as the `PreviewError` that the
control plane raised, with the same code and exit status.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from ouroboros.adapters.unix_sockets import connect_unix
from ouroboros.domain.errors import Failed, PreviewError, TimedOut, Unhealthy

_PROBLEM = ("type", "title", "status", "detail", "instance")
"""The members of RFC 9457, which say again what ours say."""


class RemoteError(PreviewError):
    """An error of the control plane, with the exit status that belongs to its code."""

    def __init__(self, document: Mapping[str, Any], exit_code: int, http_status: int) -> None:
        known = {"ok", "error", "message", "hint", "command", "exit_code", *_PROBLEM}
        super().__init__(
            str(document.get("error", "unknown_error")),
            str(document.get("message", "")),
            str(document.get("hint", "")),
            {key: value for key, value in document.items() if key not in known},
        )
        self.exit_code = exit_code  # type: ignore[misc]
        self.http_status = http_status  # type: ignore[misc]


class Client:
    """Requests to one control plane; each uses a connection of its own."""

    def __init__(self, address: Path | str, token: str | None = None) -> None:
        """`address` is the path of a unix socket, or an http(s) URL, which may want a token."""
        self._address = address
        self._token = token

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, time_limit_s: float = 30.0
    ) -> Any:
        """GET a document; raises what the control plane answered, or `api_unreachable`."""
        return self._request("GET", _with_query(path, query), None, time_limit_s)

    def post(
        self, path: str, document: Mapping[str, Any] | None = None, time_limit_s: float = 120.0
    ) -> Any:
        """POST a document and return the answer's."""
        return self._request("POST", path, document or {}, time_limit_s)

    def get_file(
        self, path: str, query: Mapping[str, Any] | None = None, time_limit_s: float = 60.0
    ) -> bytes:
        """GET a file as it is; raises as `get` does."""
        with self._answered("GET", _with_query(path, query), None, time_limit_s) as response:
            body = response.read()
            if response.status >= 400:
                _read(response, body)
            return body

    def events(
        self, path: str, query: Mapping[str, Any] | None = None, time_limit_s: float = 30.0
    ) -> Iterator[tuple[str, str, Any]]:
        """Follow a stream of server-sent events: (event, id, document) of each, to its end.

        `time_limit_s` is for the silence between two lines, of which the API sends one every few
        seconds. Raises `api_unreachable` when the stream breaks off; it can be resumed by an id.
        """
        with self._answered("GET", _with_query(path, query), None, time_limit_s) as response:
            if response.status >= 400:
                _read(response, response.read())
            fields: dict[str, str] = {}
            while line := response.readline():
                name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                    fields = {}

    def _request(
        self, method: str, path: str, document: Mapping[str, Any] | None, time_limit_s: float
    ) -> Any:
        with self._answered(method, path, document, time_limit_s) as response:
            return _read(response, response.read())

    @contextmanager
    def _answered(
        self, method: str, path: str, document: Mapping[str, Any] | None, time_limit_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(time_limit_s)
        try:
            body = None if document is None else json.dumps(document, default=str)
            headers = {"Accept": "application/json"}
            if self._token is not None:
                headers["Authorization"] = f"Bearer {self._token}"
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, body=body, headers=headers)
            yield connection.getresponse()
        except TimeoutError as error:
            raise TimedOut(
                "api_timed_out", f"the control plane did not answer within {time_limit_s:.0f} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            is_local = isinstance(self._address, Path)
            raise Unhealthy(
                "api_unreachable",
                f"the control plane's API does not answer at {self._address}"
                + ("" if is_local else f": {error}"),
                "ouroboros up" if is_local else "is OUROBOROS_URL right, and is it up there?",
            ) from error
        finally:
            connection.close()

    def _connection(self, time_limit_s: float) -> http.client.HTTPConnection:
        if isinstance(self._address, Path):
            return _UnixConnection(self._address, time_limit_s)
        parts = urlsplit(self._address)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        return kind(parts.hostname or "127.0.0.1", parts.port, timeout=time_limit_s)


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: Path, time_limit_s: float) -> None:
        super().__init__("localhost", timeout=time_limit_s)
        self._path = path

    def connect(self) -> None:
        self.sock = connect_unix(self._path, self.timeout)


def _with_query(path: str, query: Mapping[str, Any] | None) -> str:
    wanted = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(wanted)}" if wanted else path


def _read(response: http.client.HTTPResponse, body: bytes) -> Any:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Failed(
            "api_answered_nonsense", f"status {response.status} with a body that is not JSON"
        ) from error
    if isinstance(document, dict) and document.get("ok") is False:
        raise RemoteError(document, int(document.get("exit_code", 1)), response.status)
    if response.status >= 400:
        raise Failed("api_failed", f"the API answered {response.status}", "ouroboros status")
    return document
