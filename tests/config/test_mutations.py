"""The mutations that ./stack mutate breaks are there to be broken."""

import pytest

from deploy.settings import ROOT
from tests.mutations.configuration import MUTATIONS


@pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.old.strip().splitlines()[0]}"
)
def test_mutation_stands_once(mutation):
    """A mutation's text stands once in its file: else nothing would be broken, or not what is meant."""
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
