"""Write the seeds v1 and v2 of the example database; the same bytes every time.

v2 is v1 some months later: more tools, more neighbours, more loans. The schema is what the
application's own migrations print, so a seed cannot differ from Alembic's head on main. Run it
in the backend's environment:

    uv run --project ../backend python make_seeds.py [DIRECTORY]

DIRECTORY defaults to `infra/db/preview/seeds` of this checkout.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rendering import Table, copy_sql, schema_sql, sequence_sql
from story import ADDRESSES, JOINED, SEASONS, Season, play
from wall import MEMBERS, SHELVES, TOOLS

HERE = Path(__file__).resolve().parent
BACKEND = HERE.parent / "backend"
DEFAULT_DIRECTORY = HERE.parents[2] / "infra" / "db" / "preview" / "seeds"


def seed_text(season: Season) -> str:
    """Write one seed: the schema, every row, and the sequences after the last of them."""
    tables = [*_desk_tables(season), *_wall_tables(season)]
    parts = [
        f"-- Seed {season.version}: the tool library on {season.today}, {season.name}.\n"
        "-- Written by examples/toolshed/seeds/make_seeds.py; do not edit.\n\n"
        "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n",
        schema_sql(BACKEND),
        *(copy_sql(table) for table in tables),
        *(sequence_sql(table) for table in tables if table.name != "desk"),
    ]
    return "\n".join(parts)


def _desk_tables(season: Season) -> Iterator[Table]:
    yield Table(
        "desk",
        "id, season, season_name, strapline, today",
        [(1, season.slug, season.name, season.strapline, season.today)],
    )
    yield Table(
        "shelves",
        "id, slug, name, position",
        [(i, slug, name, i) for i, (slug, name) in enumerate(SHELVES, start=1)],
    )
    yield Table(
        "members",
        "id, name, street, joined_on",
        [(i + 1, MEMBERS[i], ADDRESSES[i], JOINED[i]) for i in range(season.members)],
    )


def _wall_tables(season: Season) -> Iterator[Table]:
    story = play(season)
    ids = _tool_ids(season)
    shelves = {slug: i for i, (slug, _) in enumerate(SHELVES, start=1)}
    wall = [(i, TOOLS[number]) for number, i in ids.items()]
    yield Table(
        "tools",
        "id, shelf_id, name, maker, glyph, description, acquired_on, given_by",
        [
            (
                i,
                shelves[t.shelf],
                t.name,
                t.maker,
                t.glyph,
                t.description,
                t.acquired_on,
                t.given_by or None,
            )
            for i, t in wall
        ],
    )
    yield Table(
        "loans",
        "id, tool_id, member_id, lent_on, due_on, returned_on, purpose",
        [
            (
                i,
                ids[loan.tool],
                loan.member + 1,
                loan.lent_on,
                loan.due_on,
                loan.returned_by(season.today),
                loan.purpose,
            )
            for i, loan in enumerate(story.loans, start=1)
        ],
    )
    yield Table(
        "desk_notes",
        "id, tool_id, member_id, kind, body, written_on",
        [
            (i, ids[tool], member + 1, kind, body, written_on)
            for i, (tool, member, kind, body, written_on) in enumerate(story.notes, start=1)
        ],
    )


def _tool_ids(season: Season) -> dict[int, int]:
    """Number the tools in the order they came, so each keeps its number in later seasons."""
    arrived = sorted(
        (dt.date.fromisoformat(tool.acquired_on), number) for number, tool in enumerate(TOOLS)
    )
    here = [number for day, number in arrived if day <= season.today]
    return {number: i for i, number in enumerate(here, start=1)}


def main(arguments: Sequence[str]) -> int:
    """Write both seeds into the directory named on the command line."""
    directory = Path(arguments[0]) if arguments else DEFAULT_DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for season in SEASONS:
        (directory / f"{season.version}.sql").write_text(seed_text(season), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
