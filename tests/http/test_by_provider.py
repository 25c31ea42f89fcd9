"""Signing in by a team's provider: what comes back is believed only when all of it is proven."""

import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey
from tests.e2e.test_browser import CHROMIUM, FLAGS
from tests.http.conftest import BROWSER, Served, serve
from tests.http.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider
from tests.ports import reserve_ports

from ouroboros.adapters.identity_provider import AT_A_TIME
from ouroboros.bootstrap import team_sign_in
from ouroboros.domain.access import Scope
from ouroboros.domain.errors import BadInput
from ouroboros.domain.team import Team, parse_members
from ouroboros.settings import read_settings

GONE = "http://127.0.0.1:1"
MEMBERS = "@example.com=read,developers=run,operators=operate"


class Stay(urllib.request.HTTPErrorProcessor):
    """Follows no redirect: where it leads is what is looked at."""

    def http_response(self, request, response):
        return response


@dataclass
class TeamInstallation:
    """A served API that knows a provider, and the way through both."""

    served: Served
    provider: OpenIdProvider

    @property
    def address(self) -> str:
        return f"http://ouroboros.localhost:{self.served.port}"

    def browser(self) -> httpx.Client:
        host = urlsplit(self.address).netloc
        return self.served.tcp(**BROWSER, Host=host)

    def begin(self, browser: httpx.Client) -> str:
        """Go to the provider; returns the path that it sends the browser back to."""
        left = browser.get("/sign-in/oidc")
        assert left.status_code == 303, left.text
        with urllib.request.build_opener(Stay).open(left.headers["location"]) as answer:
            back = answer.headers["location"]
        assert back.startswith(f"{self.address}/sign-in/oidc/callback?")
        return back.removeprefix(self.address)

    def sign_in(self) -> httpx.Response:
        with self.browser() as browser:
            return browser.get(self.begin(browser))


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    running = OpenIdProvider()
    yield running
    running.close()


@pytest.fixture(scope="module")
def served_team(served, provider) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="obt", dir="/tmp"))
    secret = directory / "secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    team = Team(provider.issuer, CLIENT_ID, parse_members(MEMBERS), secret)
    port = reserve_ports()
    settings = replace(served.at.settings, team=team, api_port=port)
    sign_in = team_sign_in(settings, served.at.tokens.store)
    with serve(replace(served.at, settings=settings, team=sign_in), directory, port) as running:
        yield running
    secret.unlink()
    (directory / "api.sock").unlink(missing_ok=True)
    directory.rmdir()


@pytest.fixture
def team(served_team, provider) -> TeamInstallation:
    provider.reset()
    # Nothing of another test's provider is remembered.
    served_team.at.team.provider.__init__(served_team.at.settings.team)
    return TeamInstallation(served_team, provider)


def scope_of(team: TeamInstallation, answer: httpx.Response) -> str:
    """The scope of the session that an answer brought."""
    session = re.search(r"ouroboros=(ouros_[^;]+)", answer.headers["set-cookie"]).group(1)
    row = team.served.sql(
        "SELECT name, scope FROM tokens WHERE token_id = %(id)s", id=session.split("_")[1]
    )[0]
    assert row["name"] == team.provider.person["email"]
    return row["scope"]


def test_a_member_signs_in_and_has_the_scope_of_the_widest_rule(team):
    answer = team.sign_in()
    assert answer.status_code == 200, answer.text
    assert answer.headers["refresh"] == "0; url=/"
    assert scope_of(team, answer) == "run"
    team.provider.person["groups"] = ["operators", "developers"]
    assert scope_of(team, team.sign_in()) == "operate"
    team.provider.person["groups"] = []
    assert scope_of(team, team.sign_in()) == "read"


def test_the_session_is_one_like_any_other(team):
    with team.browser() as browser:
        done = browser.get(team.begin(browser))
        cookies = done.headers.get_list("set-cookie")
        session = next(cookie for cookie in cookies if cookie.startswith("ouroboros=ouros_"))
        assert "HttpOnly" in session
        assert "SameSite=strict" in session
        # What the sign-in began with is gone from the browser.
        assert any(c.startswith('ouroboros-sign-in="";') and "Max-Age=0" in c for c in cookies)
        headers = {"Cookie": session.split(";")[0]}
        assert browser.get("/access", headers=headers).status_code == 403
        assert "ada@example.com" in browser.get("/", headers=headers).text


def test_groups_that_only_userinfo_tells_count(team):
    team.provider.claims = {"groups": None}
    team.provider.told_later = {"groups": ["operators"]}
    assert scope_of(team, team.sign_in()) == "operate"


