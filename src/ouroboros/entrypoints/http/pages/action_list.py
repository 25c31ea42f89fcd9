"""The actions of the dashboard as declared values: what each says it will do, asks for and does.

It is apart from `actions`, which shows and performs them, so that the list can be read as one.
"""

from typing import Any

from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal, Scope
from ouroboros.domain.errors import BadInput, Refused, WaitingForSlot
from ouroboros.domain.identifiers import branch_of, parse_ref, parse_run_id
from ouroboros.domain.reset import choose_source
from ouroboros.domain.slot import Slot
from ouroboros.entrypoints.http.pages.action import Action, Field, Form, Subject
from ouroboros.plans.git import parse_repository


def _slot(at: Installation, subject: Subject) -> Slot:
    if subject.slot is None:
        raise BadInput("invalid_request", "name the slot")
    return at.settings.pool.parse(subject.slot["slot_id"])


def _page_of(slot: Slot) -> str:
    return f"/slots/{slot.id}"


def _sources(at: Installation, subject: Subject) -> list[Field]:
    """The seeds and snapshots one may choose from, the present one first."""
    slot = subject.slot or {}
    current = f"snapshot:{slot['snapshot_version']}" if slot.get("snapshot_version") else (
        f"seed:{slot['seed_version']}" if slot.get("seed_version") else "")  # fmt: skip
    found = [
        (f"{each['strategy']}:{each['version']}", f"{each['strategy']} {each['version']}")
        for each in at.databases.sources()
    ]
    return [Field("source", "State", current or (found[0][0] if found else ""), tuple(found))]


def _chosen_source(form: Form) -> Any:
    strategy, _, version = form.get("source", "").partition(":")
    return choose_source(
        strategy,
        version if strategy == "seed" else None,
        version if strategy == "snapshot" else None,
    )


