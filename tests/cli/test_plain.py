"""The plain form of a command is read as the parser reads it, and nothing else is."""

import itertools
from typing import Any
from unittest import mock

import pytest

from ouroboros.domain.errors import Failed
from ouroboros.entrypoints.cli import main, plain, publishing, resets

PLAIN = [
    "db reset --slot preview-1",
    "db reset --dry-run --slot preview1 --run-id r",
    "db seed --slot preview-1 --seed-version v1 --rebuild --strict",
    "db reset-and-seed --slot preview-1 --run-id r --strategy seed --seed-version v1",
    "db reset-and-seed --slot x --run-id r --strategy snapshot --snapshot-version s --dry-run",
    "publish --run-id r --repo /srv/app --ref main",
    "publish --detach --ref main --run-id r --repo app --prebuilt built",
    "publish --run-id r --repo https://git.example.com/app --ref main",
    "rollback --slot preview-1",
    "rollback --slot preview-1 --to p3 --database --detach",
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
    "publish",
    "publish --help",
    "publish --run-id r --repo app",
    "publish --run-id r --repo app --ref -x",
    "rollback",
    "rollback --slot a --to",
    "rollback --slot a --detach --detach",
]


class Asked:
    """A client that remembers what is asked, and fails."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []

    def post(self, path: str, asked: dict[str, Any], time_limit_s: float = 0.0) -> None:
        given = {key: value for key, value in asked.items() if value not in (None, False)}
        self.posts.append((path, given))
        raise Failed("failed", "as it should", "")


@pytest.fixture
def asked(monkeypatch):
    client = Asked()
    for module in (publishing, resets):
        monkeypatch.setattr(module, "client", lambda: client)
    return client


@pytest.mark.parametrize("words", PLAIN)
def test_the_parser_asks_for_the_same(words, asked, capsys):
    with mock.patch.object(main, "make_app", None):
        assert main.run(words.split()) == 1
    quick = capsys.readouterr()
    with mock.patch.object(main, "read_plain", lambda _: None):
        assert main.run(words.split()) == 1
    assert capsys.readouterr() == quick
    assert asked.posts == [asked.posts[0]] * 2


@pytest.mark.parametrize("words", NOT_PLAIN)
def test_everything_else_is_the_parsers(words):
    assert plain.read_plain(words.split()) is None


def test_who_interrupts_a_plain_command_gets_the_status_of_that(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "client", interrupted)
    words = ["publish", "--run-id", "r", "--repo", "app", "--ref", "main"]
    assert main.run(words) == 130
    monkeypatch.setattr(main, "read_plain", lambda _: None)
    assert main.run(words) == 130


@pytest.mark.parametrize("command", plain.FORMS)
def test_every_option_of_the_commands_is_known(command):
    import typer

    found = typer.main.get_command(main.make_app())
    for word in command.split():
        found = found.commands[word]
    form = plain.FORMS[command]
    assert form.needed | form.others | form.flags == set(
        itertools.chain(*(each.opts for each in found.params))
    )
    assert form.needed == {each.opts[0] for each in found.params if each.required}
    assert form.flags == {each.opts[0] for each in found.params if each.is_flag}
