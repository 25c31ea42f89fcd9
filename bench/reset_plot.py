"""Draws how long each way to reset takes at each size, both on a logarithmic scale, as SVG."""

import math
from collections.abc import Mapping

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 820, 420, 70, 250, 20, 50
_MEGABYTES = {"10mb": 10, "200mb": 200, "1gb": 1000}
_WAYS = {
    ("ours", 0): ("ours, a standby ready", "#2f6d3f"),
    ("ours", 20): ("ours, 20 clients reconnect", "#7db38a"),
    ("peer", 0): ("drop schema and load", "#b23a2e"),
    ("drop_create", 0): ("DROP and CREATE … TEMPLATE", "#c98a1b"),
    ("drop_create", 20): ("the same, 20 clients", "#e3bf7a"),
    ("new_name", 0): ("CREATE … TEMPLATE, new name", "#8d897d"),
}


def plot_resets(medians_ms: Mapping[tuple[str, str, int], float]) -> str:
    """The plot; keys are way, size and number of clients."""
    tops = math.ceil(math.log10(max(medians_ms.values())))
    parts = [_grid(tops)]
    for number, ((way, clients), (name, colour)) in enumerate(_WAYS.items()):
        points = [
            (_x(size), _y(medians_ms[way, size, clients], tops))
            for size in _MEGABYTES
            if (way, size, clients) in medians_ms
        ]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{colour}"/>' for x, y in points]
        parts += [
            f'<text x="{_x(size) + 7}" y="{_y(value, tops) - 6:.0f}" class="n">{value:.0f}</text>'
            for size in _MEGABYTES
            if (value := medians_ms.get((way, size, clients))) is not None
        ]
        y, key = _TOP + 20 + number * 22, _WIDTH - _RIGHT + 30
        parts.append(
            f'<rect x="{key}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{key + 20}" y="{y}">{name}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="system-ui,sans-serif" font-size="12"><style>.n{fill:#666;font-size:11px}'
        f'</style><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _grid(tops: int) -> str:
    lines = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(10**power, tops):.0f}" '
        f'y2="{_y(10**power, tops):.0f}" stroke="#0002"/><text x="{_LEFT - 8}" '
        f'y="{_y(10**power, tops) + 4:.0f}" text-anchor="end">{10**power:,} ms</text>'
        for power in range(tops + 1)
    ]
    foot = _HEIGHT - _BOTTOM + 22
    lines += [
        f'<text x="{_x(size)}" y="{foot}" text-anchor="middle">{megabytes} MB</text>'
        for size, megabytes in _MEGABYTES.items()
    ]
    return "".join(lines)


def _x(size: str) -> int:
    share = math.log10(_MEGABYTES[size] / 10) / 2
    return round(_LEFT + 30 + share * (_WIDTH - _RIGHT - _LEFT - 70))


def _y(value_ms: float, tops: int) -> float:
    share = max(math.log10(value_ms), 0) / tops
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)
