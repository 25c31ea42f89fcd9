"""Source: the worktree of the exact commit, pinned by its full id."""

import os
from pathlib import Path
from typing import Any

from ouroboros.adapters.file_lock import exclusive_file
from ouroboros.adapters.release_files import open_directory_below, remove_tree
from ouroboros.domain.errors import Failed
from ouroboros.domain.identifiers import is_commit_id, parse_ref
from ouroboros.domain.template import digest_of
from ouroboros.plans import git
from ouroboros.services.publish.egress import require_egress
from ouroboros.services.publish.mirrors import remove_leftovers
from ouroboros.services.publish.pages import require_browser
from ouroboros.services.publish.prebuilt import BACKEND, take_prebuilt
from ouroboros.services.publish.work import Work

_READY = ".preview-source"
_MADE = "preview-made"
_WORKTREES = 20


def lay_out_source(work: Work) -> dict[str, Any]:
    """Fetch the ref and lay out its commit; raises `ref_not_found`, `fetch_failed`.

    Also what `require_browser` raises, so that nothing is built in vain.

    Holds the mirror's lock: publishes of other slots from the same repository wait.
    """
    publish = work.publish
    repo, ref = git.parse_repository(publish.repo), parse_ref(publish.ref)
    mirror = work.layout.mirror(repo)
    with exclusive_file(mirror.with_suffix(".lock"), work.watch.require_still_wanted):
        remove_leftovers(mirror)
        environment = _git_environment(work, repo)
        _initialise(work, mirror, environment)
        commit = publish.commit_sha or _fetch(work, mirror, repo, ref, environment)
        work.store.set_commit(publish, commit)
        if _laid_out(work) != commit:
            remove_tree(work.release)
            work.release.mkdir(parents=True)
            _forget_worktrees(work, mirror, environment)
            work.run(
                git.add_worktree(mirror, work.source, commit, environment), "source_not_laid_out"
            )
            (work.release / _READY).write_text(commit, encoding="ascii")
        _require_real_directories(work)
        require_browser(work)
        require_egress(work.application, work.settings)
        prebuilt = take_prebuilt(work)
        tree, migrations = _digests(work, mirror, commit, environment, prebuilt)
    work.log.line(f"commit {commit} of {repo}")
    return {
        "commit_sha": commit,
        "repo": repo,
        "ref": ref,
        "tree": tree,
        "migrations": migrations,
        "prebuilt": prebuilt,
    }


def _initialise(work: Work, mirror: Path, env: dict[str, str]) -> None:
    """Make the mirror unless it was made to its end before."""
    made = mirror / _MADE
    if not made.exists():
        work.run(git.initialise(mirror, env), "fetch_failed")
        made.touch()


def _forget_worktrees(work: Work, mirror: Path, env: dict[str, str]) -> None:
    """Let git forget worktrees that were removed, once there are many: it costs a process."""
    known = mirror / "worktrees"
    if known.is_dir() and len(list(known.iterdir())) > _WORKTREES:
        work.query(git.prune_worktrees(mirror, env))


def _laid_out(work: Work) -> str | None:
    try:
        return (work.release / _READY).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def _require_real_directories(work: Work) -> None:
    """Refuse directories that a link in the repository could lead out of the worktree."""
    application = work.application
    wanted = [application.migrate_dir]
    wanted += [part.dir for part in (application.frontend, application.backend) if part]
    for relative in wanted:
        os.close(open_directory_below(work.source, relative))


def _digests(
    work: Work, mirror: Path, commit: str, env: dict[str, str], prebuilt: dict[str, str]
) -> tuple[str | None, str | None]:
    """The commit's tree, and a digest of its migrations (None: it has none).

    Equal migrations have nothing to do after each other.
    """
    application = work.application
    inside = application.migrations or (".",)
    paths = [".", *inside]
    printed = work.query(git.objects_at(mirror, commit, paths, env))
    if printed is None:
        raise Failed("fetch_failed", f"the mirror of {work.publish.repo} cannot be read")
    found = git.read_objects(paths, printed)
    if not application.migrate:
        return found["."], None
    parts = [*application.migrate, application.migrate_dir]
    parts += [f"{path} {found[path]}" for path in inside]
    if BACKEND in prebuilt:
        parts.append(prebuilt[BACKEND])
    return found["."], digest_of("\n".join(parts))


def _fetch(work: Work, mirror: Path, repo: str, ref: str, env: dict[str, str]) -> str:
    fetched = work.run_watched(git.fetch(mirror, repo, ref, env))
    if fetched.succeeded and not is_commit_id(ref) and (tip := _tip_of_branch(mirror)):
        return tip
    if not fetched.succeeded and not is_commit_id(ref):
        fetched = work.run_watched(git.fetch_tag(mirror, repo, ref, env))
    if not fetched.succeeded:
        raise Failed(
            "ref_not_found",
            f"{ref} could not be fetched from {repo}",
            f"git ls-remote {repo} shows the refs that are there",
        )
    commit = work.query(git.resolve(mirror, env))
    if commit is None or not is_commit_id(commit):
        raise Failed("ref_not_found", f"{ref} of {repo} is not a commit")
    return commit


def _tip_of_branch(mirror: Path) -> str | None:
    """The commit of the branch that was fetched, read from its file: a branch has no other object.

    None where git keeps its references otherwise (gitrepository-layout(5)), and must be asked.
    """
    try:
        found = (mirror / git.WANTED).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return found if is_commit_id(found) else None


def _git_environment(work: Work, repo: str) -> dict[str, str]:
    config = work.layout.git_config(repo)
    config.write_text(git.configuration(repo), encoding="utf-8")
    return git.environment(work.build_environment(), config)
