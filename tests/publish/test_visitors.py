"""What a visitor sees while a publish works and when it fails, and by the rules of preview.toml."""

import re
import threading
import time
import urllib.error
import urllib.request

from tests.publish.applications import BUILD, PREVIEW_TOML

A_SECOND_S_BUILD = BUILD + "import time\ntime.sleep(1)\n"
NEVER_READY = "import time\ntime.sleep(600)\n"
RULES = (
    PREVIEW_TOML.replace('listen = "port"', 'listen = "port"\nproxy = ["/graphql"]')
    + """
[[redirects]]
from = "/old/*"
to = "/new/:splat"
status = 302
[[redirects]]
source = "/docs"
destination = "https://docs.example.com/"
permanent = true
[[headers]]
for = "/*"
[headers.values]
X-Robots-Tag = "noindex"
"""
)


class Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *_arguments):
        return None


def ask(url: str, **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def page(bench) -> tuple[int, dict[str, str], str]:
    return ask(f"http://127.0.0.1:{bench.instance.web_port(bench.number)}/", Accept="text/html")


def test_a_visitor_sees_the_live_step_and_then_where_it_failed_with_a_link(bench):
    ended = []
    publish = threading.Thread(
        target=lambda: ended.append(
            bench.publish({"build.py": A_SECOND_S_BUILD, "server.py": NEVER_READY}).document
        )
    )
    publish.start()
    seen = set()
    until = time.monotonic() + 120
    while publish.is_alive() and time.monotonic() < until:
        status, headers, text = page(bench)
        if "is being built" in text:
            assert (status, "Refresh" in headers, "Retry-After" in headers) == (503, True, True)
            seen.update(re.findall(r"Step (\d) of \d+</small><br>([^<]+)", text))
    publish.join(60)
    document = ended[0]
    assert document["failed_step"] == "readiness"
    assert {("2", "Build the front end"), ("6", "Readiness gate")} <= seen, seen

    status, headers, text = page(bench)
    assert (status, "could not be built" in text) == (503, True)
    assert "Readiness gate" in text
    (link,) = re.findall(r'<a href="([^"]+)">', text)
    assert link.endswith(f"/publishes/{document['publish_id']}")
    address = re.sub(r"//[^:/]+", "//127.0.0.1", link)
    status, _, text = ask(address, Host=link.split("/")[2], Accept="text/html")
    assert (status, document["publish_id"] in text) == (200, True)


def test_redirects_headers_and_prefixes_of_preview_toml_are_served(bench):
    assert bench.publish({"preview.toml": RULES}).status == 0
    base = f"http://127.0.0.1:{bench.instance.web_port(bench.number)}"
    status, headers, _ = ask(f"{base}/old/a/b?q=1")
    assert (status, headers["Location"]) == (302, "/new/a/b?q=1")
    status, headers, _ = ask(f"{base}/docs")
    assert (status, headers["Location"]) == (308, "https://docs.example.com/")
    assert ask(f"{base}/")[1]["X-Robots-Tag"] == "noindex"
    for path in ("/graphql", "/graphql/deep", "/api/x"):
        assert '"keys"' in ask(base + path)[2], path
    assert '"keys"' not in ask(f"{base}/graphqlike", Accept="text/html")[2]


def test_a_rule_that_could_surprise_ends_the_publish_by_its_key(bench):
    ran = bench.publish({"preview.toml": RULES.replace("/old/*", "/*/old")})
    assert ran.document["error"] == "invalid_preview_toml"
    assert "redirects[0].from" in ran.document["message"]
