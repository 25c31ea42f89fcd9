"""Repositories on git hosts whose pull requests get previews, as `git-hosts.toml` names them.

A pull request is GitHub's, Gitea's and Forgejo's word; GitLab's merge requests are meant, too. The
file is the operator's and holds no secret itself: it names files or variables that do. It is read
strictly, and all its problems are told together, each by its key.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlsplit

from ouroboros.domain.errors import BadInput, Failed
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.domain.reset import Source, choose_source
from ouroboros.domain.strict_table import StrictTable

MOST_NUMBER = 10**12
"""Pull requests are numbered below this, so that a run id always has room for the number."""

_LEAST_SECRET = 16
_SLUG = 30


class GitHost(StrEnum):
    """The kinds of git hosts; Forgejo speaks as Gitea does."""

    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"


_API_URLS = {
    GitHost.GITHUB: "https://api.github.com",
    GitHost.GITEA: "",
    GitHost.GITLAB: "https://gitlab.com/api/v4",
}


class Forks(StrEnum):
    """What becomes of a pull request whose commits come from another repository."""

    APPROVE = "approve"
    """Each of its commits waits until an operator has approved it."""
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository with what its previews are made of. Secrets are never shown."""

    git_host: GitHost
    name: str
    """As its git host spells it, with its owner or groups: `example-org/toolshed`."""
    clone_url: str
    api_url: str
    """The root of the git host's API, without a slash at its end."""
    source: Source
    """The state each run's database is brought to."""
    priority: int = 0
    forks: Forks = Forks.APPROVE
    webhook_secret: str = field(default="", repr=False)
    api_token: str | None = field(default=None, repr=False)
    """None: nothing is reported back."""

    @property
    def key(self) -> str:
        """Kind and name in one text, by which rows of the control plane are found."""
        return f"{self.git_host} {self.name}"

    def document(self) -> dict[str, object]:
        """What may be shown of it."""
        return {
            "git_host": self.git_host,
            "name": self.name,
            "clone_url": self.clone_url,
            "api_url": self.api_url,
            "seed_version": self.source.seed_version,
            "snapshot_version": self.source.snapshot_version,
            "priority": self.priority,
            "forks": self.forks,
            "reports": self.api_token is not None,
            "webhook": f"/api/webhooks/{self.git_host}",
        }


class GitHostRefused(Failed):
    """A git host answered with a failure. `status` is its HTTP status."""

    def __init__(self, message: str, hint: str, status: int, wait_s: float = 0.0) -> None:
        """`wait_s` is for how many seconds the git host asks to be left alone."""
        super().__init__("git_host_refused", message, hint, {"status": status})
        self.status = status
        self.wait_s = wait_s


SecretReader = Callable[[str, str], str]
"""Reads a secret: from `file` or `env`, and which; raises BadInput when it cannot be had."""


def run_id_of(repository: Repository, number: int) -> str:
    """The run of a pull request, always the same one, and of no other.

    Its end is a digest of kind, repository and number; what stands before is for people.
    """
    known = f"{repository.git_host}\n{repository.name.casefold()}\n{number}"
    digest = sha256(known.encode()).hexdigest()[:10]
    last = repository.name.rpartition("/")[2].lower()
    slug = "".join(char if char.isascii() and char.isalnum() else "-" for char in last)
    return parse_run_id(f"{slug[:_SLUG].strip('-') or 'run'}-pr-{number}-{digest}")


def find_repository(
    repositories: Sequence[Repository], git_host: GitHost, name: str
) -> Repository | None:
    """The repository of this name; git hosts do not tell upper case from lower case."""
    wanted = name.casefold()
    for each in repositories:
        if each.git_host is git_host and each.name.casefold() == wanted:
            return each
    return None


