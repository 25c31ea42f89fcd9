"""Checks a history of lease operations: `python history_checker.py DIRECTORY`.

It knows nothing of the code that made the history and imports none of it. The directory holds
files of JSON lines of four kinds:

`ops-*.jsonl`, from the clients, one line an operation that came back:
    {"op", "run", "begin_ns", "end_ns", "ok", "slot"?, "fence"?, "why"?}
    The times are of one clock for all processes (CLOCK_MONOTONIC). `ok` is true when the control
    plane agreed, false when it refused, null when nobody knows (the connection broke).
`grants.jsonl`, the control plane's own record in its order: {"id", "slot", "run", "fence"}
`writes.jsonl`, what the guarded resource took, in its order: {"id", "slot", "run", "fence"}
`seen.jsonl`, what an onlooker saw a slot serve, in its order: {"at_ns", "slot", "fence"}

An operation happened at some instant between its begin and its end. An agreed operation that
names a fence proves that the lease was held at that instant, and a lease is held without a gap
between two such proofs. `release` and `expire` are the last instant of theirs.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

SHOWN = 20
ENDS = ("release", "expire")


class Proof(NamedTuple):
    """An instant somewhere in [begin, end] at which a run held a slot under a fence."""

    begin_ns: int
    end_ns: int
    fence: int
    run: str
    op: str


def check(directory: Path) -> tuple[list[str], dict[str, int]]:
    """The violations found in a history, and how much of it there was."""
    proofs: dict[str, list[Proof]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for op in _read_all(directory.glob("ops-*.jsonl")):
        _count(counts, op)
        if op["ok"] and op.get("fence") is not None:
            proofs[op["slot"]].append(
                Proof(op["begin_ns"], op["end_ns"], op["fence"], op["run"], op["op"])
            )
    grants = _by_slot(_read(directory / "grants.jsonl"))
    writes = _by_slot(_read(directory / "writes.jsonl"))
    seen = _by_slot(_read(directory / "seen.jsonl"))
    for name, found in (("grants", grants), ("writes", writes), ("seen", seen)):
        counts[name] = sum(map(len, found.values()))
    violations = [
        *_fences_of_grants_rise(grants),
        *_every_proof_was_granted(proofs, grants),
        *_holdings_do_not_overlap(proofs),
        *_no_run_holds_two_slots(proofs),
        *_nothing_succeeds_under_an_old_fence(proofs),
        *_nothing_succeeds_after_the_end(proofs),
        *_fences_never_fall("a write landed", writes),
        *_fences_never_fall("a slot served", seen),
        *_every_write_was_granted(writes, grants),
    ]
    return violations, dict(counts)


def _fences_of_grants_rise(grants: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for slot, listed in grants.items():
        for before, after in pairwise(listed):
            if after["fence"] <= before["fence"]:
                yield f"{slot}: fence {after['fence']} was granted after {before['fence']}"


def _every_proof_was_granted(
    proofs: dict[str, list[Proof]], grants: dict[str, list[dict[str, Any]]]
) -> Iterator[str]:
    for slot, listed in proofs.items():
        holders = {grant["fence"]: grant["run"] for grant in grants.get(slot, ())}
        for proof in listed:
            if holders.get(proof.fence) != proof.run:
                yield (
                    f"{slot}: {proof.op} of {proof.run} succeeded under fence {proof.fence}, "
                    f"which was granted to {holders.get(proof.fence)}"
                )


def _holdings_do_not_overlap(proofs: dict[str, list[Proof]]) -> Iterator[str]:
    """The double lease: two runs that both certainly held one slot at one instant."""
    for slot, listed in proofs.items():
        latest: tuple[int, str] | None = None
        for begin_ns, end_ns, name in sorted(_certain_holdings(listed)):
            if latest is not None and begin_ns <= latest[0]:
                yield f"{slot}: {latest[1]} and {name} held it at once"
            if latest is None or end_ns > latest[0]:
                latest = end_ns, name


def _no_run_holds_two_slots(proofs: dict[str, list[Proof]]) -> Iterator[str]:
    of_run: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for slot, listed in proofs.items():
        for begin_ns, end_ns, name in _certain_holdings(listed):
            of_run[name.split(" ")[0]].append((begin_ns, end_ns, f"{slot} ({name})"))
    for run, holdings in of_run.items():
        holdings.sort()
        for before, after in pairwise(holdings):
            if after[0] <= before[1]:
                yield f"{run} held {before[2]} and {after[2]} at once"


def _certain_holdings(listed: list[Proof]) -> list[tuple[int, int, str]]:
    """For each fence the time from its first proof's end to its last proof's begin."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    names: dict[int, str] = {}
    for proof in listed:
        first[proof.fence] = min(first.get(proof.fence, proof.end_ns), proof.end_ns)
        last[proof.fence] = max(last.get(proof.fence, proof.begin_ns), proof.begin_ns)
        names[proof.fence] = f"{proof.run} (fence {proof.fence})"
    return [(first[f], last[f], names[f]) for f in first if first[f] <= last[f]]


def _nothing_succeeds_under_an_old_fence(proofs: dict[str, list[Proof]]) -> Iterator[str]:
    """Whatever began after a higher fence was proven must have been refused."""
    for slot, listed in proofs.items():
        ends = sorted(listed, key=lambda proof: proof.end_ns)
        position, highest = 0, 0
        for proof in sorted(listed):
            while position < len(ends) and ends[position].end_ns < proof.begin_ns:
                highest = max(highest, ends[position].fence)
                position += 1
            if proof.fence < highest:
                yield (
                    f"{slot}: {proof.op} of {proof.run} succeeded under fence {proof.fence} "
                    f"after fence {highest} was held"
                )


def _nothing_succeeds_after_the_end(proofs: dict[str, list[Proof]]) -> Iterator[str]:
    for slot, listed in proofs.items():
        ended = {p.fence: p.end_ns for p in listed if p.op in ENDS}
        for proof in listed:
            if proof.begin_ns > ended.get(proof.fence, proof.begin_ns):
                yield (
                    f"{slot}: {proof.op} of {proof.run} succeeded under fence {proof.fence} "
                    "after the lease's end"
                )


def _fences_never_fall(what: str, listed: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for slot, rows in listed.items():
        for before, after in pairwise(rows):
            if after["fence"] < before["fence"]:
                yield f"{slot}: {what} under fence {after['fence']} after {before['fence']}"


def _every_write_was_granted(
    writes: dict[str, list[dict[str, Any]]], grants: dict[str, list[dict[str, Any]]]
) -> Iterator[str]:
    for slot, rows in writes.items():
        holders = {grant["fence"]: grant["run"] for grant in grants.get(slot, ())}
        for row in rows:
            if holders.get(row["fence"]) != row["run"]:
                yield f"{slot}: {row['run']} wrote under fence {row['fence']}, not its own"


def _count(counts: Counter[str], op: dict[str, Any]) -> None:
    counts["ops"] += 1
    outcome = {True: "agreed", False: "refused", None: "unknown"}[op["ok"]]
    counts[outcome] += 1
    counts[f"{op['op']} {outcome}"] += 1


def _by_slot(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["slot"]].append(row)
    return found


def _read_all(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield from _read(path)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file; a last line without its end belongs to a process that was killed."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def main() -> int:
    """Check the directory named on the command line; 1 when the history cannot have happened."""
    violations, counts = check(Path(sys.argv[1]))
    for text in violations[:SHOWN]:
        print(f"VIOLATION {text}")
    print(json.dumps({"violations": len(violations), **counts}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
