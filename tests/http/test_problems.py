"""Failures are told in one form, whoever refuses."""

import re
import socket

import pytest

from ouroboros.domain.errors import BadInput
from ouroboros.domain.identifiers import parse_run_id


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/api/nothing", None, 404, "route_not_found"),
        ("GET", "/api/runs/never-seen", None, 404, "run_not_found"),
        ("GET", "/api/publishes/p999999", None, 404, "publish_not_found"),
        ("DELETE", "/api/slots", {}, 405, "method_not_allowed"),
        ("POST", "/api/publishes", {"run_id": "no"}, 422, "invalid_request"),
        ("POST", "/api/publishes", {"run_id": "no-lease", "repo": "/x", "ref": "m"}, 409,
         "no_lease"),
        ("GET", "/api/events?limit=0", None, 422, "invalid_request"),
        ("GET", "/api/events?before=99999999999999999999", None, 422, "invalid_request"),
        ("GET", "/api/slots/preview-01/backend", None, 422, "invalid_slot"),
        ("POST", "/api/publishes", {"run_id": "x" * (1 << 20)}, 413, "body_too_large"),
    ],
)  # fmt: skip
def test_a_failure_is_a_problem_document_with_our_code(served, method, path, sent, status, code):
    with served.tcp() as api:
        answer = api.request(method, path, json=sent)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["error"]) == (status, code)
    assert document["type"] == f"urn:ouroboros:error:{code}"
    assert document["detail"] == document["message"]
    assert document["ok"] is False
    assert document["instance"] == path.partition("?")[0]


def test_a_body_without_end_is_refused_before_it_ends(served):
    """Else whoever may ask at all could fill the memory; it is answered while it still comes."""
    with served.tcp() as api:
        address = (api.base_url.host, api.base_url.port)
    head = (
        f"POST /api/publishes HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
    )
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head.encode() + b" " * (1 << 20) + b" ")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_refused_method_names_those_that_are_not(served):
    with served.tcp() as api:
        assert api.put("/api/slots", json={}).headers["allow"] == "GET"


def test_a_person_gets_a_page(served):
    with served.tcp(Accept="text/html") as browser:
        answer = browser.get("/nothing")
        unknown = browser.get("/slots/preview-99")
    assert (answer.status_code, unknown.status_code) == (404, 422)
    assert "text/html" in answer.headers["content-type"]
    assert "preview-99" in unknown.text


def test_the_description_is_openapi_3_1_and_says_how_it_fails(served):
    with served.tcp() as api:
        described = api.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert "default" in route["responses"], (method, path)
            assert route["description"], (method, path)
    problem = described["components"]["schemas"]["Problem"]
    assert {"type", "status", "detail", "error", "hint"} <= set(problem["properties"])
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_what_the_description_says_of_names_is_what_is_read(served):
    with served.tcp() as api:
        described = api.get("/openapi.json").json()
    run_id = described["components"]["schemas"]["PublishRequest"]["properties"]["run_id"]
    for text in ("a", "a" * 64, "A-1", "-a", "", "a" * 65, "a_b", "a\n"):
        fits = re.search(run_id["pattern"].replace("$", r"\Z"), text) is not None
        try:
            parse_run_id(text)
        except BadInput:
            assert not fits, text
        else:
            assert fits, text
    releases = described["paths"]["/api/slots/{slot}/releases"]["get"]["parameters"][0]
    assert releases["schema"]["enum"] == [slot.id for slot in served.at.settings.pool]


def test_every_body_has_an_example(served):
    with served.tcp() as api:
        described = api.get("/openapi.json").json()
    without = []
    for path, methods in described["paths"].items():
        body = methods.get("post", {}).get("requestBody")
        if body is None:
            continue
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        if not described["components"]["schemas"][name].get("examples"):
            without.append((path, name))
    assert without == []


def test_a_reset_that_failed_is_shown_like_the_others(served):
    """Its details are an error, and hold no fingerprint."""
    served.sql(
        "INSERT INTO preview_db_resets (slot_id, db_name, strategy, seed_version, reset_status,"
        " reset_completed_at, details) VALUES ('preview-1', 'app_preview_1', 'seed', 'v1',"
        " 'failed', clock_timestamp(), '{\"error\": \"seed_failed\"}')"
    )
    with served.bearer("read") as api:
        for page in ("/databases", "/slots/preview-1"):
            assert api.get(page, headers={"Accept": "text/html"}).status_code == 200, page
