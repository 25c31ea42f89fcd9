"""Compare: what looks different between two publishes.

Pictures of the same page are compared: those that were taken after the publishes, or else those
of a page check, so that a publish that failed its check can be held against the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.picture_difference import Compared, compare_pictures
from ouroboros.domain.errors import NotFound
from ouroboros.plans.layout import Layout

_MEDIA_TYPE = "image/png"
_PICTURE = "picture.png"


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """The use case with what it needs."""

    publishes: PublishStore
    layout: Layout

    def compare(
        self, before: str, after: str, page: str | None = None
    ) -> tuple[dict[str, Any], Compared]:
        """Compare two publishes: what is to be said of it, and the pictures with their marks.

        `page` chooses among `pages` of the answer. Raises `publish_not_found`,
        `nothing_to_compare`, `picture_unreadable`, `browser_not_installed`.
        """
        one, two = self.publishes.get(before), self.publishes.get(after)
        of_one, of_two = _pictures(one), _pictures(two)
        pages = [each for each in of_one if each in of_two]
        chosen = page if page is not None else next(iter(pages), None)
        if chosen is None or chosen not in pages:
            raise NotFound(
                "nothing_to_compare",
                f"{before} and {after} have no picture of the same page"
                + (f" named {page[:80]!r}" if page is not None else ""),
                f"ouroboros logs {after}; docs/page-checks.md says when pictures are taken",
            )
        compared = compare_pictures(
            self._path(one, of_one[chosen]), self._path(two, of_two[chosen])
        )
        document = {
            "before": _described(one, of_one[chosen]),
            "after": _described(two, of_two[chosen]),
            "page": chosen,
            "pages": pages,
            **compared.document(),
        }
        return document, compared

    def _path(self, publish: Mapping[str, Any], name: str) -> Path:
        return self.layout.artifacts(publish["publish_id"]) / name


def _pictures(publish: Mapping[str, Any]) -> dict[str, str]:
    """The file of each picture by a name without the slot; the publish's own picture first."""
    tag = f".{publish['slot_id']}."
    found = {
        row["name"].replace(tag, "."): row["name"]
        for row in publish["artifacts"]
        if row["media_type"] == _MEDIA_TYPE and not row["name"].endswith(".small.png")
    }
    return dict(sorted(found.items(), key=lambda item: (item[0] != _PICTURE, item[0])))


def _described(publish: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = ("publish_id", "slot_id", "run_id", "commit_sha", "ref", "state")
    return {**{key: publish[key] for key in kept}, "picture": name}
