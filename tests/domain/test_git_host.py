"""Repositories of git hosts: the file is read strictly, and a pull request has one run id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.adapters.git_host_files import read_git_hosts
from ouroboros.domain.errors import BadInput
from ouroboros.domain.git_host import (
    MOST_NUMBER,
    GitHost,
    Repository,
    find_repository,
    parse_git_hosts,
    run_id_of,
)
from ouroboros.domain.identifiers import parse_run_id
from ouroboros.domain.reset import EMPTY

GOOD = """
[[repository]]
git_host = "github"
name = "example-org/toolshed"
clone_url = "https://github.com/example-org/toolshed.git"
seed_version = "v1"
webhook_secret_env = "HOOK"
"""


def read(text: str, **environ: str) -> tuple[Repository, ...]:
    return parse_git_hosts(text, lambda kind, place: environ[place])


def problems(text: str, **environ: str) -> dict[str, str]:
    with pytest.raises(BadInput) as refused:
        read(text, **environ)
    assert refused.value.code == "invalid_git_hosts"
    return refused.value.details["problems"]


def test_a_file_that_says_what_is_needed_is_read():
    (found,) = read(GOOD, HOOK="sixteen letters or more")
    assert found.api_url == "https://api.github.com"
    assert (found.api_token, found.forks, found.source.seed_version) == (None, "approve", "v1")
    assert "sixteen" not in repr(found) + repr(found.document())


def test_all_problems_are_told_together_each_by_its_key():
    text = """
unknown = 1
[[repository]]
git_host = "sourceforge"
name = "toolshed"
clone_url = "https://someone:secret@git.example.com/toolshed.git"
api_url = "ftp://git.example.com"
seed_version = "v1"
snapshot_version = "s1"
webhook_secret_file = "a"
webhook_secret_env = "HOOK"
priority = 5000
forks = "trust"
extra = true
"""
    assert set(problems(text)) == {
        "unknown",
        *(f"repository[0].{key}" for key in (
            "git_host", "name", "clone_url", "api_url", "seed_version", "webhook_secret_file",
            "priority", "forks", "extra")),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("ssh://git@git.example.com/toolshed.git", True),
        ("https://ghp_token@github.com/example-org/toolshed.git", False),
        ("https://git.example.com/a b.git", False),
        ("ext::sh -c evil", False),
    ],
)
def test_a_clone_url_holds_no_token_and_runs_no_command(url, fine):
    text = GOOD.replace("https://github.com/example-org/toolshed.git", url)
    if fine:
        read(text, HOOK="sixteen letters or more")
    else:
        assert set(problems(text, HOOK="sixteen letters or more")) == {"repository[0].clone_url"}


def test_a_short_secret_and_a_second_entry_are_refused():
    assert set(problems(GOOD + GOOD.replace("toolshed", "TOOLSHED"), HOOK="short")) == {
        "repository[0].webhook_secret_env",
        "repository[1].webhook_secret_env",
        "repository[1].name",
    }


def test_secrets_are_read_from_files_that_others_cannot_read(tmp_path):
    file = tmp_path / "git-hosts.toml"
    assert read_git_hosts(file, {}) == ()
    file.write_text(GOOD.replace('_env = "HOOK"', '_file = "hook"'))
    with pytest.raises(BadInput, match="No such file"):
        read_git_hosts(file, {})
    (tmp_path / "hook").write_text("a secret in a file\n")
    (tmp_path / "hook").chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        read_git_hosts(file, {})
    (tmp_path / "hook").chmod(0o640)
    assert read_git_hosts(file, {})[0].webhook_secret == "a secret in a file"
    file.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="invalid_git_hosts"):
        read_git_hosts(file, {})


def repository(git_host: GitHost, name: str) -> Repository:
    return Repository(git_host, name, "https://git.example.com/x.git", "https://x", EMPTY)


names = st.tuples(
    st.sampled_from(GitHost),
    st.text(min_size=3, max_size=60).map(lambda text: f"o/{text}"),
    st.integers(1, MOST_NUMBER - 1),
)


@given(names, names)
def test_every_pull_request_has_a_run_id_of_its_own(one, other):
    ids = [run_id_of(repository(host, name), number) for host, name, number in (one, other)]
    assert [parse_run_id(each) for each in ids] == ids
    same = (one[0], one[1].casefold(), one[2]) == (other[0], other[1].casefold(), other[2])
    assert (ids[0] == ids[1]) == same


def test_a_run_id_says_what_it_is_of_and_never_changes():
    """A changed derivation would lose every run that is under way."""
    named = repository(GitHost.GITHUB, "example-org/tool.shed_2")
    assert run_id_of(named, 7) == "tool-shed-2-pr-7-69f83e6abc"
    assert find_repository([named], GitHost.GITHUB, "Example-Org/Tool.Shed_2") is named
    assert find_repository([named], GitHost.GITEA, "example-org/tool.shed_2") is None
