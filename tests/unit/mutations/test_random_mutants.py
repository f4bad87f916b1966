"""./stack mutate --random: which mutants there are, which tests try them, and the page with the score."""

import shutil
from pathlib import Path

import pytest

from deploy.settings import ROOT
from tests.mutations import random_mutants
from tests.mutations.mutants import Mutant, mutants_of, python_files, sample
from tests.mutations.random_mutants import Outcome, Suite, outcomes, record, replace_section, section


def mutated(source: str) -> set[str]:
    """The source of each mutant."""
    return {mutant.apply(source.encode()).decode() for mutant in mutants_of("some.py", source.encode())}


@pytest.mark.parametrize(
    "source, expected",
    [
        ("a < b", {"a <= b", "pass"}),
        ("x = (a) is not (b)", {"x = (a) is (b)"}),
        ("x = a not in b", {"x = a in b"}),
        ("x = a and b or c", {"x = a or b or c", "x = a and b and c"}),
        ("x = a - b", {"x = a + b"}),
        ("x = not a", {"x = a"}),
        ("x = b if a else c", {"x = b if not (a) else c"}),
        ("x = [a for a in b if c]", {"x = [a for a in b if not (c)]"}),
        ("x = 5", {"x = 6"}),
        ("x = True", {"x = False"}),
        ("x = 'word'", {'x = ""'}),
        ("x = ''", {"x = 'mutant'"}),
        ("x = f'text {a + b}'", {"x = f'text {a - b}'"}),
        ("é = 'é', 5", {'é = "", 5', "é = 'é', 6"}),
        ("f(a)", {"pass"}),
        ("x = f(a, b=c, d=e)", {"x = f(a, d=e)", "x = f(a, b=c, )"}),
        ("a.b = c", {"pass"}),
        ("a += b", {"pass"}),
        ("raise a", {"pass"}),
        ("def f():\n return a", {"def f():\n return None"}),
        ("@a\n@b.c(d)\ndef f():\n ...", {"\n@b.c(d)\ndef f():\n ...", "@a\n\ndef f():\n ..."}),
        ("while a:\n break", {"while not (a):\n break", "while a:\n continue"}),
    ],
)
def test_mutants_of_a_statement(source, expected):
    """Each operator, condition, value, call, keyword argument, statement and decorator has a mutant."""
    assert mutated(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        'def f(a: 1 = b) -> 2:\n    """Text."""',
        "x: 'int' = a",
        "log.error('failed', a)",
        "current_app.logger.warning(5)",
        "x = add(help='file')",
        "x = 'a text for people'",
        "if __name__ == '__main__':\n    main()",
        "x = a / b",
    ],
)
def test_what_is_not_mutated(source):
    """Docstrings, annotations, log messages, help texts, texts with a space and joined paths have no mutants."""
    assert mutated(source) == set()


def test_same_seed_chooses_the_same_mutants():
    """A seed always chooses the same mutants, and another seed chooses others; each is valid Python."""
    chosen = sample(ROOT, "deploy", 30, seed=1)
    assert len(set(chosen)) == 30
    assert chosen == sample(ROOT, "deploy", 30, seed=1) != sample(ROOT, "deploy", 30, seed=2)
    for mutant in chosen:
        compile(mutant.apply((ROOT / mutant.file).read_bytes()), mutant.file, "exec")


def test_entry_points_are_mutated():
    """Python files whose name has no suffix are mutated too."""
    assert {ROOT / "deploy/start", ROOT / "deploy/errors.py"} <= set(python_files(ROOT / "deploy"))


def test_diff_shows_the_changed_lines():
    """The diff of a mutant has the old and the new line, without their indentation."""
    source = b"def f():\n    if a:\n        g(a)\n"
    [mutant] = [each for each in mutants_of("some.py", source) if each.new == "pass"]
    assert mutant.diff(source) == "- g(a)\n+ pass"