def _told_publish(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    held = f"the slot of run {subject.run}" if subject.run else "a slot"
    lines = [
        f"The commit is built, migrated, started and checked in {held}.",
        "Visitors are switched over only when it is ready; if it fails, they keep what they have.",
    ]
    if slot.get("state") == "building":
        lines.append(f"{slot['latest_publish']}, which is being built, is superseded.")
    return lines


def _publish_fields(at: Installation, subject: Subject) -> list[Field]:
    last = at.publishes.list(run_id=subject.run or None, limit=1)
    known = last or at.publishes.list(limit=1)
    branch = branch_of(subject.run, at.settings.branch_prefix) if subject.run else ""
    ref = last[0]["ref"] if last else (subject.slot or {}).get("branch") or branch
    return [
        Field("repo", "Repository", known[0]["repo"] if known else ""),
        Field("ref", "Branch, tag or commit", ref),
    ]


def _publish(at: Installation, subject: Subject, form: Form, _by: Principal) -> str:
    run_id = parse_run_id(subject.run)
    repo, ref = parse_repository(form.get("repo", "")), parse_ref(form.get("ref", ""))
    return f"/publishes/{at.publishes.queue(run_id, repo, ref)}"


def _told_lease(at: Installation, _subject: Subject) -> list[str]:
    free = [slot["slot_id"] for slot in at.slots.all() if slot["state"] == "free"]
    where = f"Leases {free[0]} to the run." if free else "No slot is free: the run waits its turn."
    return [where, "The slot's database is reset to the state you choose; what it holds is lost."]


def _lease_fields(at: Installation, subject: Subject) -> list[Field]:
    return [Field("run_id", "Run"), *_sources(at, subject)]


def _lease(at: Installation, _subject: Subject, form: Form, _by: Principal) -> str:
    run_id = parse_run_id(form.get("run_id", "").strip())
    branch = branch_of(run_id, at.settings.branch_prefix)
    try:
        got = at.allocator.allocate(run_id, branch, _chosen_source(form))
    except WaitingForSlot:
        return f"/runs/{run_id}"
    return _page_of(got.lease.slot)


def _told_reset(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    return [
        f"Everything in {slot.get('db_name')} is replaced; what was changed since its last reset "
        "is lost.",
        "Open connections are ended. The page and the backend go on running.",
        "The reset is recorded with its fingerprint.",
    ]


def _reset(at: Installation, subject: Subject, form: Form, _by: Principal) -> str:
    slot, source = _slot(at, subject), _chosen_source(form)
    with at.slots.exclusive_work(slot):
        holder = at.slots.holder(slot)
        if (holder[0] if holder else "") != ((subject.slot or {}).get("run_id") or ""):
            raise Refused("lease_lost", f"{slot.id} changed hands meanwhile", "open it again")
        run_id, fence = holder or (None, None)
        report = at.databases.reset(slot, source, run_id=run_id, fence=fence)
        shown_under = fence if fence is not None else int((subject.slot or {})["fence"])
        at.web_roots.tell_data(slot, shown_under, report.fingerprint)
    return _page_of(slot)


_WHICH_DATABASE = (("", "as it is now"), ("yes", "as that release left it"))


def _told_rollback(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    lines = [
        "The release is started beside the one that is served, checked, and then shown.",
        "If that fails, visitors keep what they have. You can go forward again the same way.",
        "With its database: what is in the database now is kept, and comes back with its release.",
    ]
    if slot.get("state") == "building":
        lines.append(f"{slot['latest_publish']}, which is being built, is superseded.")
    return lines


def _rollback_fields(at: Installation, subject: Subject) -> list[Field]:
    kept = [each for each in at.rollback.list(_slot(at, subject)) if each["kept"]]
    choices = [
        (each["publish_id"], f"{each['publish_id']} · {each['commit_sha'][:10]} · {each['ref']}")
        for each in kept
        if not each["live"]
    ]
    return [
        Field("to", "Release", choices[0][0] if choices else "", tuple(choices)),
        Field(
            "database", "Database", "", (("", "as it is now"), ("yes", "as that release left it"))
        ),
    ]


def _rollback(at: Installation, subject: Subject, form: Form, _by: Principal) -> str:
    to, with_database = form.get("to") or None, form.get("database") == "yes"
    return f"/publishes/{at.rollback.queue(_slot(at, subject), to, with_database=with_database)}"


def _told_snapshot(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    return [
        f"The present state of {slot.get('db_name')} is kept under a name; any slot can be reset "
        "to it.",
        "Its connections pause for a moment.",
    ]


def _snapshot_fields(_at: Installation, _subject: Subject) -> list[Field]:
    return [Field("name", "Name, for example before-checkout")]


def _snapshot(at: Installation, subject: Subject, form: Form, _by: Principal) -> str:
    slot = _slot(at, subject)
    with at.slots.exclusive_work(slot):
        at.databases.snapshot(slot, form.get("name", "").strip(), archive=False)
    return "/databases"


def _told_extend(at: Installation, subject: Subject) -> list[str]:
    minutes = at.settings.lease_ttl_s // 60
    return [f"The lease of run {subject.run} ends {minutes} minutes from now at the earliest."]


def _extend(at: Installation, subject: Subject, _form: Form, _by: Principal) -> str:
    slot = _slot(at, subject)
    at.keeper.heartbeat(slot, parse_run_id(subject.run))
    return _page_of(slot)


def _told_release(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    lines = [f"The preview at {slot.get('url')} goes away and its backend is stopped."]
    if slot.get("state") == "building":
        lines.insert(0, f"{slot['latest_publish']}, which is being built, is cancelled.")
    return [
        *lines,
        "The slot goes to the next run that waits, which resets the database; "
        "what is in it now is lost.",
    ]


def _release(at: Installation, subject: Subject, _form: Form, _by: Principal) -> str:
    slot = _slot(at, subject)
    at.keeper.release(slot, parse_run_id(subject.run))
    return _page_of(slot)


def _told_lock(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    held = (
        f"Run {subject.run} keeps it to the end of its lease; then nobody"
        if subject.run
        else "Nobody"
    )
    return [
        f"{held} is given {slot.get('slot_id')} until it is unlocked.",
        "What it serves, its backend and its database stay as they are.",
    ]


def _lock_fields(_at: Installation, _subject: Subject) -> list[Field]:
    return [Field("reason", "Why, for those who see it")]


def _lock(at: Installation, subject: Subject, form: Form, by: Principal) -> str:
    slot = _slot(at, subject)
    at.locker.lock(slot, form.get("reason", ""), by.name)
    return _page_of(slot)


def _told_unlock(_at: Installation, subject: Subject) -> list[str]:
    slot = subject.slot or {}
    return [f"{slot.get('slot_id')} is given to runs again, at once if one waits and it is free."]


def _unlock(at: Installation, subject: Subject, _form: Form, by: Principal) -> str:
    slot = _slot(at, subject)
    at.locker.unlock(slot, by.name)
    return _page_of(slot)


def _told_cancel(_at: Installation, subject: Subject) -> list[str]:
    publish = subject.publish or {}
    return [
        f"The build of {publish.get('publish_id')} and everything it started is ended.",
        "What was served before it stays.",
    ]


def _cancel(at: Installation, subject: Subject, _form: Form, _by: Principal) -> str:
    if subject.publish is None:
        raise BadInput("invalid_request", "name the publish")
    publish_id = str(subject.publish["publish_id"])
    at.publishes.cancel(publish_id)
    return f"/publishes/{publish_id}"


def _told_leave(_at: Installation, subject: Subject) -> list[str]:
    return [f"Run {subject.run_id} loses its place in the queue."]


def _leave(at: Installation, subject: Subject, _form: Form, _by: Principal) -> str:
    at.leases.leave_queue(parse_run_id(subject.run_id))
    return "/"


def _told_approve(at: Installation, subject: Subject) -> list[str]:
    found = at.pull_requests.get(parse_run_id(subject.run_id))
    return [
        f"Commit {found.head_sha} of pull request {found.number} of {found.repository} comes from "
        "a fork: a stranger's code, which will be built and run in a slot.",
        "Only this commit is approved; the next one waits again.",
    ]


def _approve_fields(at: Installation, subject: Subject) -> list[Field]:
    found = at.pull_requests.get(parse_run_id(subject.run_id))
    return [Field("commit", "The commit that you have looked at", found.head_sha)]


def _approve(at: Installation, subject: Subject, form: Form, by: Principal) -> str:
    run_id = parse_run_id(subject.run_id)
    at.pull_requests.approve(run_id, form.get("commit", "").strip(), by.name)
    return f"/runs/{run_id}"


def _told_revoke(_at: Installation, subject: Subject) -> list[str]:
    return [f"Whoever uses the token {subject.token_id} is refused from now on."]


def _revoke(at: Installation, subject: Subject, _form: Form, _by: Principal) -> str:
    at.tokens.revoke(subject.token_id)
    return "/access"


_DECLARED = (
    Action("lease", "Lease a slot", "Lease it", _told_lease, _lease, _lease_fields),
    Action("publish", "Publish into", "Publish", _told_publish, _publish, _publish_fields),
    Action("reset", "Reset the database of", "Reset it", _told_reset, _reset, _sources,
           destroys=True),
    Action("rollback", "Roll back", "Roll back", _told_rollback, _rollback, _rollback_fields),
    Action("snapshot", "Keep the database of", "Keep it", _told_snapshot, _snapshot,
           _snapshot_fields),
    Action("extend", "Extend the lease of", "Extend it", _told_extend, _extend),
    Action("release", "Release", "Release it", _told_release, _release, destroys=True),
    Action("lock", "Lock", "Lock it", _told_lock, _lock, _lock_fields, scope=Scope.OPERATE),
    Action("unlock", "Unlock", "Unlock it", _told_unlock, _unlock, scope=Scope.OPERATE),
    Action("cancel", "Cancel a publish of", "Cancel it", _told_cancel, _cancel, destroys=True),
    Action("leave-queue", "Take a run out of the queue", "Take it out", _told_leave, _leave),
    Action("approve", "Approve a fork's commit", "Approve it", _told_approve, _approve,
           _approve_fields, scope=Scope.OPERATE),
    Action("revoke", "Revoke a token", "Revoke it", _told_revoke, _revoke, scope=Scope.OPERATE,
           destroys=True),
)  # fmt: skip
ACTIONS = {action.name: action for action in _DECLARED}