def test_userinfo_of_another_person_is_refused(team):
    team.provider.claims = {"groups": None}
    team.provider.told_later = {"sub": "somebody else", "groups": ["operators"]}
    assert "identity_not_proven" in team.sign_in().text


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": ["another-client", "ouroboros"], "azp": "another-client"}, "azp"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": int(time.time()) + 3600}, "issued in the future"),
        ({"sub": None}, "sub"),
    ],
)
def test_an_id_token_that_does_not_prove_it_signs_nobody_in(team, claims, reason):
    team.provider.claims = claims
    answer = team.sign_in()
    assert (answer.status_code, "identity_not_proven" in answer.text) == (403, True), answer.text
    assert re.search(reason, answer.text), answer.text
    assert "ouros_" not in answer.headers.get("set-cookie", "")


def test_a_signature_by_another_key_is_refused(team):
    team.provider.signer = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
    assert "identity_not_proven" in team.sign_in().text


def test_a_signature_by_what_the_client_knows_is_refused(team):
    """HS256 over the client's secret: whoever has that could say to be anybody."""
    team.provider.signer = OctKey.import_key(CLIENT_SECRET, {"kid": "first"})
    team.provider.algorithm = "HS256"
    assert "identity_not_proven" in team.sign_in().text


def test_an_unsigned_token_is_refused(team, monkeypatch):
    signed = team.provider._id_token

    def unsigned(nonce: str) -> str:
        return f"eyJhbGciOiJub25lIn0.{signed(nonce).split('.')[1]}."

    monkeypatch.setattr(team.provider, "_id_token", unsigned)
    assert "identity_not_proven" in team.sign_in().text


def test_a_key_that_the_provider_changed_is_asked_for(team):
    assert team.sign_in().status_code == 200
    before = team.provider.key
    try:
        team.provider.key = RSAKey.generate_key(2048, {"kid": "second"}, private=True)
        team.provider.signer = team.provider.key
        # Not at once again: whoever makes up names of keys must not make us ask all the time.
        assert "identity_not_proven" in team.sign_in().text
        team.served.at.team.provider._keys_at_s -= 31
        assert team.sign_in().status_code == 200
    finally:
        team.provider.key = before


@pytest.mark.parametrize(
    ("person", "says"),
    [
        ({"groups": ["cleaners"], "email": "eve@elsewhere.example"}, "not_a_member"),
        ({"groups": [], "email_verified": False}, "not_a_member"),
        ({"groups": [], "email": "eve@example.com.evil.example"}, "not_a_member"),
        ({"groups": [], "email": "eve@sub.example.com"}, "not_a_member"),
        ({"groups": ["@example.com"], "email": "eve@elsewhere.example"}, "not_a_member"),
    ],
)
def test_whom_no_rule_knows_stays_outside(team, person, says):
    team.provider.person |= person
    answer = team.sign_in()
    assert (answer.status_code, says in answer.text) == (403, True)


def test_a_code_is_used_once_also_by_a_browser_that_kept_everything(team):
    with team.browser() as browser:
        back = team.begin(browser)
        kept = dict(browser.cookies)
        assert browser.get(back).status_code == 200
        without = browser.get(back)
        assert "sign_in_interrupted" in without.text
        browser.cookies.update(kept)
        again = browser.get(back)
        assert (again.status_code, "provider_refused" in again.text) == (403, True)
        assert "invalid_grant" in again.text


def test_a_sign_in_is_used_once_also_where_the_provider_does_not_care(team):
    with team.browser() as browser:
        back = team.begin(browser)
        kept, codes = dict(browser.cookies), dict(team.provider.codes)
        assert browser.get(back).status_code == 200
        browser.cookies.update(kept)
        team.provider.codes |= codes
        again = browser.get(back)
        assert (again.status_code, "sign_in_used" in again.text) == (403, True)


def test_an_answer_to_another_browser_is_refused_before_the_provider_is_asked(team):
    with team.browser() as victim, team.browser() as attacker:
        stolen = team.begin(attacker)
        team.begin(victim)
        answer = victim.get(stolen)
        assert (answer.status_code, "sign_in_interrupted" in answer.text) == (403, True)
    assert dict(parse_qsl(urlsplit(stolen).query))["code"] in team.provider.codes


@pytest.mark.parametrize(
    "query", ["", "?state=", "?code=x&state=%FF", "?code=x&state=y", "?error=access_denied"]
)
def test_nonsense_comes_back_as_an_error(team, query):
    with team.browser() as browser:
        browser.cookies.set("ouroboros-sign-in", "bm9uc2Vuc2U")
        answer = browser.get(f"/sign-in/oidc/callback{query}")
    assert (answer.status_code, "sign_in_interrupted" in answer.text) == (403, True)


