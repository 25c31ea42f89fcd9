"""The difference of two pictures: how many pixels, where, and both with the place marked.

Pillow does the arithmetic. It comes with the extra of the browser that takes the pictures, and is
imported when it is needed.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ouroboros.domain.errors import Failed, Unhealthy
from ouroboros.domain.page_visit import LONGEST, WIDTH

if TYPE_CHECKING:
    from PIL.Image import Image

_SEEN_FROM = 24
"""Of 255, per channel: below it lies what the smoothing of edges does by chance."""
_MARK = (214, 40, 40)
_MARGIN, _LINE, _GAP = 6, 4, 24


@dataclass(frozen=True, slots=True)
class Compared:
    """Two pictures on canvases of one size; `region` is (left, top, right, bottom)."""

    width: int
    height: int
    differing_pixels: int
    region: tuple[int, int, int, int] | None
    before: "Image"
    after: "Image"
    mask: "Image"

    def document(self) -> dict[str, Any]:
        """The facts; `region` in pixels from the top left corner."""
        region = None
        if self.region is not None:
            left, top, right, bottom = self.region
            region = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        return {
            "same": self.region is None,
            "width": self.width,
            "height": self.height,
            "differing_pixels": self.differing_pixels,
            "share": round(self.differing_pixels / (self.width * self.height), 6),
            "region": region,
        }

    def picture(self, side: str) -> bytes:
        """A PNG with the differing region marked: `before`, `after`, or `both` side by side."""
        from PIL import Image  # noqa: PLC0415

        if side != "both":
            return _png(self._marked(self.before if side == "before" else self.after))
        whole = Image.new("RGB", (2 * self.width + _GAP, self.height), "white")
        whole.paste(self._marked(self.before), (0, 0))
        whole.paste(self._marked(self.after), (self.width + _GAP, 0))
        return _png(whole)

    def _marked(self, picture: "Image") -> "Image":
        from PIL import Image, ImageDraw  # noqa: PLC0415

        marked = picture.copy()
        if self.region is None:
            return marked
        half = self.mask.point([value // 3 for value in range(256)])
        marked.paste(Image.new("RGB", marked.size, _MARK), (0, 0), half)
        left, top, right, bottom = self.region
        ImageDraw.Draw(marked).rectangle(
            (
                max(0, left - _MARGIN),
                max(0, top - _MARGIN),
                min(self.width - 1, right + _MARGIN),
                min(self.height - 1, bottom + _MARGIN),
            ),
            outline=_MARK,
            width=_LINE,
        )
        return marked


def compare_pictures(before: Path, after: Path) -> Compared:
    """Compare two PNG files; where only one reaches, they differ.

    Raises `picture_unreadable`, `browser_not_installed`.
    """
    try:
        from PIL import Image, ImageChops  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Unhealthy(
            "browser_not_installed",
            f"there is no module {error.name}",
            "pip install '.[browser]' in a checkout of Ouroboros",
        ) from error
    one, two = _read(before), _read(after)
    size = max(one.width, two.width), max(one.height, two.height)
    # Two grounds, so that the ground of one is never like the picture of the other.
    wide_one, wide_two = Image.new("RGB", size, "white"), Image.new("RGB", size, "black")
    wide_one.paste(one, (0, 0))
    wide_two.paste(two, (0, 0))
    red, green, blue = ImageChops.difference(wide_one, wide_two).split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = strongest.point([255 if value >= _SEEN_FROM else 0 for value in range(256)])
    return Compared(*size, mask.histogram()[255], mask.getbbox(), wide_one, wide_two, mask)


def _read(path: Path) -> "Image":
    """A picture of ours; a file that became something else meanwhile is refused."""
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(path, formats=["PNG"]) as found:
            if found.width > WIDTH or found.height > LONGEST:
                raise _unreadable(path, f"{found.width} × {found.height} is too large")
            return found.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> Failed:
    return Failed("picture_unreadable", f"{path.name}: {why}", "publish again")


def _png(picture: "Image") -> bytes:
    data = BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
