"""The reference, made from the code: error codes, commands, routes, settings, keys and metrics.

It stands beside the entrypoints that it describes, because it reads all of them. What it renders is
committed below `docs/reference/` and `man/`, and `ouroboros render --check` says when it differs.
"""

from pathlib import Path

from ouroboros.entrypoints.cli.main import HELP_FILE
from ouroboros.entrypoints.reference.commands import read_program, render_commands, render_help
from ouroboros.entrypoints.reference.error_codes import read_error_codes, render_error_codes
from ouroboros.entrypoints.reference.keys import render_preview_keys
from ouroboros.entrypoints.reference.manual import render_manual
from ouroboros.entrypoints.reference.metrics import render_metrics
from ouroboros.entrypoints.reference.routes import render_routes
from ouroboros.entrypoints.reference.setting_keys import read_meanings, render_settings

SOURCE = Path(__file__).resolve().parents[2]
"""The package itself, whose text is read for codes and keys."""


def render_reference(home: Path) -> dict[str, str]:
    """Every page by its path relative to the checkout; none where there are no documents."""
    if not (home / "docs").is_dir():
        return {}
    program = read_program()
    meanings = read_meanings(home / "docs" / "configuration.md")
    pages = {
        "error-codes": render_error_codes(read_error_codes(SOURCE)),
        "commands": render_commands(program),
        "api": render_routes(),
        "preview-toml": render_preview_keys(),
        "settings": render_settings(meanings),
        "metrics": render_metrics(),
    }
    files = {f"docs/reference/{name}.md": text for name, text in pages.items()}
    files["man/ouroboros.1"] = render_manual(program, meanings)
    files[f"src/{HELP_FILE.relative_to(SOURCE.parent)}"] = render_help()
    return files
