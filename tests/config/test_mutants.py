"""The levers that ./stack mutate breaks are there to be broken."""

import pytest

from deploy.contract import ROOT
from tests.mutants.levers import LEVERS


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: f"{lever.file}: {lever.old.strip().splitlines()[0]}")
def test_lever_stands_once(lever):
    """A lever's text stands once in its file: else nothing would be broken, or not what is meant."""
    assert (ROOT / lever.file).read_text().count(lever.old) == 1
