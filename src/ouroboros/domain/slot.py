"""Slots: the one module that derives every name that belongs to a slot.

A slot is known by its number alone. Its identity, alias, host name, ports, database, units, OS
user and directories all follow from that number and the pool's configuration, and nothing else
in the house spells one of them. Text is parsed strictly: what is not exactly a configured slot
is refused, never repaired.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ouroboros.domain.errors import BadInput

_SLOT_ID = re.compile(r"preview-([1-9][0-9]{0,2})")
_SLOT_ALIAS = re.compile(r"preview([1-9][0-9]{0,2})")
_RETIRED = re.compile(r"app_preview_[1-9][0-9]{0,2}__(?:old|off)_[0-9]+")
_CHECKPOINT = re.compile(r"app_preview_([1-9][0-9]{0,2})__at_([0-9]+)")
_DOMAIN = re.compile(
    r"(?=.{1,200}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)

MOST_STANDBYS = 4
DEFAULT_SLOT_IDS = "preview-1,preview-2,preview-3"
DEFAULT_WEB_PORT_BASE = 3100
DEFAULT_API_PORT_BASE = 8100


@dataclass(frozen=True, slots=True, order=True)
class SlotDatabase:
    """The database of one slot: the only kind of database a destructive call accepts.

    It is made from a slot's number, never from text, so no string can ever name a victim.
    """

    slot_number: int

    def __post_init__(self) -> None:
        if type(self.slot_number) is not int or not 1 <= self.slot_number <= 999:
            raise BadInput("invalid_slot", f"{self.slot_number!r} is not a slot number (1 to 999)")

    @property
    def name(self) -> str:
        """The database's name, which is also the name of the only role that may enter it."""
        return f"app_preview_{self.slot_number}"

    @property
    def role(self) -> str:
        """The login role of the slot; pg_hba's `sameuser` rule wants it to equal the name."""
        return self.name

    @property
    def standby(self) -> str:
        """The clone that waits to become the slot's database at the next reset."""
        return f"{self.name}__next"

    @property
    def standbys(self) -> tuple[str, ...]:
        """The names of all standbys that a slot can have, the next one first."""
        return (self.standby, *(f"{self.standby}_{n}" for n in range(2, MOST_STANDBYS + 1)))

    @property
    def making(self) -> str:
        """A clone that is not complete yet, and that nobody may enter."""
        return f"{self.name}__mk"

    def retired(self, reset_id: int) -> str:
        """The name of a database that a reset replaced, until the worker has dropped it."""
        return f"{self.name}__old_{reset_id}"

    def checkpoint(self, publish_number: int) -> str:
        """The state that a publish with migrations found, kept for going back to it."""
        return f"{self.name}__at_{publish_number}"

    def displaced(self, publish_number: int) -> str:
        """The name of a database that a failed publish migrated, until it is dropped."""
        return f"{self.name}__off_{publish_number}"


def is_retired(name: str) -> bool:
    """Whether a name was made by `SlotDatabase.retired` or `displaced`."""
    return _RETIRED.fullmatch(name) is not None


