"""Measure the mutation score of Python code: how many random mutants make a unit test fail.

    python3 -m tests.mutations.random_mutants --random 100 --seed 1 [--page] [FOLDER ...]

Run by `./stack mutate --random`. The unit tests of the folder run once, to record which lines each of them runs. Each
mutant is tried with the tests that run its lines. If it survives these, it is tried with those that start processes,
whose lines are not recorded, or with all tests if its lines run at import or in a fixture that tests share.
"""

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from coverage import CoverageData

from tests.mutations.__main__ import ROOT, STATE, make_copy
from tests.mutations.mutants import Mutant, sample
from tests.mutations.survivors import ACCEPTED, EQUIVALENT

FOLDERS = ("app", "deploy", "cli")
PAGE = Path("docs/reference/mutation-score.md")
SUITE_TIMEOUT = 600
START_TIME = 60  # seconds that pytest and its session fixtures may need on a busy machine
PYTEST = ["-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"]
PASSED, NO_TESTS_RAN = 0, 5
# In the copy's folder that git ignores: some tests look at all files.
LINES, TESTS, SELECTION = ".stack/lines", ".stack/tests.json", ".stack/selection"


@dataclass(frozen=True)
class Outcome:
    """The result of one mutant."""

    mutant: Mutant
    diff: str
    is_killed: bool
    is_covered: bool  # by a line of a test's own process

    @property
    def is_equivalent(self) -> bool:
        """Whether the mutant behaves like the original."""
        return not self.is_killed and (self.mutant.file, self.diff) in EQUIVALENT

    @property
    def place(self) -> str:
        """The file and line of the mutant."""
        return f"{self.mutant.file}:{self.mutant.first_line}"

    @property
    def reason(self) -> str:
        """Why the mutant survives."""
        key = (self.mutant.file, self.diff)
        if key in EQUIVALENT:
            return f"equivalent: {EQUIVALENT[key]}"
        return ACCEPTED.get(key) or ("no test checks this" if self.is_covered else "no unit test runs this line")


def record(folder: str, copy: Path) -> None:
    """Run all unit tests of the folder once in the copy, and save there which lines each of them runs."""
    (copy / LINES).parent.mkdir(exist_ok=True)
    coverage = ["-m", "coverage", "run", f"--data-file={copy / LINES}", f"--include={copy / folder}/*"]
    plugin = ["-p", "tests.mutations.recorder"]
    status, output = run(
        copy, [*coverage, *PYTEST, *plugin, f"tests/unit/{folder}"], SUITE_TIMEOUT, RECORDED_TESTS=copy / TESTS
    )
    if status is None:
        sys.exit(f"{output}\nThe unit tests of {folder} take more than {SUITE_TIMEOUT} s: run this on an idle machine.")
    if status != PASSED:
        sys.exit(f"{output}\nThe unit tests of {folder} fail without any mutation: fix that first.")


