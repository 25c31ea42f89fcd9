"""The metrics of the web surfaces."""

from ouroboros.entrypoints.reference.markdown import code, page, rows
from ouroboros.entrypoints.surface.metrics import METRICS


def render_metrics() -> str:
    """The page of metrics."""
    cells = [(code(name), kind, told) for name, (kind, told) in METRICS.items()]
    return page(
        "Metrics",
        "Each web surface answers with these on its control socket (`--control-socket`), in the "
        "format of Prometheus 0.0.4, all with the label `slot`. Counters begin with the process: "
        "[the surface](../surface.md).",
        [rows(("metric", "type", "meaning"), cells)],
    )
