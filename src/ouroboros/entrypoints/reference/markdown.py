"""The little Markdown that the reference needs."""

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Rendered from the code by `ouroboros render`; edit the code, not this file. -->\n\n"


def page(title: str, told: str, parts: Iterable[str]) -> str:
    """A whole page: the notice, a title, what is to know, and the parts."""
    return NOTICE + "\n\n".join([f"# {title}", told, *parts]) + "\n"


def rows(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A table; an empty cell is a dash."""
    lines = [head, ["---"] * len(head), *[[cell or "–" for cell in row] for row in cells]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Text as it is typed; also inside of a table."""
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def prose(text: str) -> str:
    """Text of the code in a page: but for what it marks as code, nothing in it is Markdown."""
    parts = text.split("`")
    for at in range(0, len(parts), 2):
        for sign in "\\*_[]<>|":
            parts[at] = parts[at].replace(sign, f"\\{sign}")
    return "`".join(part.replace("|", r"\|") if at % 2 else part for at, part in enumerate(parts))
