"""Run ids, versions and refs: matched against an allow-list and never cleaned."""

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouroboros.domain.errors import BadInput
from ouroboros.domain.identifiers import branch_of, parse_ref, parse_run_id, parse_version

HOSTILE = [
    "", "-", "-x", "--upload-pack=touch /tmp/x", "..", "../x", "a/../b", "a..b", "@", "@{-1}",
    "HEAD@{1}", "a b", "a\nb", "a\0b", "a;b", "a|b", "$(id)", "`id`", "a'b", 'a"b', "a\\b", "a*",
    "a?", "a[", "a~1", "a^", "a:b", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "x" * 300,
    "\u202eabc", "é", "\x1b[31m", "%2e%2e", "a\t", "a\r",
]  # fmt: skip


@pytest.mark.parametrize("text", [h for h in HOSTILE if h not in ("-",)])
@pytest.mark.parametrize("parse", [parse_run_id, parse_ref])
def test_hostile_names_are_refused(parse, text):
    with pytest.raises(BadInput):
        parse(text)


@given(st.text(max_size=80))
def test_a_run_id_is_what_the_contract_says_and_comes_back_unchanged(text):
    fine = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", text) is not None
    try:
        assert parse_run_id(text) == text
        assert fine
    except BadInput as refused:
        assert refused.code == "invalid_run_id"
        assert not fine


@given(st.text(alphabet="aZ0._-/ \n", max_size=70))
def test_a_version_is_what_the_contract_says_and_comes_back_unchanged(text):
    fine = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text) is not None
    try:
        assert parse_version(text) == text
        assert fine
    except BadInput as refused:
        assert refused.code == "invalid_version"
        assert not fine


@given(st.from_regex(r"[A-Za-z0-9._/+-]{1,40}", fullmatch=True))
def test_every_ref_that_is_accepted_is_one_that_git_accepts(text):
    try:
        parse_ref(text)
    except BadInput:
        return
    checked = subprocess.run(["git", "check-ref-format", f"refs/heads/{text}"], check=False)
    assert checked.returncode == 0


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", fullmatch=True))
def test_the_branch_of_every_run_is_a_ref(run_id):
    assert parse_ref(branch_of(run_id)) == f"codex/run-{run_id}"
