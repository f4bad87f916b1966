"""./stack test: what is run with and without a Docker engine, and what the output says."""

import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from cli import engine, local_tests, main, native, requirements, sudo, venv
from cli.commands import test as test_command
from deploy.errors import StackError
from deploy.settings import ROOT
from tests import each, needs, parallel

TESTS = {
    "test_one.py": """
        import pytest

        @pytest.mark.parametrize("word", ["right", "it's wrong"])
        def test_word(word):
            assert word == "right"

        def test_other():
            pass
        """,
    "test_two.py": """
        import pytest

        @pytest.fixture
        def broken():
            raise OSError("broken")

        def test_setup(broken):
            pass

        @pytest.mark.needs("no-such-program")
        def test_program():
            pass

        @pytest.mark.needs("sh")
        def test_shell():
            pass
        """,
    "live/test_three.py": """
        import pytest

        def test_stack():
            pass

        @pytest.mark.needs("sh")
        def test_processes():
            pass
        """,
}


@pytest.fixture(scope="module")
def run_pytest(tmp_path_factory):
    """Return a function that runs TESTS with the options of ./stack test and returns the lines of pytest's output."""

    def run(*options: str) -> list[str]:
        folder = tmp_path_factory.mktemp("repository")
        (folder / "pytest.ini").write_text("[pytest]\nmarkers = needs(*names)\n")
        for name, text in TESTS.items():
            path = folder / "tests" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        # Not -m pytest, which would search the plugins tests.… in this folder. Without other plugins it starts faster.
        code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        options = ("-p", "no:cacheprovider", "--tb=no", "--import-mode=importlib", *options, "tests")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *options],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (1, "")
        return done.stdout.splitlines()

    return run


@pytest.fixture(
    scope="module", params=[[], ["-p", "xdist.plugin", *test_command.PARALLEL]], ids=["one process", "two processes"]
)
def lines(run_pytest, request):
    """The lines of pytest's output on a machine without a Docker engine."""
    return run_pytest(*test_command.OUTPUT, "-p", "tests.needs", *request.param)


def test_files_are_shown_when_they_are_finished(lines):
    """The output has a line with the outcomes of each finished file, and one for each failed test."""
    found = [re.fullmatch(r"\[(\d)/3\] (\S+): (.*) \(\d+\.\d s\)", line) for line in lines if line.startswith("[")]
    assert [match[1] for match in found] == ["1", "2", "3"]
    assert {match[2]: set(match[3].split(", ")) for match in found} == {
        "tests/test_one.py": {"2 passed", "1 failed"},
        "tests/test_two.py": {"1 passed", "1 error"},
        "tests/live/test_three.py": {"1 passed"},
    }
    assert "failed: tests/test_one.py::test_word[it's wrong]" in lines


def test_output_ends_with_slowest_and_failed_tests(lines):
    """The output ends with the slowest tests and the command that repeats each failed test, and each error."""
    assert any("slowest 10 durations" in line for line in lines)
    title = next(number for number, line in enumerate(lines) if " to repeat a failed test alone " in line)
    assert set(lines[title + 1 : -2]) == {
        """./stack test 'tests/test_one.py::test_word[it'"'"'s wrong]'""",
        "./stack test tests/test_two.py::test_setup",
    }


def test_tests_that_cannot_run_are_counted(lines):
    """Tests whose needs are missing are left out, and the last line says how many and why."""
    assert "4 passed" in lines[-2] and "1 failed" in lines[-2] and "1 error" in lines[-2]
    assert lines[-1] == "2 tests were not run on this machine: 1 need a Docker engine, 1 need no-such-program."


def test_verbose_output_is_that_of_pytest(run_pytest):
    """With -v, pytest's own line for each test replaces the lines of the files; the commands remain."""
    lines = run_pytest(*test_command.OUTPUT, "-v")
    assert any(line.startswith("tests/test_one.py::test_other PASSED") for line in lines)
    assert not any(line.startswith("[1/3]") for line in lines)
    assert "./stack test tests/test_two.py::test_setup" in lines


