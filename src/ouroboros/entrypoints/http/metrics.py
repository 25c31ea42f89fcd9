"""`GET /metrics`: the installation as numbers, for Prometheus.

What belongs to the installation is read when it is asked for, in one look at the control plane,
one at the pool of databases and one at the disk. What cannot be read is left out, and
`ouroboros_part_up` says so: numbers are wanted most when something is down.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ouroboros import __version__
from ouroboros.adapters.control.measures import Measures, Times
from ouroboros.bootstrap import Installation
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.publish import PublishState

router = APIRouter(tags=["host"])
_SLOT_STATES = ("free", "locked", "leased", "building", "ready", "failed")
_LEASE_ENDS = ("granted", "released", "expired", "evicted")
_UNDER_WAY = (PublishState.QUEUED, PublishState.RUNNING)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Everything that is measured, in the text format of Prometheus."""
    found = generate_latest(request.app.state.metrics)
    return Response(found, media_type=CONTENT_TYPE_LATEST)


def make_registry(at: Installation) -> CollectorRegistry:
    """What an application measures; its requests are added by `Traffic`."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # series of when a series began
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Parts(at))
    ProcessCollector(namespace="ouroboros_api", registry=registry)
    return registry


class _Parts(Collector):
    """The installation, part by part."""

    def __init__(self, at: Installation) -> None:
        self._parts: Mapping[str, Callable[[], Iterable[Metric]]] = {
            "control": lambda: _of_control(at.measures.read()),
            "slots": lambda: _of_slots(at.slots.all()),
            "databases": lambda: _of_databases(at.databases.pool()),
            "disk": lambda: _of_disk(at.settings.state_dir),
        }

    def collect(self) -> Iterator[Metric]:
        """Every metric that can be told now."""
        yield _gauge("build_info", "The version that runs.", ("version",), {(__version__,): 1})
        up: dict[tuple[str, ...], float] = {}
        for part, read in self._parts.items():
            try:
                yield from list(read())
                up[part,] = 1
            except (PreviewError, OSError):
                up[part,] = 0
        yield _gauge("part_up", "Whether this part of the numbers could be read.", ("part",), up)


def _of_control(seen: Measures) -> Iterator[Metric]:
    yield _gauge("queue_length", "Runs that wait for a slot.", (), {(): seen.queue_length})
    yield _gauge(
        "queue_oldest_seconds", "How long the first of them waits.", (), {(): seen.queue_oldest_s}
    )
    ends = {(end,): seen.events.get(f"lease.{end}", 0) for end in _LEASE_ENDS}
    yield _counter("leases", "Leases that were granted and that ended, by how.", ("what",), ends)
    now = {(str(state),): seen.publishes.get(state, 0) for state in _UNDER_WAY}
    yield _gauge("publishes_under_way", "Publishes that are not ended.", ("state",), now)
    oldest = {(str(state),): seen.publish_oldest_s.get(state, 0.0) for state in _UNDER_WAY}
    yield _gauge(
        "publish_oldest_seconds", "How long the oldest of them is in its state.", ("state",), oldest
    )
    final = {(str(s),): seen.publishes.get(s, 0) for s in PublishState if s.is_final}
    yield _counter("publishes", "Publishes that ended, by how.", ("state",), final)
    yield _histogram(
        "publish_seconds", "From the start of a publish to its end.", ("state",), seen.publish_times
    )
    yield _histogram(
        "publish_step_seconds", "Steps of publishes.", ("step", "state"), seen.step_times
    )
    yield _counter("resets", "Resets of databases.", ("strategy", "status"), seen.resets)
    yield _histogram(
        "reset_seconds", "Completed resets, by the path they took.", ("path",), seen.reset_times
    )
    kinds = {(kind,): count for kind, count in seen.events.items()}
    yield _counter("events", "Events that were recorded.", ("kind",), kinds)
    ages = {(host,): age for host, age in seen.worker_age_s.items()}
    yield _gauge(
        "worker_heartbeat_age_seconds", "Since the worker last went round.", ("host",), ages
    )


def _of_slots(documents: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    states: dict[tuple[str, ...], float] = {(state,): 0 for state in _SLOT_STATES}
    fences: dict[tuple[str, ...], float] = {}
    for document in documents:
        states[document["state"],] += 1
        fences[document["slot_id"],] = document["fence"]
    yield _gauge("slots", "Slots of the pool, by state.", ("state",), states)
    yield _gauge("slot_fence", "The fence of each slot's last lease.", ("slot",), fences)


def _of_databases(pool: Mapping[str, Any]) -> Iterator[Metric]:
    sizes: dict[tuple[str, ...], float] = {}
    ready: dict[tuple[str, ...], float] = {}
    for slot in pool["slots"]:
        sizes[slot["slot_id"],] = slot["bytes"] or 0
        ready[slot["slot_id"],] = float(slot["standby"]["ready_for_same"])
    yield _gauge("database_bytes", "Size of each slot's database.", ("slot",), sizes)
    yield _gauge(
        "standby_ready", "Whether the next reset of the slot to the same state is a rename.",
        ("slot",), ready,
    )  # fmt: skip
    waste = {(): len(pool["to_be_dropped"])}
    yield _gauge("databases_to_be_dropped", "Databases that resets replaced.", (), waste)
    yield _gauge("templates", "Prepared seeds and snapshots.", (), {(): len(pool["templates"])})
    failures = {(): len(pool["failures"])}
    yield _gauge(
        "database_work_failures", "Background work that failed in ten minutes.", (), failures
    )


def _of_disk(directory: os.PathLike[str]) -> Iterator[Metric]:
    facts = os.statvfs(directory)
    free, size = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
    yield _gauge("disk_free_bytes", "Room where the installation keeps its files.", (), {(): free})
    yield _gauge("disk_size_bytes", "Size of that file system.", (), {(): size})


_Values = Mapping[Any, float]
"""A number for each tuple of labels."""


def _gauge(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(f"ouroboros_{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = CounterMetricFamily(f"ouroboros_{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Times]
) -> Metric:
    family = HistogramMetricFamily(f"ouroboros_{name}", text, labels=labels)
    for each, times in values.items():
        family.add_metric(each, times.cumulative(), times.sum_s)
    return family
