"""What a branch's page or a neighbour's backend may not get from the control plane."""

import json
import urllib.error
import urllib.request

import pytest


def ask(published, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{published.instance.api_port}{path}",
        data=None if method == "GET" else b"{}",
        headers=headers,
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/json", "Origin": "http://preview1.localhost:3101"}, 403,
         "foreign_origin"),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, 403,
         "foreign_origin"),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403,
         "foreign_origin"),
        ({"Content-Type": "text/plain"}, 415, "json_required"),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 400, None),
        ({"Content-Type": "application/json"}, 200, None),
    ],
)  # fmt: skip
def test_a_page_of_another_site_cannot_act(published, headers, status, code):
    if headers.get("Host"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{published.instance.api_port}/api/slots", headers=headers
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == status
        refused.value.close()
        return
    found, document = ask(published, "POST", "/api/slots/reap-expired", headers)
    assert found == status
    assert document.get("error") == code


def test_a_slots_password_is_not_handed_out_over_the_network(published):
    status, document = ask(published, "GET", "/api/slots/preview-2/database/url", {})
    assert status == 403
    assert document["error"] == "local_socket_only"
    assert "postgresql://" not in json.dumps(document)


def test_an_unknown_route_and_a_bad_body_are_errors_with_codes(published):
    status, document = ask(published, "GET", "/api/nothing", {})
    assert (status, document["error"]) == (404, "route_not_found")
    status, document = ask(
        published, "POST", "/api/slots/acquire", {"Content-Type": "application/json"}
    )
    assert (status, document["error"], document["ok"]) == (422, "invalid_request", False)