ORDERED = """
import pytest
{mark}
done = []

def test_first():
    done.append("first")

def test_second():
    assert done == ["first"]
"""


@pytest.mark.parametrize("mark, status", [("", 1), ("pytestmark = pytest.mark.in_order", 0)])
def test_each_reverses_the_order(tmp_path, capsys, mark, status):
    """A test that needs another test to run before it fails with --each, unless its file is marked with `in_order`."""
    file = tmp_path / "test_ordered.py"
    file.write_text(ORDERED.format(mark=mark))
    assert each.main([str(file)]) == status
    output = capsys.readouterr().out
    assert f"{'FAILED' if status else 'passed'}  {file}" in output
    assert ("test_ordered.py::test_second" in output) == bool(status)


def test_slowest_files_start_first():
    """The slowest files start first, then the other tests that start containers, and the quick tests last."""
    files = ["tests/unit/cli/test_promises.py", "tests/live/test_doctor.py", "tests/live/test_backup.py"]
    collect = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "tests.parallel"]
    done = subprocess.run([sys.executable, "-m", "pytest", *collect, *files], cwd=ROOT, capture_output=True, text=True)
    collected = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    assert list(dict.fromkeys(collected)) == files[::-1]


def test_slowest_files_exist():
    """Each file and folder that starts first exists, and so does each folder whose files share a process."""
    assert [name for name in (*parallel.SLOWEST, *parallel.SHARED_FOLDERS) if not (ROOT / name).exists()] == []


def test_last_line():
    """The last line names each missing need, the most frequent first, and says so if every test was run."""
    line = needs.report(Counter({"apache2": 2, "engine": 1200}))
    assert line == "1202 tests were not run on this machine: 1200 need a Docker engine, 2 need apache2."
    assert needs.report(Counter()) == "All selected tests were run."


def test_fixtures_have_needs(request):
    """Every fixture in the table of needs exists, so that the tests that use it are left out."""
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("conftest.py"))
    assert [name for name in needs.FIXTURES if f"\ndef {name}(" not in text] == []


