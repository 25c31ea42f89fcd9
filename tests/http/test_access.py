"""Who is known, by what, and what nobody else may make a browser do."""

import os
import re
import socket
import subprocess
import sys

import pytest
from tests.http.conftest import BROWSER

from ouroboros.adapters.peer import owner_of_peer
from ouroboros.entrypoints.http.rates import Rates

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sign_in(served) -> tuple[str, str]:
    """A session's cookie and the token that its forms carry."""
    with served.local() as api:
        link = api.post("/api/sign-in-links", json={}).json()["link"]
    secret = link.partition("link=")[2]
    host = f"ouroboros.localhost:{served.port}"
    with served.tcp(**BROWSER, Host=host, Origin=f"http://{host}") as browser:
        answer = browser.post("/sign-in", data={"secret": secret})
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"]
        session = cookie.partition("=")[2].partition(";")[0]
        page = browser.get("/actions/lease", headers={"Cookie": f"ouroboros={session}"}).text
    return cookie, re.search(r'name="form_token" value="([0-9a-f]{64})"', page).group(1)


def test_a_token_is_shown_once_and_only_its_digest_is_kept(served):
    text = served.token("read")
    with served.local() as api:
        assert text not in api.get("/api/tokens").text
    kept = repr(served.sql("SELECT * FROM tokens")) + repr(served.sql("SELECT * FROM audit_log"))
    assert text.split("_", 2)[2] not in kept


def test_a_revoked_an_expired_and_an_altered_token_are_unknown(served):
    text = served.token("operate")
    with served.tcp(Authorization=f"Bearer {text}") as api:
        assert api.get("/api/slots").status_code == 200
        token_id = text.split("_")[1]
        last = "A" if text[-1] != "A" else "B"
        with served.tcp(Authorization=f"Bearer {text[:-1]}{last}") as altered:
            assert altered.get("/api/slots").json()["error"] == "token_unknown"
        served.sql(
            "UPDATE tokens SET expires_at = clock_timestamp() WHERE token_id = %(id)s", id=token_id
        )
        assert api.get("/api/slots").status_code == 401
        other = served.token("operate")
        with served.tcp(Authorization=f"Bearer {other}") as second:
            revoked = second.post(f"/api/tokens/{other.split('_')[1]}/revoke", json={})
            assert revoked.status_code == 200
            assert second.get("/api/slots").status_code == 401


def test_nobody_gives_more_than_he_has(served):
    with served.local() as api:
        refused = api.post("/api/tokens", json={"name": "x", "scope": "operate", "run_id": "r"})
    assert refused.json()["error"] == "invalid_token"
    with served.bearer("run") as api:
        assert api.post("/api/tokens", json={"name": "x", "scope": "read"}).status_code == 403


def test_a_link_signs_in_once(served):
    with served.local() as api:
        secret = api.post("/api/sign-in-links", json={}).json()["link"].partition("link=")[2]
    host = f"ouroboros.localhost:{served.port}"
    with served.tcp(**BROWSER, Host=host, Origin=f"http://{host}") as browser:
        # Looking at the link does not use it up.
        assert browser.get("/sign-in", params={"link": secret}).status_code == 200
        first = browser.post("/sign-in", data={"secret": secret})
        browser.cookies.clear()
        again = browser.post("/sign-in", data={"secret": secret})
    assert first.status_code == 303
    assert again.status_code == 403
    assert "link_used" in again.text


def test_the_cookie_is_bound_to_its_host_and_not_sent_from_elsewhere(served):
    cookie, _ = sign_in(served)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Domain" not in cookie
    with served.local() as api:
        secret = api.post("/api/sign-in-links", json={}).json()["link"].partition("link=")[2]
        https = {"X-Forwarded-Proto": "https", "Content-Type": "application/x-www-form-urlencoded"}
        answer = api.post("/sign-in", content=f"secret={secret}", headers=https)
    assert answer.headers["set-cookie"].startswith("__Host-ouroboros=")
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("form_token", ["right", "wrong", "missing"])
def test_a_form_without_the_sessions_token_does_nothing(served, form_token):
    cookie, right = sign_in(served)
    slot = served.lease("form-run")
    before = served.at.slots.get(served.at.settings.pool.parse(slot))["expires_at"]
    fields = {"slot": slot, "form_token": right if form_token == "right" else "0" * 64}
    if form_token == "missing":
        del fields["form_token"]
    host = f"ouroboros.localhost:{served.port}"
    headers = {**BROWSER, "Host": host, "Origin": f"http://{host}", "Cookie": cookie.split(";")[0]}
    with served.tcp(**headers) as browser:
        answer = browser.post("/actions/extend", data=fields)
    after = served.at.slots.get(served.at.settings.pool.parse(slot))["expires_at"]
    if form_token == "right":
        assert answer.status_code == 303, answer.text
        assert after > before
    else:
        assert answer.status_code == 403
        assert after == before


