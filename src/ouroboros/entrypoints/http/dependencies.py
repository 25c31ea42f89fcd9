"""What every route is handed."""

from typing import Annotated

from fastapi import Depends, Request

from ouroboros.bootstrap import Installation
from ouroboros.domain.slot import Slot


def installation_of(request: Request) -> Installation:
    """The installation this application serves."""
    installation: Installation = request.app.state.installation
    return installation


At = Annotated[Installation, Depends(installation_of)]


def slot_of(slot: str, at: At) -> Slot:
    """The slot named in the path, by id or alias; raises `invalid_slot`."""
    return at.settings.pool.parse(slot)


PathSlot = Annotated[Slot, Depends(slot_of)]
