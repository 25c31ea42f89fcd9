"""Play the shed through its seasons: who borrowed what, when it came back, who asks for it next.

Apart from `make_seeds.py`, which only writes down what happened. The dice are thrown from fixed
seeds, so the same days bring the same loans on every machine.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from random import Random

from wall import (
    CONDITION_NOTES,
    MEMBERS,
    MOTOR,
    PURPOSES,
    SHARP,
    SPRING_MEMBERS,
    STREETS,
    TOOLS,
)

OPENING = dt.date(2025, 3, 1)
SPRING_DAY = dt.date(2026, 5, 16)
AUTUMN_DAY = dt.date(2026, 10, 10)
SEED = 65  # Gives both seasons a few tools that are late.
OPEN_WEEKDAYS = frozenset({2, 5})  # Wednesday evening and Saturday.
# Loans on an open day, from January to December.
PACE = (1, 1, 3, 5, 7, 5, 4, 4, 6, 9, 3, 1)
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

    def returned_by(self, today: dt.date) -> dt.date | None:
        """Say when it came back, if it has by the morning of this day."""
        return self.back_on if self.back_on < today else None


@dataclass(slots=True)
class Story:
    """Everything that happened until one day."""

    loans: list[Loan] = field(default_factory=list)
    notes: list[tuple[int, int, str, str, dt.date]] = field(default_factory=list)


def play(season: Season) -> Story:
    """Play the shed from its opening to the season's day; a later season begins the same way."""
    random = Random(SEED)
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
        purpose=_purpose(random, story, number),
    )
    away_until[number] = loan.back_on + dt.timedelta(days=1)
    story.loans.append(loan)
    if random.random() < 0.13:
        kind = "sharp" if tool.glyph in SHARP else "motor" if tool.glyph in MOTOR else "plain"
        keeper = random.choice(joined)
        body = random.choice(CONDITION_NOTES[kind])
        story.notes.append((number, keeper, "condition", body, loan.back_on))


def _purpose(random: Random, story: Story, number: int) -> str:
    """Pick what for, and not what it was for the last times."""
    lately = [loan.purpose for loan in story.loans if loan.tool == number][-2:]
    every = PURPOSES[TOOLS[number].glyph].split("; ")
    return random.choice([purpose for purpose in every if purpose not in lately])


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
        others = [member for member in range(season.members) if member != loan.member]
        purposes = random.sample(PURPOSES[TOOLS[loan.tool].glyph].split("; "), 2)
        wishes = list(zip(random.sample(others, 2), purposes, strict=True))
        for member, purpose in wishes[: random.choice((1, 1, 2))]:
            span = (season.today - loan.lent_on).days
            written_on = loan.lent_on + dt.timedelta(days=random.randint(0, min(span, 6)))
            story.notes.append((loan.tool, member, "asks", purpose, written_on))
