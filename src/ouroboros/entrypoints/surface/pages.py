"""The pages of the surface itself: the states of a slot, and errors for people and programs.

Apart, because they are words and looks. One plain page without script or outside resource; it
asks again by itself (a Refresh field) as long as what it says is going to change.
"""

from __future__ import annotations

from ouroboros.entrypoints.surface.answer import REASONS, Answer, problem, text_answer
from ouroboros.entrypoints.surface.request import Request
from ouroboros.entrypoints.surface.text import escape
from ouroboros.entrypoints.surface.view import SlotState, View

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root{{color-scheme:light dark;--ink:#20231f;--soft:#696d66;--line:#dcd9d0;--paper:#faf8f3;
--mark:{mark}}}
@media(prefers-color-scheme:dark){{:root{{--ink:#eceae4;--soft:#a3a69f;--line:#3a3d39;
--paper:#191b19}}}}
*{{box-sizing:border-box}}
body{{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;background:var(--paper);
color:var(--ink);font:17px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}}
main{{width:100%;max-width:34rem}}
.mark{{width:14px;height:14px;border-radius:50%;background:var(--mark);margin-bottom:20px}}
.busy{{animation:breathe 1.8s ease-in-out infinite}}
@keyframes breathe{{50%{{opacity:.25}}}}
@media(prefers-reduced-motion:reduce){{.busy{{animation:none}}}}
h1{{font-size:1.75rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 10px;font-weight:640}}
p{{margin:0 0 14px;max-width:32rem;overflow-wrap:anywhere}}
dl{{display:grid;grid-template-columns:auto 1fr;gap:6px 20px;margin:26px 0 0;padding-top:18px;
border-top:1px solid var(--line);font-size:.875rem}}
dt{{color:var(--soft)}}dd{{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}}
.track{{height:6px;border-radius:3px;background:var(--line);overflow:hidden;margin:18px 0 8px}}
.track i{{display:block;height:100%;background:var(--mark);width:{share}%}}
a{{color:inherit;text-underline-offset:3px}}small{{color:var(--soft)}}
</style>
</head>
<body>
<main>
<div class="mark{busy}"></div>
<h1>{title}</h1>
{body}
{facts}
</main>
</body>
</html>
"""
_CALM, _BUSY, _BAD = "#7d8a78", "#c98a1b", "#c0483a"
_POLICY = b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"


def state_answer(view: View, request: Request) -> Answer:
    """Say what state the slot is in; for a person a page, for a program problem+json."""
    state = view.state
    status, title, text, mark, refresh = _words(state, view.slot_id)
    extra = b"Retry-After: %d\r\n" % refresh if status == 503 else b""
    if not request.fields.navigation:
        return problem(status, f"slot_{state.state}", title, extra, slot_id=view.slot_id)
    body = f"<p>{text}</p>"
    share = 0
    if state.state == "building" and state.step:
        share = 100 * max(state.step_position - 1, 0) // max(state.step_count, 1)
        share = min(100, max(4, share))
        count = f"Step {state.step_position} of {state.step_count}" if state.step_count else "Now"
        body += (
            f'<div class="track"><i></i></div><p><small>{count}</small><br>{escape(state.step)}</p>'
        )
    elif state.state == "failed":
        body += f"<p>{escape(state.message)}</p>" if state.message else ""
        if state.log_url.startswith(("http://", "https://", "/")):
            body += f'<p><a href="{escape(state.log_url)}">Read the log of this publish</a></p>'
    facts = [("Slot", view.slot_id), ("Run", state.run_id), ("Branch", state.branch)]
    facts += [("Commit", state.commit_sha[:12]), ("Since", state.since)]
    return page(status, title, body, facts, mark, extra, refresh=refresh, share=share)


def _words(state: SlotState, slot: str) -> tuple[int, str, str, str, int]:
    slot = escape(slot)
    match state.state:
        case "building":
            text = "It appears here as soon as it is ready; this page asks again by itself."
            return 503, "This preview is being built", text, _BUSY, 2
        case "ready":
            return 503, "This preview is coming up", "It is about to appear here.", _BUSY, 1
        case "failed":
            where = f" at the step {escape(state.step)}" if state.step else ""
            text = f"The publish ended{where}, and there is no earlier preview to show."
            return 503, "This preview could not be built", text, _BAD, 10
        case "expired":
            text = "Its lease has ended and the slot was given back. Publish again to see it."
            return 410, "This preview has expired", text, _CALM, 15
        case _:
            text = f"No run holds {slot} at the moment. A published preview appears here by itself."
            return 404, "This slot is free", text, _CALM, 15


def error_answer(
    status: int, code: str, detail: str, request: Request | None, view: View
) -> Answer:
    """An error in the form that the client understands: a page for a navigation, else JSON."""
    extra = view.lines
    if status == 405:
        extra += b"Allow: GET, HEAD, OPTIONS\r\n"
    if status in (502, 503, 504):
        extra += b"Retry-After: 2\r\n"
    if request is None or not request.fields.navigation or not _wants_html(request):
        return problem(status, code, detail, extra, slot_id=view.slot_id)
    titles = {
        404: "There is nothing at this address",
        502: "The backend of this preview is not answering",
        503: "The backend of this preview is busy",
        504: "The backend of this preview is taking too long",
    }
    facts = [("Slot", view.slot_id), ("Status", f"{status} {REASONS[status]}")]
    facts += [("Run", view.info.run_id), ("Commit", view.info.commit_sha[:12])]
    refresh = 3 if status in (502, 503, 504) else 0
    mark = _BAD if status >= 500 else _CALM
    title = titles.get(status, REASONS[status])
    return page(status, title, f"<p>{escape(detail)}</p>", facts, mark, extra, refresh=refresh)


def _wants_html(request: Request) -> bool:
    return b"text/html" in request.fields.first.get(b"accept", b"")


def page(
    status: int,
    title: str,
    body: str,
    facts: list[tuple[str, str]],
    mark: str,
    extra: bytes,
    *,
    refresh: int,
    share: int = 0,
) -> Answer:
    """A page of the one plain look; `refresh` in seconds, 0 for never."""
    rows = "".join(f"<dt>{n}</dt><dd>{escape(v)}</dd>" for n, v in facts if v)
    text = _PAGE.format(
        title=escape(title),
        body=body,
        facts=f"<dl>{rows}</dl>" if rows else "",
        mark=mark,
        share=share,
        busy=" busy" if mark == _BUSY else "",
    )
    if refresh:
        extra += b"Refresh: %d\r\n" % refresh
    return text_answer(status, "text/html; charset=utf-8", text.encode(), extra + _POLICY)
