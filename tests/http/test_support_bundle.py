"""A support bundle holds what helps, and no secret that the installation knows."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ouroboros.adapters.control.events import record_event
from ouroboros.adapters.known_secrets import BundleMask, known_secrets
from ouroboros.client import Client
from ouroboros.domain.errors import Refused, Unhealthy
from ouroboros.services.support import SupportBundle

CONTROL = "postgresql://admin:c0ntrol%2Bpass@db.internal/ouroboros_control"
ENVIRON = {
    "OUROBOROS_TOKEN": "ouro_abcdefgh_from-the-environment",
    "HTTPS_PROXY": "http://builder:pr0xypass@proxy.internal:3128",
    "NPM_TOKEN": "npm-t0ken-of-the-operator",
    "LANG": "C.UTF-8",
    "FORGE": "t0ken-of-a-git-host",
}
GIT_HOSTS = """
[[repository]]
git_host = "github"
name = "example-org/toolshed"
clone_url = "https://github.com/example-org/toolshed.git"
seed_version = "v1"
webhook_secret_file = "{secret}"
api_token_env = "FORGE"
"""

UNKNOWN = {"gh-pat-in-a-remote", "aGVhZGVyOnNlY3JldA==", "s3cret-of-the-application"}
"""What a branch tells and nobody has the value of; masked by what stands around it."""


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            entry.name.removeprefix("ouroboros-support/"): archive.extractfile(entry)
            .read()
            .decode()
            for entry in archive
        }


@pytest.fixture
def planted(served, tmp_path):
    """An installation with each of its secrets in every place that a bundle is made from."""
    state = tmp_path / "state"
    secrets_dir = state / "secrets"
    secrets_dir.mkdir(parents=True)
    slot_password = "sl0t-password-9"
    (secrets_dir / "app_preview_1.password").write_text(slot_password)
    (secrets_dir / "control.env").write_text(f'OUROBOROS_CONTROL_DSN="{CONTROL}"\n')
    elsewhere = tmp_path / "hook"
    elsewhere.write_text("h00k-secret-of-a-git-host")
    elsewhere.chmod(0o600)
    (state / "git-hosts.toml").write_text(GIT_HOSTS.format(secret=elsewhere))
    steward = state / "steward"
    steward.mkdir()
    url = "postgresql://app_preview_1:handed-to-pid-1@/app_preview_1?host=/run"
    (steward / "backend-preview1.env").write_text(f"DATABASE_URL='{url}'\nPREVIEW_NONCE=n\n")
    settings = replace(
        served.at.settings, state_dir=state, control_dsn=CONTROL, token="ouro_zzzzzzzz_given-by-me"
    )
    with served.local() as api:
        link = api.post("/api/sign-in-links", json={}).json()["link"]
    secrets = {
        "h00k-secret-of-a-git-host", "t0ken-of-a-git-host", slot_password,
        "handed-to-pid-1", "c0ntrol%2Bpass", "c0ntrol+pass", CONTROL, url,
        served.token("operate"), served.token("run", "planted"), link.partition("link=")[2],
        settings.token, *(value for key, value in ENVIRON.items() if "TOKEN" in key), "pr0xypass",
        *UNKNOWN,
    }  # fmt: skip
    shown = "\n".join(
        [
            *sorted(secrets - UNKNOWN),
            "fetching https://x-access-token:gh-pat-in-a-remote@git.example.com/a.git",
            "Authorization: Basic aGVhZGVyOnNlY3JldA==",
            "STRIPE_SECRET_KEY=s3cret-of-the-application",
            "an innocent line that helps",
        ]
    )
    (state / "logs").mkdir()
    # The beginning of a long log is cut off, and not within a secret.
    (state / "logs" / "backend-preview1.log").write_text(
        ("\x1b[31m" + slot_password + " begins\x1b[0m\n") * 20_000 + shown
    )
    (state / "logs" / "access-preview1.log").write_text("192.0.2.7 visited\n")
    artifacts = state / "artifacts" / "p7"
    artifacts.mkdir(parents=True)
    (artifacts / "preview.publish.log").write_text(shown)
    with served.at.control.connection() as db:
        record_event(db, "planted", details={"said": shown, "url": url})
    return settings, secrets


def bundle_of(served, settings, look=dict) -> SupportBundle:
    client = Client(served.socket_path)
    mask = BundleMask(settings, ENVIRON)
    return SupportBundle(settings, mask, client.get, look)


def test_no_secret_that_is_known_is_in_a_bundle(served, planted, tmp_path):
    settings, secrets = planted
    path = tmp_path / "bundle.tar.gz"
    made = bundle_of(served, settings, lambda: {"said": sorted(secrets - UNKNOWN)}).write(path)
    found = contents(path)
    assert set(made["parts"]) == set(found)
    leaked = {(name, s) for name, text in found.items() for s in secrets if s in text}
    assert leaked == set()
    for name in ("logs/backend-preview1.log", "publishes/p7.log", "events.json"):
        assert "an innocent line that helps" in found[name], name
        assert "***" in found[name], name
    assert "\x1b" not in found["logs/backend-preview1.log"]
    assert "logs/access-preview1.log" not in found


def test_what_helps_is_in_it_and_only_its_owner_reads_it(served, planted, tmp_path):
    path = tmp_path / "bundle.tar.gz"
    made = bundle_of(served, planted[0]).write(path)
    found = contents(path)
    assert json.loads(found["versions.json"])["programs"]["git"]
    assert "findings" in json.loads(found["doctor.json"])
    assert len(json.loads(found["slots.json"])["slots"]) == 3
    assert "lease_ttl_s" in json.loads(found["settings.json"])
    assert json.loads(found["events.json"])["events"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert made["bytes"] == path.stat().st_size
    with pytest.raises(Refused, match="exists"):
        bundle_of(served, planted[0]).write(path)


def test_a_bundle_is_made_when_nothing_answers(served, planted, tmp_path):
    settings, _ = planted

    def away():
        raise Unhealthy("not_running", "it is not up")

    missing = Client(tmp_path / "no.sock")
    mask = BundleMask(settings, ENVIRON)
    bundle = SupportBundle(settings, mask, missing.get, away)
    made = bundle.write(tmp_path / "bundle.tar.gz")
    assert made["unread"]["slots.json"] == "api_unreachable"
    assert made["unread"]["processes.json"] == "not_running"
    assert "an innocent line" in contents(tmp_path / "bundle.tar.gz")["publishes/p7.log"]


def test_every_secret_of_an_installation_is_known(planted):
    settings, secrets = planted
    known = set(known_secrets(settings, ENVIRON))
    by_form = {secret for secret in secrets if secret.startswith("ouro") or secret in UNKNOWN}
    assert secrets - known - by_form == set()
