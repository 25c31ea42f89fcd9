"""What keeps a publish from being undone now and will pass is waited for."""

import time

import pytest

from ouroboros.domain.errors import Refused
from ouroboros.services.publish.pipeline import _will_pass


@pytest.mark.parametrize("code", ["sessions_remain", "slot_busy", "disk_full"])
def test_it_is_waited_for_but_not_for_ever(code):
    trouble = Refused(code, "a session of a superuser", "end it")
    assert _will_pass(trouble, {"at": time.time()})
    assert not _will_pass(trouble, {"at": time.time() - 1000})
