"""Git commands: fetch one ref into a bare mirror and lay out one exact commit.

Branch code must not run anything while it is being checked out: no hooks, no submodules, no
filters of the user's configuration, and only transports that do not run commands. A ref comes
after `--` or inside a refspec, never where an option could stand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ouroboros.domain.command import Command
from ouroboros.domain.errors import BadInput, Failed
from ouroboros.domain.git_host import holds_secret
from ouroboros.domain.identifiers import is_commit_id

_SAFE = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "submodule.recurse=false",
    "-c", "protocol.ext.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip
WANTED = "refs/preview/wanted"
"""Where a mirror keeps what was fetched last."""
_SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")


def parse_repository(text: str) -> str:
    """A repository as an absolute path or URL without a secret (`invalid_repository`)."""
    fine = text.isprintable() and not text.startswith("-") and len(text) < 2000
    if fine and holds_secret(text):
        raise BadInput(
            "invalid_repository",
            "the URL holds a password or token, which would be seen in logs and on pages",
            "use an ssh URL and a deploy key; docs/git-hosts.md",
        )
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
    """Fetch a branch or commit into `WANTED`; the caller holds the mirror's lock."""
    source = ref if is_commit_id(ref) else f"refs/heads/{ref}"
    argv = (
        "git", *_SAFE, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force",
        "--no-write-fetch-head", "--", repo, f"+{source}:{WANTED}",
    )  # fmt: skip
    return Command(argv, mirror, env, 300.0)


def fetch_tag(mirror: Path, repo: str, ref: str, env: Mapping[str, str]) -> Command:
    """Fetch a tag of this name, for a ref that is no branch."""
    argv = (
        "git", *_SAFE, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force",
        "--no-write-fetch-head", "--", repo, f"+refs/tags/{ref}:{WANTED}",
    )  # fmt: skip
    return Command(argv, mirror, env, 300.0)


def resolve(mirror: Path, env: Mapping[str, str]) -> Command:
    """Print the commit that was fetched."""
    argv = ("git", *_SAFE, "rev-parse", "--verify", f"{WANTED}^{{commit}}")
    return Command(argv, mirror, env, 30.0)


def objects_at(mirror: Path, commit: str, paths: Sequence[str], env: Mapping[str, str]) -> Command:
    """Print what a commit is and what lies at each path of it, a line each, for `read_objects`.

    The paths go over standard input, one a line (git-cat-file(1), BATCH OUTPUT).
    """
    argv = ("git", *_SAFE, "cat-file", "--batch-check")
    asked = f"{commit}\n" + "".join(f"{commit}:{_inside(path)}\n" for path in paths)
    return Command(argv, mirror, env, 30.0, stdin=asked.encode())


def read_objects(paths: Sequence[str], printed: str) -> dict[str, str | None]:
    """The object id of each path: equal ids hold equal files. None where there is nothing.

    Raises `ref_not_found` when what was fetched is no commit (a tag, say, in the place of a
    branch), and `invalid_preview_toml` for a path with a line end, which git would take for two.
    """
    what, *lines = printed.splitlines() or [""]
    if what.split(" ")[1:2] != ["commit"]:
        raise Failed("ref_not_found", f"what was fetched is not a commit: {what}")
    if len(lines) != len(paths):
        raise BadInput("invalid_preview_toml", "a path of preview.toml holds a line end")
    found = (line.split(" ") for line in lines)
    return {
        path: words[0] if len(words) == 3 and is_commit_id(words[0]) else None
        for path, words in zip(paths, found, strict=True)
    }


def _inside(path: str) -> str:
    return "" if path == "." else path.rstrip("/")


def add_worktree(mirror: Path, target: Path, commit: str, env: Mapping[str, str]) -> Command:
    """Lay out the commit in a new directory."""
    argv = (
        "git", *_SAFE, "worktree", "add", "--quiet", "--force", "--detach", "--",
        str(target), commit,
    )  # fmt: skip
    return Command(argv, mirror, env, 120.0)


def tidy(mirror: Path, env: Mapping[str, str]) -> Command:
    """Pack what many fetches left, if it is much, and drop what no worktree has had for a day.

    A publish that was interrupted goes on with a commit that nothing may name by then, so what is
    younger stays. Whose process this is may have little memory, and takes its time instead.
    """
    settings = (
        "gc.auto=1000", "gc.autoPackLimit=20", "gc.autoDetach=false", "gc.logExpiry=now",
        "gc.pruneExpire=1.day.ago", "pack.threads=1", "pack.windowMemory=64m",
        "core.bigFileThreshold=16m",
    )  # fmt: skip
    options = (word for setting in settings for word in ("-c", setting))
    argv = ("git", *_SAFE, *options, "gc", "--auto", "--quiet")
    return Command(argv, mirror, env, 900.0, yields_by=10)


def prune_worktrees(mirror: Path, env: Mapping[str, str]) -> Command:
    """Forget worktrees whose directories are gone."""
    return Command(("git", *_SAFE, "worktree", "prune"), mirror, env, 30.0)
