"""The door itself: verbs, help, problems, progress."""

import subprocess
import sys

import pytest

from cli import console, main
from cli.console import ROOT
from deploy.errors import StackError


def test_help_lists_every_verb(capsys):
    """Each file of cli/commands is listed by ./stack with the first line of its docstring."""
    with pytest.raises(SystemExit) as ended:
        main.main([])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for path in (ROOT / "cli/commands").glob("[!_]*.py"):
        first_line = path.read_text().splitlines()[0].strip('"')
        assert f"{path.stem} {first_line}" in shown


@pytest.mark.parametrize("verb", main.command_names())
def test_every_verb_explains_itself(verb, capsys):
    """./stack help VERB shows the whole docstring of its file."""
    with pytest.raises(SystemExit) as ended:
        main.main(["help", verb])
    assert ended.value.code == 0
    assert f"usage: ./stack {verb}" in capsys.readouterr().out


def test_unknown_verb_is_answered_with_the_known_ones(capsys):
    """A mistyped verb ends with 2, names the verbs and proposes the nearest."""
    assert main.main(["stauts"]) == 2
    said = capsys.readouterr().err
    assert "no verb 'stauts'" in said and "backup, bench, dev, docs, doctor" in said and "fix:   ./stack status" in said


def test_words_for_pytest_keep_their_order(monkeypatch):
    """Everything behind `test` reaches pytest as it was written."""
    monkeypatch.setattr("cli.commands.test.run", lambda args: args.rest)
    assert main.main(["test", "-k", "proxy and not slow", "tests/unit", "-x"]) == [
        "-k",
        "proxy and not slow",
        "tests/unit",
        "-x",
    ]


@pytest.mark.parametrize("verb", ["flask", "dev"])
def test_words_for_the_app_keep_their_options(verb, monkeypatch):
    """Everything behind a flask command is its own, --help too."""
    monkeypatch.setattr(f"cli.commands.{verb}.run", lambda args: args.words)
    assert main.main([verb, "seed", "--help", "--posts", "5"]) == ["seed", "--help", "--posts", "5"]


def test_words_that_a_verb_does_not_know_are_refused(capsys):
    """A wrong option stops before anything is done."""
    with pytest.raises(SystemExit) as ended:
        main.main(["up", "--servre", "uwsgi"])
    assert ended.value.code == 2
    assert "does not know --servre" in capsys.readouterr().err


def test_interrupt_ends_with_130(monkeypatch, capsys):
    """Ctrl-C gives one line and the shell's usual status."""

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.commands.status.run", interrupted)
    assert main.main(["status"]) == 130
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
        raise StackError("It is broken.", "You need it.\nReally.", "./stack repair", status=78)

    monkeypatch.setattr("cli.commands.status.run", broken)
    assert main.main(["status"]) == 78
    said = capsys.readouterr().err.splitlines()
    assert said == ["error: It is broken.", "cause: You need it.", "       Really.", "fix:   ./stack repair"]


def test_step_without_terminal_says_start_and_end(capsys, monkeypatch, tmp_path):
    """In a log, a step is one line at its start and one with the time at its end."""
    monkeypatch.setattr(console, "LOG", tmp_path / "log")
    console.run("doing it", ["echo", "hello"], fix="nothing")
    start, end = capsys.readouterr().out.splitlines()
    assert start == "- doing it ..." and end.startswith("- doing it: ok (")
    assert (tmp_path / "log").read_text() == "$ echo hello\nhello\n"


def test_long_step_without_terminal_shows_that_it_lives(capsys, monkeypatch):
    """In a log, a step that goes on gives a line now and then, with the newest line of its output."""
    monkeypatch.setattr(console, "HEARTBEAT", 0.2)
    console.run("waiting", ["sh", "-c", "echo newest; sleep 1"], fix="nothing")
    assert "newest" in capsys.readouterr().out


def test_failed_step_shows_the_end_of_its_output(monkeypatch, tmp_path):
    """A command that fails is a Problem with its last lines and what to type."""
    monkeypatch.setattr(console, "LOG", console.STATE / "log")
    with pytest.raises(StackError) as raised:
        console.run("failing", ["sh", "-c", "seq 100; exit 4"], fix="try again")
    assert "status 4" in raised.value.error
    assert raised.value.cause.splitlines()[-1] == "100" and len(raised.value.cause.splitlines()) == console.TAIL
    assert raised.value.fix.startswith("try again")


def test_silent_step_is_given_up():
    """A command that hangs without a word is ended instead of being waited for."""
    with pytest.raises(StackError) as raised:
        console.run("hanging", ["sleep", "60"], fix="try again", first_output_timeout=0.3)
    assert "given up" in raised.value.cause
