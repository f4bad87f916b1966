"""The mutations of ./stack mutate can be applied, and the named survivors of the random ones still exist."""

import pytest

from deploy.settings import ROOT
from tests.mutations.configuration import MUTATIONS
from tests.mutations.survivors import ACCEPTED, EQUIVALENT


@pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.old.strip().splitlines()[0]}"
)
def test_mutated_text_occurs_once(mutation):
    """A mutation's text occurs exactly once in its file, so the mutation changes the intended line and no other."""
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1


@pytest.mark.parametrize("survivor", [*EQUIVALENT, *ACCEPTED], ids=lambda survivor: f"{survivor[0]}: {survivor[1]}")
def test_named_survivors_exist(survivor):
    """The lines that a named survivor removes are in its file, so no reason outlives its code."""
    file, diff = survivor
    lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    assert {line[1:].strip() for line in diff.splitlines() if line.startswith("-")} <= set(lines)