# --- which tests are run ------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """The commands that are run in the test image, and those that are run on this machine without an engine."""
    commands = {"image": [], "machine": []}
    monkeypatch.setattr(engine, "ensure", lambda: None)
    monkeypatch.setattr(test_command, "run_in_image", lambda command: commands["image"].append(command) or 3)
    monkeypatch.setattr(venv, "ensure", lambda folder, wanted, fix: Path("/packages"))
    monkeypatch.setattr(native, "is_possible", lambda server: True)
    monkeypatch.setattr(native, "install", lambda server: None)
    monkeypatch.setattr(native, "missing_packages", lambda server: [])
    monkeypatch.setattr(native, "check_readable", lambda: None)
    monkeypatch.setattr(local_tests.subprocess, "run", lambda command, **_: commands["machine"].append(command) or Done)
    monkeypatch.setattr(local_tests.shutil, "which", lambda name: f"/usr/bin/{name}")
    for name in ("CI", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return commands


def no_engine():
    return StackError("./stack cannot install Docker on X.", "It can on Debian.", "install it")


class Done:
    returncode = 4


def _fail(monkeypatch, error):
    def ensure():
        raise error

    monkeypatch.setattr(engine, "ensure", ensure)


def test_all_tests_run_in_the_image(started):
    """With an engine, ./stack test runs pytest in the test image, without a selection, and exits with its status."""
    assert main.main(["test"]) == 3
    assert started == {"image": [["pytest", *test_command.PARALLEL, *test_command.OUTPUT]], "machine": []}


def test_quick_runs_a_selection(started):
    """--quick selects the unit tests, the configuration and the smoke tests on one stack; all of them exist."""
    assert main.main(["test", "--quick", "-k", "mail"]) == 3
    (command,) = started["image"]
    assert command[-6:] == [*test_command.QUICK, "-k", "mail"]
    for name in [*test_command.QUICK, local_tests.SMOKE]:
        file, _, function = name.partition("::")
        assert (ROOT / file).exists()
        assert not function or f"\ndef {function}(" in (ROOT / file).read_text()


def test_each_runs_every_file_alone(started):
    """--each passes files and folders to tests/each.py, which finds all test files without them."""
    assert main.main(["test", "--each", "tests/unit"]) == 3
    assert started["image"] == [["python3", "-m", "tests.each", "tests/unit"]]
    found = each.files([])
    assert {"tests/unit/cli/test_test_command.py", "tests/live/test_stack.py"} <= set(found)
    assert not any(file.startswith("tests/smoke/") for file in found)


@pytest.mark.parametrize("quick", [False, True])
def test_without_an_engine(started, monkeypatch, capsys, quick):
    """If no engine can be installed, the tests run in a virtual environment, after the reason and the fix."""
    _fail(monkeypatch, no_engine())
    assert main.main(["test", *(["--quick"] if quick else []), "-x"]) == 4
    (command,) = started["machine"]
    assert command[:3] == ["/packages/bin/python", "-m", "pytest"] and command[-1] == "-x"
    assert "tests.needs" in command and started["image"] == []
    assert (local_tests.SMOKE in command) == ("tests/unit" in command) == quick
    output = capsys.readouterr().out
    assert "./stack cannot install Docker on X. It can on Debian." in output and "install it" in output


@pytest.mark.parametrize(
    ("error", "variables"),
    [
        (None, {"CI": "true"}),
        (None, {"DOCKER_HOST": "tcp://build.example:2375"}),
        (engine.AccessDenied("The user may not use it.", "", "join the group"), {}),
        (sudo.Declined("Not confirmed.", "", "./stack up --yes"), {}),
    ],
    ids=["CI", "remote engine", "access denied", "declined"],
)
def test_engine_is_required(started, monkeypatch, capsys, error, variables):
    """In CI, and if the user can have an engine, the missing engine is an error, and no test is run."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _fail(monkeypatch, error or no_engine())
    assert main.main(["test"]) == 1
    assert started == {"image": [], "machine": []}
    assert ("CI is set" in capsys.readouterr().err) == ("CI" in variables)


def test_smoke_tests_are_left_out_without_nginx(started, monkeypatch, capsys):
    """If Nginx cannot be installed, the other tests are run, and the reason is printed."""

    def install(server):
        raise StackError("'installing nginx' failed.", "no network", "try again")

    _fail(monkeypatch, no_engine())
    monkeypatch.setattr(native, "install", install)
    assert main.main(["test"]) == 4
    assert "The smoke tests are not run: 'installing nginx' failed. no network" in capsys.readouterr().out


def test_git_is_required(started, monkeypatch, capsys):
    """Without git, which the tests read the list of files from, the error has the command that installs it."""
    _fail(monkeypatch, no_engine())
    monkeypatch.setattr(local_tests.shutil, "which", lambda name: None)
    assert main.main(["test"]) == 1
    assert "apt-get install git" in capsys.readouterr().err


def test_virtual_environment_has_the_development_packages(started, monkeypatch):
    """The virtual environment has the app's and the tests' packages of Pipfile.lock; uWSGI only with a compiler."""
    wanted = []
    monkeypatch.setattr(venv, "ensure", lambda folder, text, fix: wanted.append(text) or Path("/packages"))
    _fail(monkeypatch, no_engine())
    for missing in ([], ["gcc"]):
        monkeypatch.setattr(native, "missing_packages", lambda server, missing=missing: missing)
        main.main(["test"])
    names = [{line.partition("==")[0].partition("[")[0] for line in text.splitlines()} for text in wanted]
    assert {"flask", "pytest", "pytest-xdist", "uwsgi"} <= names[0]
    assert names[0] - names[1] == {"uwsgi"}
    assert set(requirements.development()) <= names[1]
