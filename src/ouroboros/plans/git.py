"""Git commands: fetch one ref into a bare mirror and lay out one exact commit.

Branch code must not run anything while it is being checked out: no hooks, no submodules, no
filters of the user's configuration, and only transports that do not run commands. A ref comes
after `--` or inside a refspec, never where an option could stand.
"""

from collections.abc import Mapping
from pathlib import Path

from ouroboros.domain.command import Command
from ouroboros.domain.errors import BadInput
from ouroboros.domain.identifiers import is_commit_id

_SAFE = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "submodule.recurse=false",
    "-c", "protocol.ext.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip
_SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")


def parse_repository(text: str) -> str:
    """A repository as an absolute path or URL (`invalid_repository`)."""
    fine = text.isprintable() and not text.startswith("-") and len(text) < 2000
    if fine and (text.startswith(_SCHEMES) or text.startswith("/")):
        return text
    raise BadInput(
        "invalid_repository",
        f"{text[:80]!r} is neither an absolute path nor a URL",
        "use a path, or an https, ssh, git or file URL",
    )


def environment(base: Mapping[str, str], config_file: Path) -> dict[str, str]:
    """The environment of every git command; `config_file` replaces the user's configuration."""
    return {
        **base,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config_file),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def configuration(repo: str) -> str:
    """A configuration file that trusts the repository the caller named, whoever owns it."""
    if not repo.startswith("/"):
        return "[safe]\n"
    escaped = repo.replace("\\", "\\\\").replace('"', '\\"')
    return f'[safe]\n\tdirectory = "{escaped}"\n\tdirectory = "{escaped}/.git"\n'


def initialise(mirror: Path, env: Mapping[str, str]) -> Command:
    """Make an empty bare mirror; may be repeated."""
    argv = ("git", *_SAFE, "init", "--quiet", "--bare", "--template=", "--", str(mirror))
    return Command(argv, mirror.parent, env, 30.0)


def fetch(mirror: Path, repo: str, ref: str, env: Mapping[str, str]) -> Command:
    """Fetch a branch or commit into `refs/preview/wanted`; the caller holds the mirror's lock."""
    source = ref if is_commit_id(ref) else f"refs/heads/{ref}"
    argv = (
        "git", *_SAFE, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force",
        "--no-write-fetch-head", "--", repo, f"+{source}:refs/preview/wanted",
    )  # fmt: skip
    return Command(argv, mirror, env, 300.0)


def fetch_tag(mirror: Path, repo: str, ref: str, env: Mapping[str, str]) -> Command:
    """Fetch a tag of this name, for a ref that is no branch."""
    argv = (
        "git", *_SAFE, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force",
        "--no-write-fetch-head", "--", repo, f"+refs/tags/{ref}:refs/preview/wanted",
    )  # fmt: skip
    return Command(argv, mirror, env, 300.0)


def resolve(mirror: Path, env: Mapping[str, str]) -> Command:
    """Print the commit that was fetched."""
    argv = ("git", *_SAFE, "rev-parse", "--verify", "refs/preview/wanted^{commit}")
    return Command(argv, mirror, env, 30.0)


def tree_of(mirror: Path, commit: str, path: str, env: Mapping[str, str]) -> Command:
    """Print the object id of a directory at a commit: equal ids hold equal files."""
    inside = "" if path == "." else path.rstrip("/")
    argv = ("git", *_SAFE, "rev-parse", "--verify", "--quiet", f"{commit}:{inside}")
    return Command(argv, mirror, env, 30.0)


def add_worktree(mirror: Path, target: Path, commit: str, env: Mapping[str, str]) -> Command:
    """Lay out the commit in a new directory."""
    argv = (
        "git", *_SAFE, "worktree", "add", "--quiet", "--force", "--detach", "--",
        str(target), commit,
    )  # fmt: skip
    return Command(argv, mirror, env, 120.0)


def prune_worktrees(mirror: Path, env: Mapping[str, str]) -> Command:
    """Forget worktrees whose directories are gone."""
    return Command(("git", *_SAFE, "worktree", "prune"), mirror, env, 30.0)
