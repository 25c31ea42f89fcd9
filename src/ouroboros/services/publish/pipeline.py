"""The pipeline of a publish: a declared list of steps, each with what undoes it.

A step may be run again: after a crash the worker skips those recorded as done and goes on with
the first that is not. Steps whose effect lives in processes (`lasting=False`) are done again,
because the processes may have died with the worker. A failed step leaves the preview that was
served before: what was done is undone in reverse order.
"""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.publish_log import PUBLISH_LOG
from ouroboros.adapters.release_files import remove_tree
from ouroboros.domain.errors import Failed, PreviewError
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.publish import Publish, PublishState, StepName
from ouroboros.services.publish.backend import install_backend
from ouroboros.services.publish.frontend import build_frontend
from ouroboros.services.publish.made_of import MADE_OF
from ouroboros.services.publish.migrate import migrate_slot, undo_migrate
from ouroboros.services.publish.restart import check_readiness, restart_backend, undo_restart
from ouroboros.services.publish.rollback import go_back_to_state, undo_go_back
from ouroboros.services.publish.smoke import check_smoke
from ouroboros.services.publish.source import lay_out_source
from ouroboros.services.publish.switch import switch_visitors, undo_switch
from ouroboros.services.publish.work import PublishStopped, Work

_STATES = {
    "superseded": PublishState.SUPERSEDED,
    "cancelled": PublishState.CANCELLED,
    "stale_fence": PublishState.CANCELLED,
}
_OF_THE_CONTROL_PLANE = ("control_plane_unreachable", "control_plane_busy")
_PASSING = (
    *_OF_THE_CONTROL_PLANE,
    "database_unavailable",
    "database_busy",
    "database_timed_out",
    "slot_databases_busy",
    "sessions_remain",
    "slot_busy",
    "supervisor_unreachable",
    "supervisor_timed_out",
    "disk_full",
)
"""What keeps something from being undone now, and will pass."""
_PASSING_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_UNDO_LIMIT_S = 900.0
_STEWARD_GONE = ("steward_failed", "steward_unreachable", "supervisor_unreachable")
_STEWARD_BACK_S = 2.0
_MOST_ATTEMPTS = 5


def _nothing_to_undo(work: Work) -> None:
    """What the step made lies in the release's directory, which is removed as a whole."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name in the step log, a title for people, what it does and what undoes it."""

    name: StepName
    title: str
    do: Callable[[Work], dict[str, Any]]
    undo: Callable[[Work], None] = _nothing_to_undo
    lasting: bool = True


PIPELINE = (
    Step(StepName.SOURCE, "Lay out the commit", lay_out_source),
    Step(StepName.FRONTEND, "Build the front end", build_frontend),
    Step(StepName.BACKEND, "Install the backend", install_backend),
    Step(StepName.MIGRATE, "Migrate the slot's database", migrate_slot, undo_migrate),
    Step(StepName.RESTART, "Start the backend", restart_backend, undo_restart, lasting=False),
    Step(StepName.READINESS, "Readiness gate", check_readiness, lasting=False),
    Step(StepName.SMOKE, "Smoke check", check_smoke, lasting=False),
    Step(StepName.SWITCH, "Switch visitors over", switch_visitors, undo_switch, lasting=False),
)
"""The steps in the order of the contract."""

ROLLBACK = (
    Step(StepName.MIGRATE, "Go back to the database's state", go_back_to_state, undo_go_back),
    Step(StepName.RESTART, "Start the backend", restart_backend, undo_restart, lasting=False),
    Step(StepName.READINESS, "Readiness gate", check_readiness, lasting=False),
    Step(StepName.SWITCH, "Switch visitors over", switch_visitors, undo_switch, lasting=False),
)
"""Going back to a release that is kept: the same switch, with nothing to build."""


def pipeline_of(publish: Publish) -> Sequence[Step]:
    """The steps of a publish: building a release, or going back to one."""
    return PIPELINE if publish.rollback_to is None else ROLLBACK


