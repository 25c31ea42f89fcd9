"""Write the seeds v1 and v2 of the example database; the same bytes every time.

The shed's two seasons are played through from its opening with a fixed random seed, so v2 is v1
some months later: more tools, more neighbours, more loans. The schema is what the application's
own migrations print, so a seed cannot differ from Alembic's head on main. Run it in the
backend's environment:

    uv run --project ../backend python make_seeds.py [DIRECTORY]

DIRECTORY defaults to `infra/db/preview/seeds` of this checkout.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rendering import copy_sql, schema_sql
from wall import (
    CONDITION_NOTES,
    MEMBERS,
    MOTOR,
    PURPOSES,
    SHARP,
    SHELVES,
    SPRING_MEMBERS,
    STREETS,
    TOOLS,
)

HERE = Path(__file__).resolve().parent
BACKEND = HERE.parent / "backend"
DEFAULT_DIRECTORY = HERE.parents[2] / "infra" / "db" / "preview" / "seeds"
OPENING = dt.date(2025, 3, 1)
SPRING_DAY = dt.date(2026, 5, 16)
AUTUMN_DAY = dt.date(2026, 10, 10)
OPEN_WEEKDAYS = frozenset({2, 5})  # Wednesday evening and Saturday.
# Loans on an open day, from January to December.
PACE = (1, 1, 3, 5, 7, 5, 4, 4, 6, 8, 3, 1)
GARDEN_MONTHS = frozenset({3, 4, 5, 6, 9, 10})


def _joining_days() -> tuple[dt.date, ...]:
    """Let the first ten neighbours found the shed and the others follow over the months."""
    random = Random(11)
    first_year = [random.randrange(1, 330) for _ in range(SPRING_MEMBERS - 10)]
    late = [random.randrange(1, 100) for _ in range(len(MEMBERS) - SPRING_MEMBERS)]
    days = [OPENING] * 10 + [OPENING + dt.timedelta(days=n) for n in first_year]
    random.shuffle(days)
    return (*days, *(SPRING_DAY + dt.timedelta(days=n) for n in late))


def _addresses() -> tuple[str, ...]:
    random = Random(7)
    return tuple(f"{random.randint(1, 64)} {random.choice(STREETS)}" for _ in MEMBERS)


JOINED = _joining_days()
ADDRESSES = _addresses()


@dataclass(frozen=True, slots=True)
class Season:
    """One seed: its version, its day at the desk and what the page says about it."""

    version: str
    slug: str
    name: str
    strapline: str
    today: dt.date
    members: int


SEASONS = (
    Season(
        "v1",
        "spring",
        "Spring 2026",
        "Hedges, patios and the first barbecue: everything is in demand.",
        SPRING_DAY,
        SPRING_MEMBERS,
    ),
    Season(
        "v2",
        "autumn",
        "Autumn 2026",
        "Leaves to rake, apples to press, stoves to sweep.",
        AUTUMN_DAY,
        len(MEMBERS),
    ),
)


@dataclass(slots=True)
class Loan:
    """A loan as it will be lived: `back_on` may lie after the day the seed is cut."""

    tool: int
    member: int
    lent_on: dt.date
    due_on: dt.date
    back_on: dt.date
    purpose: str


@dataclass(slots=True)
class Story:
    """Everything that happened until one day."""

    loans: list[Loan] = field(default_factory=list)
    notes: list[tuple[int, int, str, str, dt.date]] = field(default_factory=list)


def play(season: Season) -> Story:
    """Play the shed from its opening to the season's day; a later season begins the same way."""
    random = Random(20250301)
    story = Story()
    away_until: dict[int, dt.date] = {}
    day = OPENING
    while day < season.today:
        if day.weekday() in OPEN_WEEKDAYS:
            for _ in range(random.randint(PACE[day.month - 1] - 1, PACE[day.month - 1] + 1)):
                _lend_something(random, story, away_until, day)
        day += dt.timedelta(days=1)
    _cut(story, season)
    _ask_at_the_desk(story, season)
    story.notes.sort(key=lambda note: (note[4], note[0], note[3]))
    return story


def _lend_something(
    random: Random, story: Story, away_until: dict[int, dt.date], day: dt.date
) -> None:
    on_the_wall = [
        number
        for number, tool in enumerate(TOOLS)
        if dt.date.fromisoformat(tool.acquired_on) <= day and away_until.get(number, day) <= day
    ]
    number = random.choices(on_the_wall, [_demand(n, day) for n in on_the_wall])[0]
    tool = TOOLS[number]
    joined = [number for number, joined_on in enumerate(JOINED) if joined_on <= day]
    days = random.choices((3, 7, 14), (2, 6, 1) if tool.shelf in ("power", "clean") else (1, 6, 4))
    due_on = day + dt.timedelta(days=days[0])
    slack = random.choices((-2, -1, 0, 1, 6, 15), (4, 5, 12, 3, 3, 2))
    back_on = due_on + dt.timedelta(days=slack[0])
    loan = Loan(
        tool=number,
        member=random.choice(joined),
        lent_on=day,
        due_on=due_on,
        back_on=max(back_on, day + dt.timedelta(days=1)),
        purpose=random.choice(PURPOSES[tool.glyph]),
    )
    away_until[number] = loan.back_on + dt.timedelta(days=1)
    story.loans.append(loan)
    if random.random() < 0.13:
        kind = "sharp" if tool.glyph in SHARP else "motor" if tool.glyph in MOTOR else "plain"
        keeper = random.choice(joined)
        body = random.choice(CONDITION_NOTES[kind])
        story.notes.append((number, keeper, "condition", body, loan.back_on))


