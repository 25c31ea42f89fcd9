"""The plain form of a reset is read as the parser reads it, and nothing else is."""

import itertools
from unittest import mock

import pytest

from ouroboros.entrypoints.cli import db, main, resets

PLAIN = [
    "db reset --slot preview-1",
    "db reset --dry-run --slot preview1 --run-id r",
    "db seed --slot preview-1 --seed-version v1 --rebuild --strict",
    "db reset-and-seed --slot preview-1 --run-id r --strategy seed --seed-version v1",
    "db reset-and-seed --slot x --run-id r --strategy snapshot --snapshot-version s --dry-run",
]
NOT_PLAIN = [
    "",
    "db",
    "db pool",
    "db reset",
    "db reset --slot",
    "db reset --slot --run-id r",
    "db reset --slot a --slot b",
    "db reset --slot=preview-1",
    "db reset --slot a b",
    "db reset --slot a --strategy seed",
    "db reset --slot a --help",
    "db seed --slot a",
    "db reset-and-seed --slot a --run-id r",
    "slots",
]


@pytest.mark.parametrize("words", PLAIN)
def test_the_parser_asks_for_the_same(words):
    asked = []
    remember = lambda *given: asked.append(given)  # noqa: E731
    with mock.patch.object(main, "ask_reset", remember):
        assert main.run(words.split()) == 0
    with (
        mock.patch.object(db, "ask_reset", remember),
        mock.patch.object(main, "read_reset", lambda _: None),
    ):
        assert main.run(words.split()) == 0
    quick, parsed = ({**each[2]} for each in asked)
    assert [each[:2] for each in asked] == [asked[0][:2]] * 2
    defaults = {"run_id": None, "dry_run": False, "rebuild": False, "strict": False,
                "seed_version": None, "snapshot_version": None}  # fmt: skip
    assert {**defaults, **quick} == {**defaults, **parsed}


@pytest.mark.parametrize("words", NOT_PLAIN)
def test_everything_else_is_the_parsers(words):
    assert resets.read_reset(words.split()) is None


def test_every_option_of_the_commands_is_known():
    import typer

    group = typer.main.get_command(db.app)
    for verb, (needed, allowed) in resets._VERBS.items():
        options = group.commands[verb].params
        assert allowed == set(itertools.chain(*(each.opts for each in options)))
        assert needed == {each.opts[0] for each in options if each.required}