def run_publish(work: Work) -> PublishState:
    """Run or continue one publish to its end; the end is recorded before this returns.

    Never raises for a failed publish: the failure stands in the publish's row, its step and its
    log. Raises `control_plane_unreachable` when the record itself cannot be written; the publish
    is then continued when the worker has PostgreSQL back. An end that is recorded is final: a
    worker whose connection broke while it wrote the end finds it, and undoes nothing.
    """
    pipeline = pipeline_of(work.publish)
    recorded = work.store.get(work.publish.publish_id)
    if PublishState(recorded["state"]).is_final:
        return PublishState(recorded["state"])
    done = {row["step"]: row for row in work.store.steps(work.publish.publish_id)}
    work.results |= {name: row["result"] for name, row in done.items()}
    if "ending" in recorded["details"]:
        return _undo(work, pipeline, recorded["details"]["ending"])
    failure = _run_steps(work, pipeline, done) or _become_ready(work, pipeline)
    return PublishState.READY if failure is None else _end(work, pipeline, *failure)


def _run_steps(
    work: Work, pipeline: Sequence[Step], done: Mapping[str, Mapping[str, Any]]
) -> tuple[Step, PreviewError] | None:
    """Run what is not done yet; the step that failed with its error, or None."""
    for position, step in enumerate(pipeline, start=1):
        row = done.get(step.name)
        if row is not None and row["state"] == "done" and step.lasting:
            continue
        try:
            _run_step_patiently(work, step, position)
        except PreviewError as error:
            if error.code in _OF_THE_CONTROL_PLANE:
                raise
            return step, error
        except OSError as error:
            return step, Failed("host_error", str(error), "df -h")
        except Exception as error:  # noqa: BLE001  branch code must not keep a slot for ever
            return step, Failed("internal_error", repr(error), "report it")
    return None


def _become_ready(work: Work, pipeline: Sequence[Step]) -> tuple[Step, PreviewError] | None:
    """Record the publish as the live one, at the last instant at which it can be stopped."""
    try:
        work.delivery.finish()
        failpoint("publish.ready.before")
        work.store.finish_ready(work.publish)
        failpoint("publish.ready.recorded")
    except PreviewError as error:
        if error.code in _OF_THE_CONTROL_PLANE:
            raise
        return pipeline[-1], error
    return None


def _run_step_patiently(work: Work, step: Step, position: int) -> None:
    """Run a step, and once more when the steward ended meanwhile: that is no fault of the branch.

    systemd starts the steward again, which ends what ran for it before it takes anything new.
    """
    try:
        _run_step(work, step, position)
    except PreviewError as error:
        if error.code not in _STEWARD_GONE:
            raise
        _note(work, f"once more in {_STEWARD_BACK_S:g} s")
        time.sleep(_STEWARD_BACK_S)
        _run_step(work, step, position)


def _run_step(work: Work, step: Step, position: int) -> None:
    work.watch.require_wanted()
    attempts = work.store.begin_step(work.publish, step.name, position)
    _tell_visitors(work, step.title, position)
    work.log.step(step.name, step.title)
    failpoint(f"publish.{step.name}.before")
    try:
        _require_hope(step, attempts)
        result = step.do(work)
    except PreviewError as error:
        _note(work, f"FAILED {error.code}: {error.message}")
        with suppress(PreviewError, OSError):
            _end_step(work, step, error.document(), succeeded=False)
        if not isinstance(error, PublishStopped):
            # What failed while PostgreSQL went away is no fault of the branch: it is begun again.
            work.store.require_unbroken(work.publish, step.name)
        raise
    work.results[step.name] = result
    failpoint(f"publish.{step.name}.after")
    _end_step(work, step, result, succeeded=True)
    failpoint(f"publish.{step.name}.recorded")


def _require_hope(step: Step, attempts: int) -> None:
    """Raise `step_interrupted` when a step was begun too often: it may be what ends the others."""
    if attempts > _MOST_ATTEMPTS:
        raise Failed(
            "step_interrupted",
            f"{step.name} was begun {_MOST_ATTEMPTS} times, and each time the worker, PostgreSQL "
            "or what ran it went away",
            "the log of the step says what it did last; ouroboros doctor",
        )


