"""The audit log says what was done, whatever else the request says."""

import pytest
from tests.http.conftest import BROWSER
from tests.http.test_access import FORM, sign_in

JSON = {"Content-Type": "application/json"}


def newest(served) -> dict:
    with served.local() as api:
        return api.get("/api/audit", params={"limit": 1}).json()["deeds"][0]


@pytest.mark.parametrize(
    "more",
    [
        '"x": NaN', '"x": 1e999', '"x": "\\u0000"', '"x": "\\ud800"', '"slot": "preview-3"',
        '"publish": "no such"', '"run_id": "\\u0000", "run_id": "honest"',
    ],
)  # fmt: skip
def test_no_body_keeps_an_action_out_of_the_log_or_lays_it_on_another(served, more):
    slot = served.lease("honest")
    assert slot != "preview-3"
    with served.bearer("run", "honest") as api:
        body = f'{{"run_id": "honest", {more}}}'
        done = api.post(f"/api/slots/{slot}/release", content=body, headers=JSON)
    deed = newest(served)
    assert deed["action"] == f"POST /api/slots/{slot}/release"
    assert (deed["slot_id"], deed["status"]) == (slot, done.status_code)


@pytest.mark.parametrize("doubled", ["slot={}&slot=preview-3", "slot={}&run_id=%00"])
def test_a_form_is_recorded_as_it_is_read(served, doubled):
    slot = served.lease("formal")
    cookie, form_token = sign_in(served)
    host = f"ouroboros.localhost:{served.port}"
    headers = {
        **BROWSER, **FORM, "Host": host, "Origin": f"http://{host}",
        "Cookie": cookie.split(";")[0],
    }  # fmt: skip
    with served.tcp(**headers) as browser:
        done = browser.post(
            "/actions/release", content=f"{doubled.format(slot)}&form_token={form_token}"
        )
    deed = newest(served)
    assert (deed["action"], deed["status"]) == ("POST /actions/release", done.status_code)
    assert deed["slot_id"] == slot


@pytest.mark.parametrize("body", ["[" * 200_000, '{"run_id":' * 100_000, "{" * 1000])
def test_a_body_as_deep_as_it_gets_is_refused_and_breaks_nothing(served, body):
    with served.bearer("run", "deep") as api:
        answer = api.post("/api/queue/leave", content=body, headers=JSON)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("origin", ["http://[::1", "http://]", "[", "null"])
def test_an_origin_that_is_no_address_is_foreign(served, origin):
    with served.tcp(Origin=origin, **JSON) as browser:
        answer = browser.post("/api/queue/leave", content="{}")
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"] == "foreign_origin"
