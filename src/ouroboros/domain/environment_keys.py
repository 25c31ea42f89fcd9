"""Reading keys of an environment, each with what it accepts; all problems are told together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ouroboros.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a key may be, in words, and what holds without it."""

    values: str
    default: str


class KeyReader:
    """Reads one key after the other, and collects problems instead of stopping at the first.

    An unknown key that begins with `prefix` is a problem, too. Paths below `home` are shown
    relative to it.
    """

    def __init__(self, environ: Mapping[str, str], prefix: str, home: Path) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.problems: dict[str, str] = {}
        self._environ = environ
        self._prefix = prefix
        self._home = home

    def text(self, key: str) -> str | None:
        """A text; None when it is not set or empty."""
        self._accept(key, "text")
        return self._environ.get(key) or None

    def text_or(self, key: str, default: str) -> str:
        """A text, or what holds without it."""
        self._accept(key, "text", default)
        return self._environ.get(key) or default

    def origin(self, key: str) -> str | None:
        """The address of a server, `http://host:port` without a path; None when it is not set."""
        self._accept(key, "http or https address")
        text = self._environ.get(key) or None
        if text is not None and not _is_origin(text):
            self.problems[key] = "is not an address such as https://host:port"
            return None
        return text

    def path(self, key: str, default: Path) -> Path:
        """A path, made absolute."""
        shown = default.relative_to(self._home) if default.is_relative_to(self._home) else default
        self._accept(key, "path", str(shown))
        return self._absolute(key) or default

    def optional_path(self, key: str) -> Path | None:
        """A path, made absolute, or None."""
        self._accept(key, "path")
        return self._absolute(key)

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        self._accept(key, f"{least} to {most}", str(default))
        text = self.text(key)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            self.problems[key] = f"{text[:40]!r} is not a whole number from {least} to {most}"
            return default
        return int(text)

    def choice(self, key: str, values: tuple[str, ...]) -> str:
        """One of some words; the first is the default."""
        self._accept(key, ", ".join(values), values[0])
        text = self.text(key) or values[0]
        if text not in values:
            self.problems[key] = f"{text[:40]!r} is not one of {', '.join(values)}"
            return values[0]
        return text

    def finish(self) -> None:
        """Raise `invalid_configuration` naming every bad or unknown key at once."""
        for key in self._environ:
            if key.startswith(self._prefix) and key not in self.accepted:
                self.problems[key] = "is not a setting of Ouroboros"
        if self.problems:
            listed = "; ".join(f"{key}: {text}" for key, text in sorted(self.problems.items()))
            raise BadInput(
                "invalid_configuration",
                listed,
                "docs/configuration.md lists every key",
                {"problems": self.problems},
            )

    def _accept(self, key: str, values: str, default: str = "") -> None:
        self.accepted.setdefault(key, Accepted(values, default))

    def _absolute(self, key: str) -> Path | None:
        text = self.text(key)
        if text is None:
            return None
        if "\0" in text:
            self.problems[key] = "holds a NUL"
            return None
        return Path(text).expanduser().absolute()


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        named = bool(parts.hostname) and parts.port != 0  # `port` raises when it is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and named and plain and parts.path in ("", "/")
