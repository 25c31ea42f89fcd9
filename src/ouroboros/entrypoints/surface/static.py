"""Which file of a release answers a request, and how: the rules of RFC 9110 for representations.

Apart from the connection as a function of a pinned view and a request: it decides content
coding, conditions, ranges, redirects and the fallback of single-page applications.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from itertools import pairwise

from ouroboros.entrypoints.surface import media
from ouroboros.entrypoints.surface.answer import Answer, problem
from ouroboros.entrypoints.surface.badge import BADGE_PATH, BADGE_SCRIPT
from ouroboros.entrypoints.surface.refusal import Refusal
from ouroboros.entrypoints.surface.release import Entry, Release
from ouroboros.entrypoints.surface.representation import Representation
from ouroboros.entrypoints.surface.request import Request
from ouroboros.entrypoints.surface.rules import Redirect, with_headers
from ouroboros.entrypoints.surface.view import View

RANGES = 16
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_NEVER_ENCODED = re.compile(rb"%(?:2[fF]|5[cC]|00)")
_NOT_PLAIN = re.compile(rb"/\.{1,2}(?:/|$)|//|\\")
_ONE_RANGE = re.compile(rb"(\d{1,18})?-(\d{1,18})?")
_CODING = re.compile(rb"([^;\s]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*", re.IGNORECASE)
_PREFERENCE = {b"br": 3, b"zstd": 2, b"gzip": 1}


def answer_static(view: View, release: Release, request: Request) -> Answer:
    """Answer a request from the index of a release. Raises `Refusal` (404, 405, 416)."""
    if request.method not in (b"GET", b"HEAD"):
        if request.method == b"OPTIONS":
            return Answer(204, b"Allow: GET, HEAD, OPTIONS\r\n", fixed=True)
        raise Refusal(405, "method_not_allowed", "Files are read with GET.", fatal=False)
    if request.path == BADGE_PATH:
        lines = (
            b"Content-Type: text/javascript; charset=utf-8\r\nCache-Control: no-cache\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n" % len(BADGE_SCRIPT)
        )
        return Answer(200, lines, BADGE_SCRIPT, fixed=True)
    path = plain_path(request.path)
    answer = _redirected(release, request, forced=True)
    if answer is None:
        answer = _from_index(view, release, request, path)
    if answer is None:
        answer = _redirected(release, request, forced=False)
    if answer is None:
        answer = _fallback(release, request, path)
    return answer


def plain_path(raw: bytes) -> bytes:
    """Undo percent-encoding for the look-up. Raises `Refusal` (404) for what names no file.

    An encoded slash, backslash or NUL and dot segments are never in the index; saying so here
    keeps them from reaching the fallback of a single-page application.
    """
    if b"%" in raw:
        if _NEVER_ENCODED.search(raw):
            raise Refusal(404, "no_such_path", "No file has such a path.", fatal=False)
        raw = _ESCAPE.sub(lambda found: bytes((int(found.group(1), 16),)), raw)
    if (b"/." in raw or b"//" in raw or b"\\" in raw) and _NOT_PLAIN.search(raw):
        raise Refusal(404, "no_such_path", "No file has such a path.", fatal=False)
    return raw


def _from_index(view: View, release: Release, request: Request, path: bytes) -> Answer | None:
    entries = release.entries
    entry = entries.get(path)
    if entry is None:
        if path.endswith(b"/"):
            entry = entries.get(path + b"index.html")
        elif path + b"/index.html" in entries and path + b".html" not in entries:
            query = b"?" + request.query if request.query else b""
            return _moved(301, request.path + b"/" + query)
        else:
            entry = entries.get(path + b".html")
    if entry is None and media.may_be_fingerprinted(path.decode("utf-8", "replace")):
        # A page of the previous release may still be open and ask for its own assets.
        for former in view.former():
            found = former.entries.get(path)
            if found is not None and not found.is_document:
                return represent(found, former, request, 200)
    return None if entry is None else represent(entry, release, request, 200, is_own=True)


def _redirected(release: Release, request: Request, *, forced: bool) -> Answer | None:
    for rule in release.info.redirects:
        if rule.force == forced:
            target = rule.apply(request.path)
            if target is not None:
                return _follow(rule, target, release, request)
    return None


def _follow(rule: Redirect, target: bytes, release: Release, request: Request) -> Answer | None:
    if rule.status in (200, 404, 410):
        entry = release.entries.get(target.partition(b"?")[0])
        if entry is None:
            entry = release.entries.get(target.rstrip(b"/") + b"/index.html")
        return None if entry is None else represent(entry, release, request, rule.status)
    if request.query and b"?" not in target:
        target += b"?" + request.query
    return None if target == request.target else _moved(rule.status, target)


def _moved(status: int, location: bytes) -> Answer:
    return Answer(
        status,
        b"Location: " + location + b"\r\nContent-Length: 0\r\nCache-Control: no-cache\r\n",
        fixed=True,
    )


def _fallback(release: Release, request: Request, path: bytes) -> Answer:
    is_page = request.fields.navigation and not media.looks_like_asset(
        path.decode("utf-8", "replace")
    )
    if is_page and release.info.spa:
        entry = release.entries.get(b"/index.html")
        if entry is not None:
            return represent(entry, release, request, 200)
    if is_page:
        entry = release.entries.get(b"/404.html")
        if entry is not None:
            return represent(entry, release, request, 404)
    raise Refusal(404, "not_found", "This release has no such file.", fatal=False)


def represent(
    entry: Entry, release: Release, request: Request, status: int, *, is_own: bool = False
) -> Answer:
    """Send an entry in the best coding, whole or in ranges, or say that it has not changed.

    `is_own` says that the path alone led to the entry.
    """
    first = request.fields.first
    form = entry.identity
    if entry.variants:
        form = choose(entry, first.get(b"accept-encoding", b""))
    rules = release.info.headers
    if status == 200 and not rules and not request.fields.is_conditional:
        answer = _whole(form, Answer(200, form.ready, fixed=True))
        answer.by_path = is_own
        return answer
    lines = with_headers(form.lines, rules, request.path) if rules else form.lines
    if status == 200:
        match = first.get(b"if-match")
        if match is not None and not tag_listed(match, form.tag, weak=False):
            return problem(412, "precondition_failed", "The file is not the expected one.")
        if tag_listed(first.get(b"if-none-match", b""), form.tag, weak=True):
            return Answer(304, lines, fixed=True)
        wanted = first.get(b"range")
        if wanted is not None and request.method == b"GET":
            condition = first.get(b"if-range")
            if condition is None or condition == form.tag:
                ranges = read_ranges(wanted, form.size)
                if ranges is not None:
                    return partial(form, lines, ranges)
    lines += b"Accept-Ranges: bytes\r\nContent-Length: %d\r\n" % form.size
    return _whole(form, Answer(status, lines, fixed=True))


def _whole(form: Representation, answer: Answer) -> Answer:
    if form.body is not None:
        answer.body = form.body
    elif form.file is not None:
        answer.file = form.file.open()
        answer.stop = form.size
    return answer


def partial(form: Representation, lines: bytes, ranges: list[tuple[int, int]]) -> Answer:
    """206 with one range or with multipart/byteranges (RFC 9110, section 15.3.7)."""
    if not ranges:
        extra = b"Content-Range: bytes */%d\r\n" % form.size
        return problem(416, "range_not_satisfiable", "No such part of the file.", extra)
    if len(ranges) == 1:
        start, stop = ranges[0]
        lines += b"Accept-Ranges: bytes\r\nContent-Length: %d\r\n" % (stop - start)
        lines += b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, form.size)
        answer = Answer(206, lines, fixed=True)
        if form.body is not None:
            answer.body = form.body[start:stop]
        elif form.file is not None:
            answer.file = form.file.open()
            answer.start, answer.stop = start, stop
        return answer
    kind = re.search(rb"Content-Type: ([^\r]*)\r\n", lines)
    mark = os.urandom(12).hex().encode()
    parts = []
    for start, stop in ranges:
        parts += [
            b"\r\n--" + mark + b"\r\nContent-Type: " + (kind.group(1) if kind else b"") + b"\r\n"
            b"Content-Range: bytes %d-%d/%d\r\n\r\n" % (start, stop - 1, form.size),
            form.read(start, stop),
        ]
    body = b"".join((*parts, b"\r\n--" + mark + b"--\r\n"))
    lines = re.sub(rb"Content-Type: [^\r]*\r\n", b"", lines)
    lines += b"Content-Type: multipart/byteranges; boundary=" + mark
    return Answer(206, lines + b"\r\nContent-Length: %d\r\n" % len(body), body)


def read_ranges(value: bytes, size: int) -> list[tuple[int, int]] | None:
    """Half-open ranges from a Range field; None when the field is to be ignored.

    An empty list means that nothing of it can be satisfied. More than 16 ranges, overlapping
    ones or ones that add up to more than the file are ignored (RFC 9110, section 14.2).
    """
    unit, _, text = value.partition(b"=")
    specs = [spec.strip(b" \t") for spec in text.split(b",")]
    if unit.strip().lower() != b"bytes" or len(specs) > RANGES:
        return None
    ranges = []
    for spec in specs:
        match = _ONE_RANGE.fullmatch(spec)
        if match is None or spec == b"-":
            return None
        low, high = match.groups()
        if low is None:
            start, stop = max(0, size - int(high)), size
        else:
            start, stop = int(low), size if high is None else min(size, int(high) + 1)
            if high is not None and int(high) < start:
                return None
        if start < stop:
            ranges.append((start, stop))
    ordered = sorted(ranges)
    if any(a[1] > b[0] for a, b in pairwise(ordered)):
        return None
    if len(ranges) > 1 and sum(stop - start for start, stop in ranges) > 1024 * 1024:
        return None
    return ranges


def tag_listed(value: bytes, tag: bytes, *, weak: bool) -> bool:
    """Whether an If-Match or If-None-Match field names the tag (weak comparison or strong)."""
    if not value:
        return False
    if value.strip() == b"*":
        return True
    for item in value.split(b","):
        listed = item.strip(b" \t")
        if listed == tag or (weak and listed == b"W/" + tag):
            return True
    return False


def choose(entry: Entry, accepted: bytes) -> Representation:
    """The best form of an entry for an Accept-Encoding field (RFC 9110, section 12.5.3)."""
    weights = read_codings(accepted)
    best, best_rank = entry.identity, (weights.get(b"identity", 0.0001), 0)
    for coding, form in entry.variants.items():
        rank = (weights.get(coding, weights.get(b"*", 0.0)), _PREFERENCE[coding])
        if rank[0] > 0 and rank > best_rank:
            best, best_rank = form, rank
    return best


@lru_cache(maxsize=64)
def read_codings(accepted: bytes) -> dict[bytes, float]:
    """The q-value of each coding in an Accept-Encoding field; what is not understood is left."""
    weights: dict[bytes, float] = {}
    for item in accepted.split(b",")[:32]:
        match = _CODING.fullmatch(item.strip(b" \t"))
        if match is not None:
            name, weight = match.groups()
            weights[name.lower()] = float(weight) if weight is not None else 1.0
    return weights