def parse_git_hosts(text: str, read_secret: SecretReader) -> tuple[Repository, ...]:
    """Read a `git-hosts.toml`; raises `invalid_git_hosts` with every problem, each by its key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise invalid_git_hosts({"git-hosts.toml": str(error)}) from error
    problems: dict[str, str] = {}
    root = StrictTable(document, "", problems)
    found = [_repository(table, read_secret) for table in root.tables("repository")]
    root.finish()
    for at, each in enumerate(found):
        if find_repository(found[:at], each.git_host, each.name) is not None:
            root.problem(f"repository[{at}].name", f"{each.name!r} is there twice")
    if problems:
        raise invalid_git_hosts(problems)
    return tuple(found)


def invalid_git_hosts(problems: dict[str, str]) -> BadInput:
    """The error for a file with these problems."""
    listed = "; ".join(f"{key}: {text}" for key, text in sorted(problems.items()))
    return BadInput(
        "invalid_git_hosts", listed, "docs/git-hosts.md lists every key", {"problems": problems}
    )


def _repository(table: StrictTable, read_secret: SecretReader) -> Repository:
    git_host = GitHost(_choice(table, "git_host", tuple(GitHost)))
    made = Repository(
        git_host,
        _name(table),
        _url(table, "clone_url", "", ("https", "http", "ssh", "git", "file")),
        _url(table, "api_url", _API_URLS[git_host], ("https", "http")).rstrip("/"),
        _source(table),
        _priority(table),
        Forks(_choice(table, "forks", tuple(Forks), Forks.APPROVE)),
        _secret(table, "webhook_secret", read_secret, needed=True) or "",
        _secret(table, "api_token", read_secret, needed=False),
    )
    table.finish()
    return made


def _choice(table: StrictTable, key: str, values: Sequence[str], default: str = "") -> str:
    text = table.text(key, default)
    if text in values:
        return text
    table.problem(key, f"is not one of {', '.join(values)}")
    return values[0]


def _name(table: StrictTable) -> str:
    text = table.text("name", "")
    parts = text.split("/")
    if len(text) > 200 or len(parts) < 2 or not all(parts) or not text.isprintable():
        table.problem("name", "is not a repository's name with its owner, such as owner/name")
    return text


def holds_secret(url: str) -> bool:
    """Whether a URL has a password or token in it: it would be seen in logs and on pages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or bool(parts.username and parts.scheme.startswith("http"))


def _url(table: StrictTable, key: str, default: str, schemes: Sequence[str]) -> str:
    """A URL without a password or token in it: it is shown in logs and on pages."""
    text = table.text(key, default)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not text.isprintable() or " " in text:
        table.problem(key, f"is not a URL of {', '.join(schemes)}")
    elif holds_secret(text):
        table.problem(key, "holds a password or token, which would be seen in logs")
    return text


def _source(table: StrictTable) -> Source:
    seed, snapshot = table.text("seed_version", ""), table.text("snapshot_version", "")
    if bool(seed) == bool(snapshot):
        table.problem("seed_version", "or snapshot_version must be given, and not both")
    strategy = "snapshot" if snapshot else "seed"
    try:
        return choose_source(strategy, seed or None, snapshot or None)
    except BadInput as error:
        table.problem(f"{strategy}_version", error.message)
        return choose_source("seed", "v1", None)


def _priority(table: StrictTable) -> int:
    number = table.number("priority", 0)
    if not -1000 <= number <= 1000:
        table.problem("priority", "is not from -1000 to 1000")
    return number


def _secret(
    table: StrictTable, name: str, read_secret: SecretReader, *, needed: bool
) -> str | None:
    """A secret from the file that `<name>_file` names, or the variable of `<name>_env`."""
    places = {kind: table.text(f"{name}_{kind}", "") for kind in ("file", "env")}
    given = [(kind, place) for kind, place in places.items() if place]
    if len(given) != 1:
        if needed or given:
            table.problem(f"{name}_file", f"or {name}_env must be given, and not both")
        return None
    kind, place = given[0]
    try:
        secret = read_secret(kind, place)
    except BadInput as error:
        table.problem(f"{name}_{kind}", error.message)
        return None
    if len(secret) < _LEAST_SECRET or not (secret.isascii() and secret.isprintable()):
        table.problem(
            f"{name}_{kind}", f"holds no secret of {_LEAST_SECRET} or more printable characters"
        )
    return secret