class Suite:
    """The unit tests of a folder, as recorded."""

    def __init__(self, copy: Path) -> None:
        """Load what `record` saved in the copy."""
        self._copy = copy
        self._data = CoverageData(copy / LINES)
        self._data.read()
        self._tests: dict[str, dict] = json.loads((copy / TESTS).read_text())

    def covering(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a line of the mutant."""
        contexts = self._contexts(mutant)
        return [test for test in self._tests if test in contexts]

    def others(self, mutant: Mutant) -> list[str]:
        """Return the other tests that the mutant may affect."""
        contexts = self._contexts(mutant)
        affects_all = "" in contexts
        return [
            name
            for name, test in self._tests.items()
            if name not in contexts and (affects_all or test["starts_process"])
        ]

    def timeout(self, tests: list[str]) -> float:
        """Return the seconds after which a test that is still running hangs."""
        return START_TIME + 3 * sum(self._tests[test]["seconds"] for test in tests)

    def _contexts(self, mutant: Mutant) -> set[str]:
        """The names of the tests that run a line of the mutant; an empty name for code that runs outside of tests."""
        contexts = self._data.contexts_by_lineno(str(self._copy / mutant.file))
        lines = range(mutant.first_line, mutant.last_line + 1)
        return {context for line in lines for context in contexts.get(line, ())}


def run(copy: Path, arguments: list[str], timeout: float, **environ: Path) -> tuple[int | None, str]:
    """Run Python in a copy. Return its exit status, None after the timeout, and its output."""
    # Without bytecode: Python would take that of another mutant with the same time and size.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | environ
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=copy, env=environment, stdout=output, stderr=output, process_group=0
        )
        status = _wait(process, timeout)
        output.seek(0)
        return status, output.read()


def _wait(process: subprocess.Popen, timeout: float) -> int | None:
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # pytest then stops the servers of its fixtures
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None


def passes(tests: list[str], copy: Path, timeout: float) -> bool:
    """Whether all tests pass in the copy. A hanging test fails."""
    if not tests:
        return True
    (copy / SELECTION).write_text("\n".join(tests))
    status, output = run(copy, [*PYTEST, f"@{SELECTION}"], timeout)
    if status == NO_TESTS_RAN:
        raise RuntimeError(output)
    return status == PASSED


def outcome(mutant: Mutant, suite: Suite, copy: Path) -> Outcome:
    """Apply the mutant to the copy, run the tests and restore the file."""
    path = copy / mutant.file
    original = path.read_bytes()
    covering = suite.covering(mutant)
    path.write_bytes(mutant.apply(original))
    try:
        survives = all(passes(tests, copy, suite.timeout(tests)) for tests in (covering, suite.others(mutant)))
    finally:
        path.write_bytes(original)
    return Outcome(mutant, mutant.diff(original), not survives, bool(covering))


def outcomes(mutants: list[Mutant], suite: Suite, copies: list[Path]) -> Iterator[Outcome]:
    """Try the mutants, one at a time in each copy."""
    free: Queue[Path] = Queue()
    for copy in copies:
        free.put(copy)

    def measure(mutant: Mutant) -> Outcome:
        copy = free.get()
        try:
            return outcome(mutant, suite, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(measure, mutants)


def score(results: list[Outcome]) -> str:
    """Return the mutation score, of all mutants and without the equivalent ones."""
    count = Counter("killed" if each.is_killed else "equivalent" if each.is_equivalent else "" for each in results)
    killed, equivalent, total = count["killed"], count["equivalent"], len(results)
    text = f"{killed} of {total} mutants killed ({killed / total:.1%})"
    if equivalent:
        text += f"; {killed / (total - equivalent):.1%} without {equivalent} equivalent ones"
    return text


def section(folder: str, results: list[Outcome], seed: int, version: str) -> str:
    """Return the section of the page for a folder."""
    survivors = [f"# {each.place}: {each.reason}\n{each.diff}" for each in results if not each.is_killed]
    lines = [
        f"## {folder}/",
        f"{score(results)}.",
        f"`./stack mutate --random {len(results)} --seed {seed} {folder}`, "
        f"version {version}, {datetime.date.today():%Y-%m-%d}.",
    ]
    if survivors:
        lines += ["Survivors:", "```diff\n" + "\n".join(survivors) + "\n```"]
    return "\n\n".join(lines) + "\n"


def replace_section(page: str, new: str) -> str:
    """Return the page with the new section in place of that with the same heading, or at the end."""
    intro, *sections = page.split("\n## ")
    by_heading = {each.partition("\n")[0]: each.strip() for each in sections}
    by_heading[new.partition("\n")[0].removeprefix("## ")] = new.removeprefix("## ").strip()
    return "\n\n## ".join([intro.strip(), *by_heading.values()]) + "\n"


def measure(folder: str, args: argparse.Namespace, scratch: Path) -> None:
    """Measure a folder, print each outcome and the score, and write the page if asked."""
    copies = [make_copy(scratch / f"{folder}-{number}") for number in range(args.processes)]
    record(folder, copies[0])
    suite = Suite(copies[0])
    mutants = sample(ROOT, folder, args.random, args.seed)
    results = []
    for each in outcomes(mutants, suite, copies):
        results.append(each)
        print(f"{'killed' if each.is_killed else 'SURVIVED':<9} {each.place}", flush=True)
        if not each.is_killed:
            print(f"{each.reason}\n{each.diff}", flush=True)
    print(f"{folder}, seed {args.seed}: {score(results)}", flush=True)
    if args.page:
        page = ROOT / PAGE
        page.write_text(replace_section(page.read_text(), section(folder, results, args.seed, args.version)))


def main(argv: list[str]) -> None:
    """Measure the folders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", metavar="FOLDER", default=FOLDERS)
    parser.add_argument("--random", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--version", default="dev")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args(argv)
    STATE.mkdir(exist_ok=True)
    for folder in args.folders:
        with tempfile.TemporaryDirectory(dir=STATE) as scratch:
            measure(folder, args, Path(scratch))


if __name__ == "__main__":
    main(sys.argv[1:])
