"""A secret never comes through, however the text that holds it is cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ouroboros.domain.masking import MASK, SecretMask

SECRETS = ["s3cr3t-of-the-slot", "s3cr3t", "p@ss/word"]


def masked(*pieces: str) -> str:
    mask = SecretMask(SECRETS)
    return "".join([*map(mask.feed, pieces), mask.finish()])


@given(
    st.lists(st.sampled_from([*SECRETS, "s3cr", "et-of", "text", "s", "\n"]), max_size=10),
    st.lists(st.integers(0, 150), max_size=6),
)
def test_no_secret_comes_through_wherever_the_text_is_cut(words, cuts):
    text = " ".join(words)
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    shown = masked(*(text[a:b] for a, b in pairwise(borders)))
    assert not any(secret in shown for secret in SECRETS)
    assert shown == masked(text)


def test_a_secret_in_a_url_is_masked_as_it_is_written_there():
    assert masked("postgresql://user:p%40ss%2Fword@host/db") == f"postgresql://user:{MASK}@host/db"


def test_what_cannot_begin_a_secret_is_not_held_back():
    mask = SecretMask(SECRETS)
    assert mask.feed("compiling 12 modules\n") == "compiling 12 modules\n"
    assert mask.feed("done s3c") == "done "
    assert mask.finish() == "s3c"


def test_a_text_without_secrets_is_left_alone():
    assert SecretMask(["", "abc"]).mask("abc") == "abc"