def _demand(number: int, day: dt.date) -> float:
    """Say how much a tool is wanted on a day: by season, and some are everybody's darling."""
    tool = TOOLS[number]
    weight = 1.0 + (number * 7 % 5) / 2
    if tool.shelf == "garden":
        weight *= 2.5 if day.month in GARDEN_MONTHS else 0.3
    if tool.glyph == "press":
        weight *= 6 if day.month in (9, 10) else 0.05
    if tool.glyph in ("washer", "tent"):
        weight *= 2 if 4 <= day.month <= 8 else 0.4
    if tool.glyph == "drill" or tool.name.startswith(("Step ladder", "Claw hammer")):
        weight *= 1.8
    return weight


def _cut(story: Story, season: Season) -> None:
    """Forget what lies in the future of the season's day."""
    story.notes = [note for note in story.notes if note[4] < season.today]


def _ask_at_the_desk(story: Story, season: Season) -> None:
    """Pencil in who would like a tool that is out just now."""
    random = Random(season.version)
    for loan in story.loans:
        if loan.back_on < season.today or random.random() > 0.5:
            continue
        asking = random.sample([m for m in range(season.members) if m != loan.member], 2)
        for member in asking[: random.choice((1, 1, 2))]:
            purpose = random.choice(PURPOSES[TOOLS[loan.tool].glyph])
            span = (season.today - loan.lent_on).days
            written_on = loan.lent_on + dt.timedelta(days=random.randint(0, min(span, 6)))
            story.notes.append((loan.tool, member, "asks", purpose, written_on))


def seed_text(season: Season) -> str:
    """Write one seed: the schema, every row, and the sequences after the last of them."""
    story = play(season)
    tools = [
        (number, tool)
        for number, tool in enumerate(TOOLS)
        if dt.date.fromisoformat(tool.acquired_on) <= season.today
    ]
    slugs = [slug for slug, _ in SHELVES]
    # Numbered in the order they came, so a tool keeps its number in later seasons.
    arrived = sorted(tools, key=lambda item: (item[1].acquired_on, item[0]))
    tool_ids = {number: position for position, (number, _) in enumerate(arrived, start=1)}
    tables: list[tuple[str, str, list[Sequence[object]]]] = [
        (
            "desk",
            "id, season, season_name, strapline, today",
            [(1, season.slug, season.name, season.strapline, season.today)],
        ),
        (
            "shelves",
            "id, slug, name, position",
            [(i, slug, name, i) for i, (slug, name) in enumerate(SHELVES, start=1)],
        ),
        (
            "members",
            "id, name, street, joined_on",
            [(i + 1, MEMBERS[i], ADDRESSES[i], JOINED[i]) for i in range(season.members)],
        ),
        (
            "tools",
            "id, shelf_id, name, maker, glyph, description, acquired_on, given_by",
            [
                (
                    tool_ids[number],
                    slugs.index(tool.shelf) + 1,
                    tool.name,
                    tool.maker,
                    tool.glyph,
                    tool.description,
                    tool.acquired_on,
                    tool.given_by or None,
                )
                for number, tool in arrived
            ],
        ),
        (
            "loans",
            "id, tool_id, member_id, lent_on, due_on, returned_on, purpose",
            [
                (
                    i,
                    tool_ids[loan.tool],
                    loan.member + 1,
                    loan.lent_on,
                    loan.due_on,
                    loan.back_on if loan.back_on < season.today else None,
                    loan.purpose,
                )
                for i, loan in enumerate(story.loans, start=1)
            ],
        ),
        (
            "desk_notes",
            "id, tool_id, member_id, kind, body, written_on",
            [
                (i, tool_ids[tool], member + 1, kind, body, written_on)
                for i, (tool, member, kind, body, written_on) in enumerate(story.notes, start=1)
            ],
        ),
    ]
    parts = [
        f"-- Seed {season.version}: the tool library on {season.today}, {season.name}.\n"
        "-- Written by examples/toolshed/seeds/make_seeds.py; do not edit.\n\n"
        "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n",
        schema_sql(BACKEND),
    ]
    parts += [copy_sql(*table) for table in tables]
    parts += [
        f"SELECT pg_catalog.setval('public.{name}_id_seq', {len(rows)}, true);\n"
        for name, _, rows in tables
        if name != "desk"
    ]
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write both seeds into the directory named on the command line."""
    directory = Path(arguments[0]) if arguments else DEFAULT_DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for season in SEASONS:
        (directory / f"{season.version}.sql").write_text(seed_text(season), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
