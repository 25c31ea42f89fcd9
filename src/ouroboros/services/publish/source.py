"""Source: the worktree of the exact commit, pinned by its full id."""

from pathlib import Path
from typing import Any

from ouroboros.adapters.release_files import remove_tree
from ouroboros.domain.errors import Failed
from ouroboros.domain.identifiers import is_commit_id, parse_ref
from ouroboros.plans import git
from ouroboros.services.publish.work import Work

_READY = ".preview-source"


def lay_out_source(work: Work) -> dict[str, Any]:
    """Fetch the ref and lay out its commit; raises `ref_not_found`, `fetch_failed`."""
    publish = work.publish
    repo, ref = git.parse_repository(publish.repo), parse_ref(publish.ref)
    mirror = work.layout.mirror(repo)
    environment = _git_environment(work, repo)
    work.run(git.initialise(mirror, environment), "fetch_failed")
    commit = publish.commit_sha or _fetch(work, mirror, repo, ref, environment)
    work.store.set_commit(publish, commit)
    if not (work.release / _READY).exists():
        remove_tree(work.release)
        work.release.mkdir(parents=True)
        work.query(git.prune_worktrees(mirror, environment))
        work.run(git.add_worktree(mirror, work.source, commit, environment), "source_not_laid_out")
        (work.release / _READY).touch()
    work.log.line(f"commit {commit} of {repo}")
    return {
        "commit_sha": commit,
        "repo": repo,
        "ref": ref,
        **_trees(work, mirror, commit, environment),
    }


def _fetch(work: Work, mirror: Path, repo: str, ref: str, env: dict[str, str]) -> str:
    branch = work.runner.run(git.fetch(mirror, repo, ref, env), work.log.output)
    if not branch.succeeded and not is_commit_id(ref):
        branch = work.runner.run(git.fetch_tag(mirror, repo, ref, env), work.log.output)
    if not branch.succeeded:
        raise Failed(
            "ref_not_found",
            f"{ref} could not be fetched from {repo}",
            f"git ls-remote {repo} shows the refs that are there",
        )
    commit = work.query(git.resolve(mirror, env))
    if commit is None or not is_commit_id(commit):
        raise Failed("ref_not_found", f"{ref} of {repo} is not a commit")
    return commit


def _git_environment(work: Work, repo: str) -> dict[str, str]:
    config = work.layout.git_config(repo)
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(git.configuration(repo), encoding="utf-8")
    return git.environment(work.build_environment(), config)


def _trees(work: Work, mirror: Path, commit: str, env: dict[str, str]) -> dict[str, Any]:
    """The ids of the directories that builds depend on; equal ids hold equal files."""
    frontend = work.application.frontend
    if frontend is None:
        return {}
    return {"frontend_tree": work.query(git.tree_of(mirror, commit, frontend.dir, env))}
