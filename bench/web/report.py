"""The table and the picture of bench/surface.py."""

import statistics

# By case and server: what each turn measured.
Turns = dict[str, dict[str, list[dict[str, float]]]]


def report(results: Turns, size: dict[str, float]) -> str:
    """The tables, in Markdown. A ratio is the median of the turns' ratios, not of their rates."""
    lines = []
    if results:
        names = list(next(iter(results.values())))
        lines += [
            "| case | " + " | ".join(names) + " | surface / nginx | surface / Caddy "
            "| p99, ms: nginx, surface (ratio) | CPU, µs a request: nginx, surface |",
            "|---|" + "---:|" * (len(names) + 4),
        ]
    lines += [_row(case, by_server) for case, by_server in results.items()]
    if size:
        lines += ["", "| | |", "|---|---:|"]
        lines += [f"| {name} | {value:.1f} |" for name, value in size.items()]
    return "\n".join(lines) + "\n"


def _row(case: str, by_server: dict[str, list[dict[str, float]]]) -> str:
    def mid(server: str, key: str) -> float:
        return statistics.median(turn[key] for turn in by_server[server])

    def ratio(other: str, key: str) -> str:
        if other not in by_server:
            return "–"
        pairs = zip(by_server["surface"], by_server[other], strict=True)
        return f"{statistics.median(ours[key] / theirs[key] for ours, theirs in pairs):.2f}"

    rates = " | ".join(f"{mid(name, 'rate'):,.0f}" for name in by_server)
    slow = ", ".join(f"{mid(name, 'p99_ms'):.1f}" for name in ("nginx", "surface"))
    cpu = ", ".join(f"{mid(name, 'cpu_us'):.1f}" for name in ("nginx", "surface"))
    return (
        f"| {case} | {rates} | **{ratio('nginx', 'rate')}** | {ratio('Caddy', 'rate')} "
        f"| {slow} ({ratio('nginx', 'p99_ms')}) | {cpu} |"
    )


def plot(results: Turns) -> str:
    """Bars of requests a second relative to nginx, as SVG."""
    colours = {"nginx": "#b8b4a8", "nginx, open_file_cache": "#8d897d", "Caddy": "#c98a1b",
               "surface": "#3d6b4f"}  # fmt: skip
    row, left, scale = 18, 250, 220
    parts, y = [], 40
    for case, by_server in results.items():
        parts.append(f'<text x="{left - 10}" y="{y + 14}" text-anchor="end">{case}</text>')
        floor = statistics.median(turn["rate"] for turn in by_server["nginx"])
        for name, turns in by_server.items():
            value = statistics.median(turn["rate"] for turn in turns) / floor
            width = min(value, 2.6) * scale
            parts.append(
                f'<rect x="{left}" y="{y}" width="{width:.0f}" height="{row - 4}" '
                f'fill="{colours[name]}"/><text x="{left + width + 6:.0f}" y="{y + 12}" '
                f'class="n">{value:.2f}</text>'
            )
            y += row
        y += 12
    keys = "".join(
        f'<rect x="{left + 150 * i}" y="12" width="12" height="12" fill="{colour}"/>'
        f'<text x="{left + 150 * i + 18}" y="22">{name}</text>'
        for i, (name, colour) in enumerate(colours.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{y + 10}" '
        'font-family="system-ui,sans-serif" font-size="12"><style>.n{fill:#666;font-size:11px}'
        f'</style><rect width="100%" height="100%" fill="#fff"/>{keys}'
        f'<line x1="{left + scale}" y1="34" x2="{left + scale}" y2="{y}" stroke="#0003"/>'
        f"{''.join(parts)}</svg>\n"
    )