def test_a_sessions_json_needs_the_token_of_its_page(served):
    cookie, right = sign_in(served)
    host = f"ouroboros.localhost:{served.port}"
    headers = {"Host": host, "Origin": f"http://{host}", "Cookie": cookie.split(";")[0]}
    with served.tcp(**headers) as browser:
        refused = browser.post("/api/slots/reap-expired", json={})
        done = browser.post("/api/slots/reap-expired", json={}, headers={"X-Form-Token": right})
    assert refused.json()["error"] == "form_token_missing"
    assert done.status_code == 200


def test_signing_out_ends_the_session(served):
    cookie, _ = sign_in(served)
    host = f"ouroboros.localhost:{served.port}"
    headers = {**BROWSER, "Host": host, "Origin": f"http://{host}", "Cookie": cookie.split(";")[0]}
    with served.tcp(**headers) as browser:
        assert browser.get("/access").status_code == 200
        assert browser.post("/sign-out", content="", headers=FORM).status_code == 303
        assert browser.get("/access").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://preview1.localhost:3101"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
    ],
)
def test_another_sites_page_does_nothing_whatever_the_route(served, headers):
    cookie, form_token = sign_in(served)
    sent = {**headers, "Cookie": cookie.split(";")[0]}
    with served.tcp(**sent) as browser:
        for answer in (
            browser.post("/api/slots/reap-expired", json={}),
            browser.post("/actions/lease", data={"run_id": "x", "form_token": form_token}),
            browser.post("/sign-out", content="", headers=FORM),
        ):
            assert (answer.status_code, "foreign_origin" in answer.text) == (403, True)


def test_a_proxys_request_is_not_that_of_a_local_program(served):
    for name in ("Forwarded", "X-Forwarded-For", "Via"):
        with served.tcp(**{name: "192.0.2.7"}) as api:
            assert api.get("/api/slots").status_code == 401


def test_another_host_name_is_refused(served):
    with served.tcp(Host="evil.example") as api:
        assert api.get("/api/slots").status_code == 400


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_program_of_another_user_is_nobody(served):
    asking = f"""
import os, socket
os.setuid(65534)
with socket.socket() as api:
    api.connect(("127.0.0.1", {served.port}))
    api.sendall(b"GET /api/slots HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    print(api.recv(64).split()[1].decode())
"""
    done = subprocess.run(
        [sys.executable, "-c", asking], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "401"


def test_the_owner_of_a_closed_socket_is_not_taken_for_root():
    """Of a socket without an owner the kernel says user 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asking = socket.create_connection(listener.getsockname())
        served_end, peer = listener.accept()
        with served_end:
            own = served_end.getsockname()
            assert owner_of_peer(own, peer) == os.getuid()
            asking.close()
            assert owner_of_peer(own, peer) is None
            assert owner_of_peer(own, ("127.0.0.1", 1)) is None


def test_unknown_tokens_are_slowed_down(served):
    with served.tcp(Authorization="Bearer ouro_aaaaaaaa_nothing") as api:
        statuses = [api.get("/api/slots").status_code for _ in range(40)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    # A known one of the same machine is not slowed down with them.
    with served.bearer("read") as api:
        assert api.get("/api/slots").status_code == 200


def test_a_bucket_fills_again_with_time():
    now = [0.0]
    rates = Rates(per_s=1, burst=2, clock=lambda: now[0])
    assert [rates.take("a"), rates.take("a"), rates.take("a")] == [True, True, False]
    assert rates.take("b")
    now[0] = 1.0
    assert rates.take("a")


def test_every_action_is_in_the_audit_log_with_what_it_changed(served):
    slot = served.lease("audited")
    text = served.token("run", "audited")
    with served.tcp(Authorization=f"Bearer {text}") as api:
        done = api.post("/api/queue/leave", json={"run_id": "audited"})
        denied = api.post(f"/api/slots/{slot}/release", json={"run_id": "somebody-else"})
        assert (done.status_code, denied.status_code) == (200, 403)
    with served.local() as api:
        deeds = api.get("/api/audit", params={"limit": 3}).json()["deeds"]
    refused, left, made = deeds
    assert made["action"] == "POST /api/tokens"
    assert left["who"] == f"token run of audited ({text.split('_')[1]})"
    assert (left["slot_id"], left["before"]["run_id"]) == (slot, "audited")
    assert (refused["status"], refused["error"]) == (403, "foreign_run")
    with pytest.raises(Exception, match="append-only"):
        served.sql("DELETE FROM audit_log")
