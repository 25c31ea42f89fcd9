"""What a unit's launcher is told: names of ours alone, whatever a branch wishes."""

from pathlib import Path

import pytest

from ouroboros.adapters.systemd.files import MOST_ENVIRONMENT, environment_file, launch_environment
from ouroboros.domain.errors import BadInput


def test_no_name_of_a_branch_is_one_that_systemd_reads():
    wished = {"DBUS_SYSTEM_BUS_ADDRESS": "unixexec:path=/bin/sh", "BACKEND_SHARE": "900%"}
    told = launch_environment(["run"], Path("/srv"), "socket", wished)
    names = {line.split("=", 1)[0] for line in environment_file(told).splitlines()}
    assert names == {"BACKEND_ARGV", "BACKEND_DIRECTORY", "BACKEND_LISTEN", "BACKEND_ENV"}


def test_more_than_a_variable_holds_is_refused():
    with pytest.raises(BadInput) as refused:
        launch_environment(["run"], Path("/srv"), "socket", {"A": "x" * MOST_ENVIRONMENT})
    assert refused.value.code == "bad_environment"


@pytest.mark.parametrize("wished", [{"A B": "x"}, {"A": "x\0y"}, {"": "x"}, {"Ä": "x"}])
def test_what_is_no_variable_is_refused(wished):
    with pytest.raises(BadInput) as refused:
        launch_environment(["run"], Path("/srv"), "socket", wished)
    assert refused.value.code == "bad_environment"