CODE = """
import sys

LIMIT = 5

def is_high(value):
    return value > LIMIT

def by_a_process():
    sys.exit(3)
"""
TESTS = """
import subprocess
import sys
from app import code

def test_is_high():
    assert code.is_high(8)

def test_process():
    done = subprocess.run([sys.executable, "-c", "from app import code; code.by_a_process()"])
    assert done.returncode == 3
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with an app of one file, its unit tests and the plugin that records them."""
    for folder in ("app", "tests/unit/app", "tests/mutations"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "app/code.py").write_text(CODE)
    (tmp_path / "tests/unit/app/test_code.py").write_text(TESTS)
    shutil.copy(ROOT / "tests/mutations/recorder.py", tmp_path / "tests/mutations")
    return tmp_path


def test_mutants_are_tried_with_the_tests_that_run_their_lines(repository):
    """A mutant is killed by a failing test that runs its line, also in another process; else it survives."""
    record("app", repository)
    suite = Suite(repository)
    mutants = {each.diff(CODE.encode()): each for each in mutants_of("app/code.py", CODE.encode())}
    expected = {
        "- LIMIT = 5\n+ LIMIT = 6": False,
        "- return value > LIMIT\n+ return None": True,
        "- return value > LIMIT\n+ return value >= LIMIT": False,
        "- sys.exit(3)\n+ pass": True,
    }
    chosen = [mutants[diff] for diff in expected]
    assert [len(suite.covering(mutant)) for mutant in chosen] == [0, 1, 1, 0]
    assert [len(suite.others(mutant)) for mutant in chosen] == [2, 1, 1, 1]
    assert {each.diff: each.is_killed for each in outcomes(chosen, suite, [repository])} == expected
    assert (repository / "app/code.py").read_text() == CODE


def test_hanging_tests_end(tmp_path):
    """Python that does not end by itself is stopped after the timeout, and has no exit status."""
    assert random_mutants.run(tmp_path, ["-c", "while True: pass"], timeout=0.5)[0] is None


def test_failing_tests_are_reported_before_any_mutant(repository):
    """Suite that fail without a mutant end the run: they would seem to kill every mutant."""
    (repository / "app/code.py").write_text(CODE.replace("LIMIT = 5", "LIMIT = 50"))
    with pytest.raises(SystemExit, match="(?s)test_is_high.* fail without any mutation"):
        record("app", repository)


def test_page_shows_the_score_and_why_mutants_survive(monkeypatch):
    """A folder's section has the score, with and without equivalent mutants, and the reason of each survivor."""
    place = Mutant("app/code.py", 0, 1, "", first_line=7, last_line=7)
    monkeypatch.setitem(random_mutants.EQUIVALENT, ("app/code.py", "- a\n+ b"), "both are the same.")
    results = [
        Outcome(place, "- x\n+ y", is_killed=True, is_covered=True),
        Outcome(place, "- a\n+ b", is_killed=False, is_covered=True),
        Outcome(place, "- c\n+ d", is_killed=False, is_covered=False),
    ]
    text = section("app", results, seed=4, version="v1")
    assert "1 of 3 mutants killed (33.3%); 50.0% without 1 equivalent ones." in text
    assert "`./stack mutate --random 3 --seed 4 app`, version v1" in text
    assert "# app/code.py:7: equivalent: both are the same.\n- a\n+ b\n" in text
    assert "# app/code.py:7: no unit test runs this line\n- c\n+ d\n" in text
    assert "+ y" not in text


def test_page_keeps_the_sections_of_other_folders():
    """A run replaces the sections of its folders and leaves the rest of the page unchanged."""
    page = "# Title\n\nText.\n\n## app/\n\nold\n\n## cli/\n\nkept\n"
    changed = replace_section(page, "## app/\n\nnew\n")
    assert changed == page.replace("old", "new")
    assert replace_section(changed, "## deploy/\n\nadded\n") == changed + "\n## deploy/\n\nadded\n"
