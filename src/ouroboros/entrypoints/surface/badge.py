"""The small mark on a page that says which run, commit and data one is looking at.

Apart, because it is the only place where the surface changes a byte of a release, and it must
never break a page: it is a script of the same origin (no inline code, so a Content-Security-Policy
with 'self' lets it through), it draws in a closed shadow root after the page has loaded, and a
page whose policy would refuse it is left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ouroboros.entrypoints.surface.text import escape

if TYPE_CHECKING:
    from ouroboros.entrypoints.surface.release import ReleaseInfo

BADGE_PATH = b"/__preview/badge.js"
_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)
_POLICY = re.compile(rb"<meta[^>]+http-equiv=[\"']?content-security-policy[^>]*>", re.IGNORECASE)
_SCRIPT_SOURCES = re.compile(
    r"(?:^|[;\"])\s*(script-src-elem|script-src|default-src)\s+([^;]*)", re.I
)


def with_badge(body: bytes, info: ReleaseInfo) -> bytes:
    """The page with the badge's script tag, or the same object when it must not have one."""
    end = _HEAD_END.search(body)
    if end is None:
        return body
    policies = [m.decode("latin-1") for m in _POLICY.findall(body)]
    for rule in info.headers:
        policies += [v for n, v in rule.values if n.lower() == "content-security-policy"]
    if not all(admits_own_script(policy) for policy in policies):
        return body
    data = {
        "slot": info.slot_id,
        "run": info.run_id,
        "commit": info.commit_sha[:10],
        "branch": info.branch,
        "seed": info.snapshot_version or info.seed_version,
        "data": info.database_fingerprint[:12],
        "since": info.created_at,
    }
    marks = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items() if value)
    tag = f'<script defer src="{BADGE_PATH.decode()}"{marks}></script>'.encode()
    return body[: end.start()] + tag + body[end.start() :]


def admits_own_script(policy: str) -> bool:
    """Whether a Content-Security-Policy lets a script of the same origin run."""
    sources = dict(reversed(_SCRIPT_SOURCES.findall(policy.replace("&#39;", "'"))))
    lowered = {name.lower(): value.lower() for name, value in sources.items()}
    for name in ("script-src-elem", "script-src", "default-src"):
        if name in lowered:
            allowed = lowered[name]
            return "'self'" in allowed and "'strict-dynamic'" not in allowed
    return "sandbox" not in policy.lower()


BADGE_SCRIPT = b"""(function () {
  "use strict";
  var data = (document.currentScript || {dataset: {}}).dataset;
  var key = "ouroboros-badge-hidden:" + (data.run || "");
  function draw() {
    try {
      if (window.top !== window || sessionStorage.getItem(key)) return;
    } catch (e) { return; }
    var host = document.createElement("ouroboros-badge");
    var root = host.attachShadow({mode: "closed"});
    var sheet = new CSSStyleSheet();
    sheet.replaceSync(
      ":host{all:initial;position:fixed;right:12px;bottom:12px;z-index:2147483647}" +
      "div{display:flex;gap:8px;align-items:center;padding:5px 6px 5px 12px;border-radius:99px;" +
      "font:12px/1.4 system-ui,sans-serif;color:#e9e7e2;background:#1c1f1ee8;" +
      "box-shadow:0 1px 6px #0004}b{font-weight:600}span{opacity:.75}" +
      "button{all:unset;cursor:pointer;width:20px;height:20px;" +
      "text-align:center;border-radius:50%}" +
      "button:hover,button:focus-visible{background:#fff3}" +
      "@media(max-width:480px){span{display:none}}@media print{:host{display:none}}");
    root.adoptedStyleSheets = [sheet];
    var box = document.createElement("div");
    box.title = [data.branch, data.since, data.data && "data " + data.data]
      .filter(Boolean).join(" \\u00b7 ");
    function add(name, text) {
      if (!text) return;
      var part = document.createElement(name);
      part.textContent = text;
      box.appendChild(part);
    }
    add("b", data.slot);
    add("span", data.run);
    add("span", data.commit);
    add("span", data.seed && "data " + data.seed);
    var close = document.createElement("button");
    close.textContent = "\\u00d7";
    close.setAttribute("aria-label", "Hide the preview badge");
    close.addEventListener("click", function () {
      try { sessionStorage.setItem(key, "1"); } catch (e) { /* hidden until the next page */ }
      host.remove();
    });
    box.appendChild(close);
    root.appendChild(box);
    document.documentElement.appendChild(host);
  }
  if (document.readyState === "complete") draw();
  else window.addEventListener("load", draw);
})();
"""
