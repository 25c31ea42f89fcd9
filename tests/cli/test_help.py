"""The help text that is printed without the parser is the one that the parser would print."""

import contextlib
import io
from unittest import mock

from ouroboros.entrypoints.cli.main import HELP_FILE, make_app


def test_the_committed_help_is_what_the_parser_says():
    """When it differs: write what this test printed into cli/help.txt."""
    printed = io.StringIO()
    with mock.patch.dict("os.environ", {"COLUMNS": "80"}), contextlib.redirect_stdout(printed):
        make_app()(["--help"], prog_name="ouroboros", standalone_mode=False)
    assert HELP_FILE.read_text(encoding="utf-8") == printed.getvalue()
