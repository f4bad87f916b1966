"""The mutations of ./stack mutate can be applied."""

import pytest

from deploy.settings import ROOT
from tests.mutations.configuration import MUTATIONS


@pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.old.strip().splitlines()[0]}"
)
def test_mutated_text_occurs_once(mutation):
    """A mutation's text occurs exactly once in its file, so the mutation changes the intended line and no other."""
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