def checkpoint_number(name: str) -> tuple[int, int] | None:
    """Slot and publish number in a name made by `SlotDatabase.checkpoint`; None for others."""
    match = _CHECKPOINT.fullmatch(name)
    return (int(match.group(1)), int(match.group(2))) if match else None


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One slot of the pool: preview-`number` under a domain and two port bases."""

    number: int
    domain: str = "localhost"
    web_port_base: int = DEFAULT_WEB_PORT_BASE
    api_port_base: int = DEFAULT_API_PORT_BASE

    @property
    def id(self) -> str:
        """The identity that is stored and shown everywhere."""
        return f"preview-{self.number}"

    @property
    def alias(self) -> str:
        """The short form that is accepted as input and used in host and unit names."""
        return f"preview{self.number}"

    @property
    def host_name(self) -> str:
        """The name by which visitors reach the slot through the router."""
        return f"{self.alias}.{self.domain}"

    @property
    def web_port(self) -> int:
        """The port of the slot's web surface on 127.0.0.1."""
        return self.web_port_base + self.number

    @property
    def api_port(self) -> int:
        """The port of the slot's backend on 127.0.0.1."""
        return self.api_port_base + self.number

    @property
    def database(self) -> SlotDatabase:
        """The slot's database."""
        return SlotDatabase(self.number)

    @property
    def web_unit(self) -> str:
        """The systemd unit of the slot's web surface, without its suffix."""
        return f"ouroboros-web@{self.alias}"

    @property
    def backend_unit(self) -> str:
        """The systemd unit of the slot's backend, without its suffix."""
        return f"ouroboros-backend@{self.alias}"

    @property
    def candidate_unit(self) -> str:
        """The systemd unit of a backend that is being tried, without its suffix."""
        return f"ouroboros-candidate@{self.alias}"

    @property
    def candidate_port(self) -> int:
        """Where systemd keeps the private listener of a backend that is being tried."""
        return self.api_port + 1000

    @property
    def os_user(self) -> str:
        """The OS user that the slot's processes run as where there is systemd."""
        return f"ouroboros-{self.alias}"

    @property
    def web_root(self) -> str:
        """The slot's web root, relative to the checkout or to `/srv/oroboros/current`."""
        return f"infra/web-preview-{self.number}"

    @property
    def web_env_file(self) -> str:
        """The environment file of the web unit, relative to the checkout."""
        return f"infra/systemd/env/web-{self.alias}.env"

    @property
    def backend_env_file(self) -> str:
        """The environment file of the backend unit, relative to the checkout."""
        return f"infra/systemd/env/backend-{self.alias}.env"

    @property
    def backend_url(self) -> str:
        """Where the slot's backend answers, always by the literal loopback address."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def web_url(self) -> str:
        """Where the slot's surface answers without a router."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def preview_url(self) -> str:
        """The address for people.

        On `localhost` there need be no router, so it carries the surface's port; the host name
        stays the slot's own, because cookies are kept by host and not by port.
        """
        if self.domain == "localhost":
            return f"http://{self.host_name}:{self.web_port}"
        return f"https://{self.host_name}"


@dataclass(frozen=True, slots=True)
class SlotPool:
    """The fixed pool of slots, in the order of their numbers."""

    slots: tuple[Slot, ...]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self.slots)

    def __len__(self) -> int:
        return len(self.slots)

    def parse(self, text: str) -> Slot:
        """Read a slot id or its alias.

        Raises `invalid_slot` for anything that is not exactly one of the pool's.
        """
        match = _SLOT_ID.fullmatch(text) or _SLOT_ALIAS.fullmatch(text)
        if match:
            number = int(match.group(1))
            for slot in self.slots:
                if slot.number == number:
                    return slot
        known = ", ".join(slot.id for slot in self.slots)
        raise BadInput(
            "invalid_slot",
            f"{text[:80]!r} is not one of the configured slots",
            f"use one of: {known}",
        )

    def by_number(self, number: int) -> Slot:
        """The slot with this number; raises `invalid_slot`."""
        return self.parse(f"preview-{number}")


def make_pool(
    slot_ids_csv: str = DEFAULT_SLOT_IDS,
    domain: str = "localhost",
    web_port_base: int = DEFAULT_WEB_PORT_BASE,
    api_port_base: int = DEFAULT_API_PORT_BASE,
) -> SlotPool:
    """Make the pool from its configuration.

    `slot_ids_csv` lists identities (no aliases), for example `preview-1,preview-2`. Raises
    `invalid_configuration` for a malformed or doubled id, a domain that is no host name, and
    ports that leave 1024 to 65535 or would be used twice.
    """
    numbers = []
    for item in slot_ids_csv.split(","):
        match = _SLOT_ID.fullmatch(item)
        if match is None:
            raise _misconfigured("SLOT_IDS_CSV", f"{item!r} is not of the form preview-<n>")
        numbers.append(int(match.group(1)))
    if len(set(numbers)) != len(numbers):
        raise _misconfigured("SLOT_IDS_CSV", "a slot is listed twice")
    if not _DOMAIN.fullmatch(domain):
        raise _misconfigured("OUROBOROS_DOMAIN", f"{domain!r} is not a lower-case host name")
    slots = tuple(Slot(n, domain, web_port_base, api_port_base) for n in sorted(numbers))
    ports = [slot.web_port for slot in slots] + [slot.api_port for slot in slots]
    if min(ports) < 1024 or max(ports) > 65535:
        raise _misconfigured("OUROBOROS_WEB_PORT_BASE", "a slot's port is not in 1024 to 65535")
    if len(set(ports)) != len(ports):
        raise _misconfigured("OUROBOROS_API_PORT_BASE", "web and API ports of slots overlap")
    return SlotPool(slots)


def _misconfigured(key: str, problem: str) -> BadInput:
    return BadInput("invalid_configuration", f"{key}: {problem}", details={"key": key})