def _end(work: Work, pipeline: Sequence[Step], step: Step, error: PreviewError) -> PublishState:
    """Record that the publish ends otherwise, and why; then undo it.

    From the record on no worker goes on with it: what is undone already must not be built upon.
    """
    failpoint("publish.end.before")
    error = _cause(work, error)
    ending = {
        "state": _STATES.get(error.code, PublishState.FAILED),
        "step": step.name,
        "error": error.document(),
        "at": time.time(),
    }
    work.store.record_ending(work.publish, ending)
    failpoint("publish.end.begun")
    return _undo(work, pipeline, ending)


def _cause(work: Work, error: PreviewError) -> PreviewError:
    """A publish that is no longer wanted ends for that reason, whatever failed on the way."""
    try:
        work.watch.require_wanted()
    except PublishStopped as stopped:
        return stopped
    return error


def _undo(work: Work, pipeline: Sequence[Step], ending: Mapping[str, Any]) -> PublishState:
    """Undo what this publish did, in reverse, and record how it ended.

    Every step that was ever begun is undone, also one of a worker that was killed. What will pass
    (an outage, a full disk) is raised, so that the undoing is tried again, for a quarter of an
    hour; what cannot be undone for another reason is told with the failure (`not_undone`).
    """
    state, step = PublishState(ending["state"]), StepName(ending["step"])
    begun = {row["step"] for row in work.store.steps(work.publish.publish_id)}
    not_undone = []
    for undone in reversed([each for each in pipeline if each.name in begun]):
        try:
            undone.undo(work)
        except Exception as trouble:
            if _will_pass(trouble, ending):
                raise
            not_undone.append({"step": undone.name, "why": str(trouble)})
            _note(work, f"undo of {undone.name}: {trouble}")
        failpoint(f"publish.{undone.name}.undone")
    document = ending["error"] | {"step": step, "log_tail": work.log.tail(step)}
    document |= {"not_undone": not_undone} if not_undone else {}
    _note(work, f"publish {state}: {document['error']} in step {step}")
    work.delivery.finish()
    # Before the record: who is told of the end finds the page saying so.
    with suppress(OSError, PreviewError):
        title = next(each.title for each in pipeline if each.name == step)
        _tell_visitors(work, title, 0, state="failed", message=document["message"])
    work.store.finish_otherwise(
        work.publish, state, step if state is PublishState.FAILED else None, document
    )
    failpoint("publish.end.recorded")
    live = work.backends.web_roots.live_release(work.publish.slot)
    if work.publish.rollback_to is None and live != work.release.resolve():
        remove_tree(work.release)
    return state


def _will_pass(trouble: Exception, ending: Mapping[str, Any]) -> bool:
    if isinstance(trouble, PreviewError):
        if trouble.code in _OF_THE_CONTROL_PLANE:
            return True
        passes = trouble.code in _PASSING
    else:
        passes = isinstance(trouble, OSError) and trouble.errno in _PASSING_ERRNO
    return passes and time.time() - ending["at"] < _UNDO_LIMIT_S


def _note(work: Work, text: str) -> None:
    """Write to the log if the disk lets us; how a publish ended must be recorded all the same."""
    with suppress(OSError):
        work.log.line(text)


def _end_step(work: Work, step: Step, result: dict[str, Any], *, succeeded: bool) -> None:
    """Record how a step ended, with the files that it left."""
    names = [f"{step.name}.log", PUBLISH_LOG, f"{step.name}.{work.publish.slot.id}.json"]
    if step.name is StepName.BACKEND:
        names.append(MADE_OF)
    artifacts = []
    for name in names:
        with suppress(FileNotFoundError):
            artifacts.append(work.log.artifact(name))
    work.store.end_step(
        work.publish, step.name, succeeded=succeeded, result=result, artifacts=artifacts
    )


def _tell_visitors(
    work: Work, title: str, position: int, state: str = "building", message: str = ""
) -> None:
    """Say on the slot's own page what is happening; raises `stale_fence`."""
    with work.under_fence():
        work.backends.web_roots.tell(
            work.publish.slot,
            work.publish.fence,
            state,
            run_id=work.publish.run_id,
            publish_id=work.publish.publish_id,
            branch=work.publish.ref,
            step=title,
            step_position=position,
            step_count=len(pipeline_of(work.publish)),
            message=message,
            log_url=f"{work.settings.dashboard_url()}/publishes/{work.publish.publish_id}",
        )
