"""The door itself: verbs, help, problems, progress."""

import subprocess
import sys

import pytest

from deploy import cli
from deploy.cli import console
from deploy.cli.console import ROOT, Problem


def test_help_lists_every_verb(capsys):
    """Each file of deploy/cli/verbs is listed by ./stack with the first line of its docstring."""
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for path in (ROOT / "deploy/cli/verbs").glob("[!_]*.py"):
        first_line = path.read_text().splitlines()[0].strip('"')
        assert f"{path.stem} {first_line}" in shown


@pytest.mark.parametrize("verb", cli.verb_names())
def test_every_verb_explains_itself(verb, capsys):
    """./stack help VERB shows the whole docstring of its file."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["help", verb])
    assert ended.value.code == 0
    assert f"usage: ./stack {verb}" in capsys.readouterr().out


def test_unknown_verb_is_answered_with_the_known_ones(capsys):
    """A mistyped verb ends with 2, names the verbs and proposes the nearest."""
    assert cli.main(["stauts"]) == 2
    said = capsys.readouterr().err
    assert "no verb 'stauts'" in said and "backup, bench, dev, doctor" in said and "type:  ./stack status" in said


def test_words_for_pytest_keep_their_order(monkeypatch):
    """Everything behind `test` reaches pytest as it was written."""
    monkeypatch.setattr("deploy.cli.verbs.test.run", lambda args: args.rest)
    assert cli.main(["test", "-k", "proxy and not slow", "tests/unit", "-x"]) == [
        "-k",
        "proxy and not slow",
        "tests/unit",
        "-x",
    ]


@pytest.mark.parametrize("verb", ["flask", "dev"])
def test_words_for_the_app_keep_their_options(verb, monkeypatch):
    """Everything behind a flask command is its own, --help too."""
    monkeypatch.setattr(f"deploy.cli.verbs.{verb}.run", lambda args: args.words)
    assert cli.main([verb, "seed", "--help", "--posts", "5"]) == ["seed", "--help", "--posts", "5"]


def test_words_that_a_verb_does_not_know_are_refused(capsys):
    """A wrong option stops before anything is done."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", "--servre", "uwsgi"])
    assert ended.value.code == 2
    assert "does not know --servre" in capsys.readouterr().err


def test_interrupt_ends_with_130(monkeypatch, capsys):
    """Ctrl-C gives one line and the shell's usual status."""

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.cli.verbs.status.run", interrupted)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr().out == "Interrupted.\n"


def test_door_opens_through_a_link_from_any_folder(tmp_path):
    """./stack works from every folder and through a symbolic link."""
    link = tmp_path / "door"
    link.symlink_to(ROOT / "stack")
    shown = subprocess.run([sys.executable, link, "help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "verbs:" in shown.stdout


def test_problem_has_three_parts(capsys, monkeypatch):
    """A Problem prints what is wrong, why it matters and what to type, and gives its status."""

    def broken(args):
        raise Problem("It is broken.", "You need it.\nReally.", "./stack mend", status=78)

    monkeypatch.setattr("deploy.cli.verbs.status.run", broken)
    assert cli.main(["status"]) == 78
    said = capsys.readouterr().err.splitlines()
    assert said == ["wrong: It is broken.", "why:   You need it.", "       Really.", "type:  ./stack mend"]


def test_step_without_terminal_says_start_and_end(capsys, monkeypatch, tmp_path):
    """In a log, a step is one line at its start and one with the time at its end."""
    monkeypatch.setattr(console, "LOG", tmp_path / "log")
    console.run("doing it", ["echo", "hello"], todo="nothing")
    start, end = capsys.readouterr().out.splitlines()
    assert start == "- doing it ..." and end.startswith("- doing it: ok (")
    assert (tmp_path / "log").read_text() == "$ echo hello\nhello\n"


def test_long_step_without_terminal_shows_that_it_lives(capsys, monkeypatch):
    """In a log, a step that goes on gives a line now and then, with the newest line of its output."""
    monkeypatch.setattr(console, "HEARTBEAT", 0.2)
    console.run("waiting", ["sh", "-c", "echo newest; sleep 1"], todo="nothing")
    assert "newest" in capsys.readouterr().out


def test_failed_step_shows_the_end_of_its_output(monkeypatch, tmp_path):
    """A command that fails is a Problem with its last lines and what to type."""
    monkeypatch.setattr(console, "LOG", console.STATE / "log")
    with pytest.raises(Problem) as raised:
        console.run("failing", ["sh", "-c", "seq 100; exit 4"], todo="try again")
    assert "status 4" in raised.value.what
    assert raised.value.why.splitlines()[-1] == "100" and len(raised.value.why.splitlines()) == console.TAIL
    assert raised.value.todo.startswith("try again")


def test_silent_step_is_given_up():
    """A command that hangs without a word is ended instead of being waited for."""
    with pytest.raises(Problem) as raised:
        console.run("hanging", ["sleep", "60"], todo="try again", silence=0.3)
    assert "given up" in raised.value.why
