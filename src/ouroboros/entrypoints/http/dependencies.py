"""What every route is handed."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Annotated, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from fastapi import Depends, Request

from ouroboros.bootstrap import Installation
from ouroboros.domain.access import Principal
from ouroboros.domain.slot import Slot

T = TypeVar("T")
P = ParamSpec("P")

_MOST_WAITING = 300  # for a slot, a step, a turn or a database; each holds a thread
_limiter: RunVar[CapacityLimiter] = RunVar("waiting")


def installation_of(request: Request) -> Installation:
    """The installation this application serves."""
    installation: Installation = request.app.state.installation
    return installation


At = Annotated[Installation, Depends(installation_of)]


def slot_of(slot: str, at: At) -> Slot:
    """The slot named in the path, by id or alias; raises `invalid_slot`."""
    return at.settings.pool.parse(slot)


async def waiting(act: Callable[[], T]) -> T:
    """Do what may wait for long in a thread of its own kind, so that what is quick has one, too."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(_MOST_WAITING)
        _limiter.set(limiter)
    return await run_sync(act, limiter=limiter)


def may_wait(endpoint: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """An endpoint that may wait for long, done by `waiting`."""

    @wraps(endpoint)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await waiting(partial(endpoint, *args, **kwargs))

    return run


def bound_run_of(request: Request) -> str | None:
    """The run that whoever asks is bound to by its token; None for those who may do it for any."""
    principal: Principal = request.state.principal
    return principal.run_id


BoundRun = Annotated[str | None, Depends(bound_run_of)]
"""Work that waits for its turn is done for this run, if it holds the slot then."""

PathSlot = Annotated[Slot, Depends(slot_of)]
