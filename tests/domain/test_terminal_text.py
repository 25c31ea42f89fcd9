"""What a command prints is shown with its colours and can drive no terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.domain.terminal_text import TerminalText, without_colours

HARMLESS = re.compile(r"(?:[^\x00-\x08\x0b-\x1f\x7f-\x9f]|\x1b\[[0-9;:]*m)*")


def clean(*chunks: bytes) -> str:
    cleaner = TerminalText()
    return "".join([*map(cleaner.feed, chunks), cleaner.feed(b"", last=True)])


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        (b"\x1b[38;5;196mred\x1b[m", "\x1b[38;5;196mred\x1b[m"),
        (b"\x1b[2J\x1b[Hgone", "gone"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://elsewhere.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]52;c;Y2xpcGJvYXJk\x07text", "text"),
        (b"\x1b]52;c;never ended\nnext line", "\nnext line"),
        (b"\x1bP+q544e\x1b\\text", "text"),
        (b"\xc2\x9b2Jtext\xc2\x9d0;title\xc2\x9c", "text"),
        (b"\x1bcreset\x1b(0text", "resettext"),
        (b"bell\x07 back\x08 nul\x00", "bell back nul"),
        (b"10 %\r20 %\r\ndone\n", "10 %\n20 %\ndone\n"),
        ("a\u202egnp.exe\u2066".encode(), "agnp.exe"),
        (b"not utf-8: \xff\xfe", "not utf-8: \ufffd\ufffd"),
        (b"\x1b[" + b"1;" * 40 + b"mtext", "text"),
        ("naïve ✓\tok".encode(), "naïve ✓\tok"),
    ],
)
def test_colours_are_kept_and_controls_are_not(printed, shown):
    assert clean(printed) == shown
    assert clean(*(printed[at : at + 1] for at in range(len(printed)))) == shown


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_nothing_that_drives_a_terminal_comes_through(chunks):
    assert HARMLESS.fullmatch(clean(*chunks))


_PIECES = st.sampled_from(
    [
        b"text",
        b"\x1b[31m",
        b"\x1b[2J",
        b"\x1b]0;t\x07",
        b"\r\n",
        b"\r",
        b"\n",
        "✓".encode(),
        b"\x1b",
    ]
)


@given(st.lists(_PIECES, max_size=12), st.data())
def test_it_does_not_matter_where_the_output_is_cut(pieces, data):
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    assert clean(whole[:cut], whole[cut:]) == clean(whole)


def test_a_sequence_without_an_end_swallows_nothing():
    shown = clean(b"\x1b]52;c;" + b"A" * 5000, b"B" * 5000)
    assert shown.count("A") + shown.count("B") > 9000
    assert "\x1b" not in shown


def test_colours_can_be_left_out():
    assert without_colours("\x1b[1;31mred\x1b[0m text") == "red text"
