"""Every route by everybody: what is not allowed is denied, whoever asks and for whatever run."""

import re

import pytest

from ouroboros.domain.access import Scope, parse_scope
from ouroboros.entrypoints.http.permissions import rule_of, rules

OWN, FOREIGN = "matrix-own", "matrix-foreign"


def routes(served) -> list[tuple[str, str]]:
    """Every route that is served, found by the table that FastAPI matches with."""
    found = [("GET", path) for path in _page_paths()]
    for path, methods in served.app.openapi()["paths"].items():
        found += [(method.upper(), path) for method in methods]
    return sorted(set(found))


def _page_paths() -> list[str]:
    from ouroboros.entrypoints.http import pages

    paths = []
    for module in pages.MODULES:
        for route in module.router.routes:
            paths += [route.path] if "GET" in route.methods else []
    return paths


def test_every_route_is_in_the_table_and_the_table_has_no_other(served):
    pages_that_act = {"POST /sign-in", "POST /sign-out", "POST /actions/{action}"}
    known = {f"{method} {path}" for method, path in routes(served)} | pages_that_act
    assert known - set(rules()) == set()
    assert set(rules()) - known == set()
    # What keeps foreign pages out looks at these alone (`browsers.refuse_foreign_pages`).
    assert {each.partition(" ")[0] for each in rules()} == {"GET", "POST"}


def test_a_route_that_nobody_thought_about_is_shut(served):
    assert rule_of("GET", "/api/new").scope is Scope.OPERATE
    assert rule_of("POST", "/api/new").run == "nothing"


@pytest.fixture
def world(served):
    """Two runs, each with a slot and a publish; the names of either by the place in a path."""
    made = {}
    for run in (OWN, FOREIGN):
        slot = served.lease(run)
        publish = served.at.publishes.queue(run, "/tmp/nowhere", "main")
        made[run] = {"slot": slot, "publish_id": publish, "run_id": run}
    return made


def fill(path: str, names: dict[str, str]) -> str:
    others = {"name": "nothing-there", "verb": "stop", "token_id": "aaaaaaaa", "digest": "x",
              "action": "extend", "name:path": "live.js", "git_host": "github"}  # fmt: skip
    others["other"] = names["publish_id"]
    return re.sub(r"{([^}]+)}", lambda found: {**others, **names}[found.group(1)], path)


def ask(client, method: str, path: str, names: dict[str, str]) -> int:
    status = _ask(client, method, path, names)
    assert status != 500, (method, path)
    return status


def _ask(client, method: str, path: str, names: dict[str, str]) -> int:
    url = fill(path, names)
    if path == "/api/events/stream":
        with client.stream("GET", url, params={"run_id": names["run_id"]}) as answer:
            return answer.status_code
    if method == "GET":
        return client.get(url, params={"run_id": names["run_id"]}).status_code
    body = {"run_id": names["run_id"]}
    if path == "/api/publishes":
        body |= {"repo": "relative is refused", "ref": "main"}
    elif "queue" not in path and "heartbeat" not in path and not path.endswith("/reset"):
        body |= {"unknown_field": 1}
    return client.post(url, json=body).status_code


# An answer is allowed when it is anything but "who are you" and "you may not".
DENIED = (401, 403)


@pytest.mark.parametrize("who", ["nobody", "read", "run", "operate"])
def test_every_scope_on_every_route(served, world, who):
    if who == "nobody":
        client = served.tcp(**{"X-Forwarded-For": "192.0.2.7"})
        scope = Scope.NONE
    else:
        client, scope = served.bearer(who), parse_scope(who)
    wrong = []
    with client:
        for method, path in routes(served):
            names = world[FOREIGN]
            if path == "/api/slots/{slot}/database/url" and who == "operate":
                continue  # only over the unix socket, whatever the scope
            allowed = scope >= rule_of(method, path).scope
            status = ask(client, method, path, names)
            if (status not in DENIED) != allowed:
                wrong.append((method, path, status))
    assert wrong == []


@pytest.mark.parametrize("scope", ["read", "run"])
@pytest.mark.parametrize("run", [OWN, FOREIGN])
def test_a_token_of_a_run_reaches_nothing_of_another(served, world, scope, run):
    wrong = []
    with served.bearer(scope, OWN) as client:
        for method, path in routes(served):
            rule = rule_of(method, path)
            enough = parse_scope(scope) >= rule.scope
            own = rule.run in ("anything", "signature") or (rule.run != "nothing" and run == OWN)
            status = ask(client, method, path, world[run])
            if (status not in DENIED) != (enough and own):
                wrong.append((method, path, status))
    assert wrong == []


def test_a_token_of_a_run_compares_nothing_with_another_runs_publish(served, world):
    with served.bearer("read", OWN) as client:
        for names in ((OWN, FOREIGN), (FOREIGN, OWN)):
            one, two = (world[name]["publish_id"] for name in names)
            for end in ("", "/picture"):
                answer = client.get(f"/api/publishes/{one}/compare/{two}{end}")
                assert (answer.status_code, answer.json()["error"]) == (403, "foreign_run")


def test_a_browser_that_has_not_signed_in_may_look_and_not_act(served, world):
    wrong = []
    origin = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{served.port}"}
    with served.tcp(**origin) as client:
        for method, path in routes(served):
            allowed = rule_of(method, path).scope <= Scope.READ
            status = ask(client, method, path, world[FOREIGN])
            if (status not in DENIED) != allowed:
                wrong.append((method, path, status))
    assert wrong == []


def test_a_program_of_the_same_user_needs_no_token(served):
    with served.tcp() as client:
        assert client.get("/api/slots").status_code == 200
        assert client.post("/api/slots/reap-expired", json={}).status_code == 200
