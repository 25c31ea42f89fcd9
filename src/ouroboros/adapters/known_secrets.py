"""The secrets that an installation knows, so that none of them is told to somebody else.

Passwords of roles, the control plane's URL, what the steward hands to backends, and what the
environment brings. Of tokens and sessions only digests are kept, so their form is what they are
known by. A URL with a password in it may come from anywhere, a branch's output too.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ouroboros.adapters.git_host_files import read_git_hosts
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.masking import MASK, SecretMask
from ouroboros.settings import Settings

_SECRET_KEY = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|PRIVATE|_KEY|DSN|DATABASE_URL")
# No word boundaries: in JSON an end of line is a backslash and an n.
_TOKEN = re.compile(r"ouro[sl]?_[a-z2-7]{8}_[A-Za-z0-9_-]+")
_IN_URL = re.compile(r"(?<=://)([^\s/@:'\"<>]*):[^\s/@'\"<>]+@|(?<=://)[^\s/@:'\"<>]+@")
_BEARER = re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]+|(?<=basic )[A-Za-z0-9+/=]{8,}")
_ASSIGNED = re.compile(
    r"(?i)([A-Z0-9_]*(?:password|passwd|secret|token|api_?key)[A-Z0-9_]*\s*[=:]\s*)[^\s'\"&\\]{6,}"
)
_PAIR = re.compile(r"""["']?(\w+)["']?\s*[=:]\s*["']?([^"'\n]+)""")
_LARGEST_BYTES = 1 << 20


class BundleMask:
    """Masks whole texts: known secrets by their value, unknown ones by their form."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        found = {secret for secret in known_secrets(settings, environ) if secret}
        found |= {json.dumps(secret)[1:-1] for secret in found}
        self._known = SecretMask(found)

    def mask(self, text: str) -> str:
        """The text without anything that is or looks like a secret."""
        masked = self._known.mask(text)
        masked = _TOKEN.sub(MASK, masked)
        masked = _BEARER.sub(MASK, masked)
        masked = _ASSIGNED.sub(rf"\1{MASK}", masked)
        return _IN_URL.sub(f"{MASK}@", masked)


def known_secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Every secret there is a value of; those of the steward only for root."""
    yield from _of_url(settings.control_dsn or "")
    yield settings.token or ""
    for key, value in environ.items():
        if _SECRET_KEY.search(key.upper()):
            yield from _of_value(value)
        elif "://" in value:
            yield urlsplit_password(value)
    with contextlib.suppress(PreviewError):
        for repository in read_git_hosts(settings.git_hosts_file, environ):
            yield from (repository.webhook_secret, repository.api_token or "")
    for directory in (settings.secrets_dir, settings.steward_dir):
        for path in _files(directory):
            yield from _of_file(path)


def urlsplit_password(url: str) -> str:
    """The password of a URL as it is written there; empty when it has none."""
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _of_value(value: str) -> Iterator[str]:
    yield value
    if "://" in value:
        yield from _of_url(value)


def _of_url(url: str) -> Iterator[str]:
    yield url
    password = urlsplit_password(url)
    yield from (password, unquote(password))


def _files(directory: Path) -> list[Path]:
    try:
        return [path for path in sorted(directory.rglob("*")) if path.is_file()]
    except OSError:
        return []


def _of_file(path: Path) -> Iterator[str]:
    """A file that is a secret, or lines of which some assign one."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return
    if path.suffix not in (".env", ".json"):
        yield text
    for key, value in _PAIR.findall(text):
        if _SECRET_KEY.search(key.upper()):
            yield from _of_value(value)