def test_the_refusal_of_the_provider_is_told(team):
    with team.browser() as browser:
        state = dict(parse_qsl(urlsplit(team.begin(browser)).query))["state"]
        answer = browser.get(f"/sign-in/oidc/callback?error=access_denied&state={state}")
        assert "access_denied" in answer.text
        other = browser.get(f"/sign-in/oidc/callback?code=x&iss=https://evil.example&state={state}")
        assert "sign_in_interrupted" in other.text


@pytest.mark.parametrize(
    "published",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_is_not_the_issuer_or_not_safe_is_not_used(team, published):
    team.provider.published = published
    with team.browser() as browser:
        answer = browser.get("/sign-in/oidc")
    assert (answer.status_code, "provider_unreachable" in answer.text) == (503, True)


def test_a_provider_that_hangs_does_not_hold_the_api(team):
    def ask() -> int:
        with team.browser() as browser:
            return browser.get("/sign-in/oidc").status_code

    team.provider.answering.clear()
    with ThreadPoolExecutor(AT_A_TIME) as people:
        waiting = [people.submit(ask) for _ in range(AT_A_TIME)]
        assert team.provider.asked.acquire(timeout=30)
        while team.served.at.team.provider._turns._value:
            assert not any(each.done() for each in waiting)
        assert ask() == 429
        with team.served.local() as api:
            assert api.get("/health").status_code == 200
        team.provider.answering.set()
        assert [each.result() for each in waiting] == [303] * AT_A_TIME


def test_a_provider_that_is_down_or_answers_nonsense_is_told(team):
    with team.browser() as browser:
        back = team.begin(browser)
        for address in ("http://127.0.0.1:1/token", f"{team.provider.issuer}/nonsense"):
            team.served.at.team.provider._metadata["token_endpoint"] = address
            answer = browser.get(back)
            assert (answer.status_code, "provider_unreachable" in answer.text) == (503, True)
        team.served.at.team.provider.__init__(replace(team.served.at.settings.team, issuer=GONE))
        down = browser.get("/sign-in/oidc")
        assert (down.status_code, "provider_unreachable" in down.text) == (503, True)


def test_the_client_must_know_its_secret(team):
    team.served.at.settings.team.secret_file.write_text("wrong")
    try:
        assert "invalid_client" in team.sign_in().text
    finally:
        team.served.at.settings.team.secret_file.write_text(CLIENT_SECRET)


def test_without_a_provider_there_is_no_such_way(served):
    with served.tcp(**BROWSER) as browser:
        answer = browser.get("/sign-in/oidc")
    assert (answer.status_code, "oidc_not_configured" in answer.text) == (404, True)


def test_beginning_leaves_nothing_behind(team):
    counted = "SELECT (SELECT count(*) FROM tokens) + (SELECT count(*) FROM used_sign_ins) AS n"
    before = team.served.sql(counted)
    with team.browser() as browser:
        team.begin(browser)
    assert team.served.sql(counted) == before


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_person_signs_in_in_a_real_browser(team):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{team.address}/sign-in")
        page.get_by_role("link", name="Sign in by 127.0.0.1").click()
        page.get_by_role("heading", name="Slots").wait_for()
        assert page.get_by_text("ada@example.com").is_visible()
        assert page.url == f"{team.address}/"
        browser.close()


def test_rules_are_read_strictly():
    assert [rule.scope for rule in parse_members("@a.example=read, ops=team=operate")] == [
        Scope.READ,
        Scope.OPERATE,
    ]
    for wrong in ("", "ops", "ops=everything", "=read", "@Example.com=read", "@=read", "a=none"):
        with pytest.raises(ValueError, match="is not"):
            parse_members(wrong)


def test_the_settings_of_a_provider_are_all_there_or_none():
    whole = {
        "OUROBOROS_OIDC_ISSUER": "https://login.example.com",
        "OUROBOROS_OIDC_CLIENT_ID": "ouroboros",
        "OUROBOROS_OIDC_MEMBERS": "ops=operate",
    }
    assert read_settings({}).team is None
    assert read_settings(whole).team.groups_claim == "groups"
    for key in whole:
        with pytest.raises(BadInput, match=f"{key}: is needed"):
            read_settings({name: value for name, value in whole.items() if name != key})
    for key, wrong in {
        "OUROBOROS_OIDC_ISSUER": "http://login.example.com",
        "OUROBOROS_OIDC_MEMBERS": "ops",
    }.items():
        with pytest.raises(BadInput, match=f"{key}: "):
            read_settings({**whole, key: wrong})
