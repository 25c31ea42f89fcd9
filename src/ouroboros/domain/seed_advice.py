"""Advice about seeds: what makes one slow, and where on earth it is another day now."""

from datetime import datetime

_INSERTS_WORTH_A_WORD = 1000


def advise(name: str, inserts: int, took_s: float) -> list[str]:
    """Hints about a seed file with this many INSERT statements that took `took_s` to load."""
    if inserts < _INSERTS_WORTH_A_WORD:
        return []
    return [
        f"{name} has {inserts} INSERT statements and took {took_s:.1f} s; COPY … FROM stdin loads"
        " the same rows about 15 times faster (pg_dump writes it by default)"
    ]


def date_differs_in(now: datetime) -> str:
    """A time zone in which the date is not the date of `now` in UTC, as PostgreSQL names it.

    UTC+14 and UTC-12 are the ends of the calendar: it is always another day in one of them.
    """
    return "Pacific/Kiritimati" if now.hour >= 12 else "Etc/GMT+12"
