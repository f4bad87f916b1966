"""The command line of ./stack: commands, help, errors and progress."""

import ast
import re
import runpy
import subprocess
import sys

import pytest

from cli import VERSION, console, main
from cli.console import ROOT
from deploy.errors import StackError

MODULES = main.load_commands()


def test_help_lists_every_command(capsys):
    """./stack lists each file of cli/commands with the first line of its docstring."""
    with pytest.raises(SystemExit) as ended:
        main.main([])
    output = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and "Manage the Tripod stack." in output
    for path in (ROOT / "cli/commands").glob("[!_]*.py"):
        first_line = path.read_text().splitlines()[0].strip('"')
        assert f"{path.stem} {first_line}" in output


def test_help_groups_the_commands(capsys):
    """The list has the five groups in their order; each command is in the group that its module declares."""
    with pytest.raises(SystemExit):
        main.main(["help"])
    output = capsys.readouterr().out
    assert tuple(re.findall(r"^(\w+):$", output, re.MULTILINE))[:5] == main.GROUPS
    for group in main.GROUPS:
        section = re.search(rf"^{group}:\n((?:  .+\n)+)", output, re.MULTILINE)[1]
        assert re.findall(r"^  (\w+)", section, re.MULTILINE) == [
            name for name, module in MODULES.items() if module.GROUP == group
        ]


@pytest.mark.parametrize("command", main.command_names())
def test_every_command_belongs_to_a_group(command):
    """GROUP of every module is one of the five groups."""
    assert MODULES[command].GROUP in main.GROUPS


@pytest.mark.parametrize("command", main.command_names())
def test_every_command_has_help(command, capsys):
    """./stack help COMMAND shows the whole docstring of its file."""
    with pytest.raises(SystemExit) as ended:
        main.main(["help", command])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert f"usage: ./stack {command}" in output and MODULES[command].__doc__.strip() in output


@pytest.mark.parametrize("command", main.command_names())
def test_every_command_has_examples(command):
    """The help of each command ends with at least two examples of this command, each with an explanation."""
    examples = MODULES[command].__doc__.partition("\n\nExamples:\n")[2].splitlines()
    assert len(examples) >= 2
    for example in examples:
        assert re.fullmatch(rf"  (\S+=\S+ )*\./stack {command}( \S+)* {{2,}}\S.*", example), example


def test_version(capsys):
    """./stack --version prints the version alone."""
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"{VERSION}\n"


def test_version_is_that_of_the_changelog():
    """VERSION is the newest version heading of CHANGELOG.md."""
    headings = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:1] == [VERSION]


def test_old_python_gets_a_sentence():
    """On Python 3.9, ./stack prints one sentence with what is needed and exits with 1."""
    script = f"""
import runpy, sys
sys.version_info = (3, 9, 18, "final", 0)
sys.argv = ["stack", "help"]
runpy.run_path({str(ROOT / "stack")!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"./stack requires Python 3.10 or newer, but {sys.executable} is Python 3.9.\n"


def test_python_is_checked_before_the_import_of_cli():
    """The file `stack` is valid for Python 3.6 and imports cli only after the check of the version."""
    tree = ast.parse((ROOT / "stack").read_text(), feature_version=(3, 6))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node) for node in imports} == {"import sys", "from pathlib import Path"}
    *_, last = tree.body
    assert [ast.unparse(node).partition("(")[0] for node in last.body] == ["require_python", "sys.exit"]


@pytest.mark.parametrize("version", [(3, 10), (3, 13), (4, 0)])
def test_newer_python_is_accepted(version):
    """Python 3.10 and newer versions pass the check."""
    runpy.run_path(str(ROOT / "stack"))["require_python"](version)


@pytest.mark.parametrize("arguments", [["help"], ["help", "up"], ["--version"]])
def test_help_needs_nothing_of_linux(arguments):
    """On a system without sched_getaffinity, grp and pwd, the commands can be imported and show their help."""
    script = f"""
import os, sys, getpass
del os.sched_getaffinity
for name in ("grp", "pwd", "spwd"):
    sys.modules[name] = None
sys.path.insert(0, {str(ROOT)!r})
from cli.main import main
sys.exit(main({arguments!r}))
"""
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_unknown_command_is_an_error_with_a_suggestion(capsys):
    """A mistyped command exits with 2, lists the commands and suggests the most similar one."""
    assert main.main(["stauts"]) == 2
    output = capsys.readouterr().err
    assert "no command 'stauts'" in output and "backup, bench, dev, doctor" in output
    assert "fix:   ./stack status" in output


def test_arguments_for_pytest_keep_their_order(monkeypatch):
    """All arguments after `test` reach pytest in their order."""
    monkeypatch.setattr("cli.commands.test.run", lambda args: args.rest)
    assert main.main(["test", "-k", "proxy and not slow", "tests/unit", "-x"]) == [
        "-k",
        "proxy and not slow",
        "tests/unit",
        "-x",
    ]


@pytest.mark.parametrize("command", ["flask", "dev"])
def test_arguments_for_flask_keep_their_options(command, monkeypatch):
    """All arguments after a flask command belong to it, --help too."""
    monkeypatch.setattr(f"cli.commands.{command}.run", lambda args: args.words)
    assert main.main([command, "seed", "--help", "--posts", "5"]) == ["seed", "--help", "--posts", "5"]


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (["up", "--servre", "uwsgi"], "has no option or argument --servre", "./stack help up"),
        (["dev", "--port", "many"], "invalid int value: 'many'", "./stack help dev"),
        (["switch"], "arguments are required: SERVER", "./stack help switch"),
        (["--verbose"], "arguments are required: COMMAND", "./stack help"),
    ],
)
def test_wrong_arguments_are_an_error_with_three_parts(arguments, error, fix, monkeypatch, capsys):
    """Wrong arguments exit with 2 before anything is done."""
    monkeypatch.setattr("cli.commands.up.run", None)
    assert main.main(arguments) == 2
    output = capsys.readouterr().err
    assert output.startswith("error: ") and error in output and output.endswith(f"fix:   {fix}\n")


def test_interrupt_exits_with_130(monkeypatch, capsys):
    """Ctrl-C prints one line and gives the shell's usual exit status."""

    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.commands.status.run", interrupt)
    assert main.main(["status"]) == 130
    assert capsys.readouterr().out == "Interrupted.\n"


def test_stack_works_through_a_link_from_any_folder(tmp_path):
    """./stack works from every folder and through a symbolic link."""
    link = tmp_path / "link"
    link.symlink_to(ROOT / "stack")
    done = subprocess.run([sys.executable, link, "help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Run:" in done.stdout


def test_error_has_three_parts(capsys, monkeypatch):
    """A StackError prints error, cause and fix, and gives the exit status."""

    def fail(args):
        raise StackError("It is broken.", "You need it.\nReally.", "./stack repair", status=78)

    monkeypatch.setattr("cli.commands.status.run", fail)
    assert main.main(["status"]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["error: It is broken.", "cause: You need it.", "       Really.", "fix:   ./stack repair"]


def test_step_without_terminal_prints_start_and_end(capsys, monkeypatch, tmp_path):
    """In a log, a step has one line at its start and one with the duration at its end."""
    monkeypatch.setattr(console, "LOG", tmp_path / "log")
    console.run("doing it", ["echo", "hello"], fix="nothing")
    start, end = capsys.readouterr().out.splitlines()
    assert start == "- doing it ..." and end.startswith("- doing it: ok (")
    assert (tmp_path / "log").read_text() == "$ echo hello\nhello\n"


def test_long_step_without_terminal_prints_progress(capsys, monkeypatch):
    """In a log, a long step prints a line at intervals, with the newest line of the command's output."""
    monkeypatch.setattr(console, "PROGRESS_INTERVAL", 0.2)
    console.run("waiting", ["sh", "-c", "echo newest; sleep 1"], fix="nothing")
    assert "newest" in capsys.readouterr().out


def test_failed_step_shows_the_end_of_the_output(monkeypatch, tmp_path):
    """A command that fails raises a StackError with its last lines and the fix."""
    monkeypatch.setattr(console, "LOG", console.STATE / "log")
    with pytest.raises(StackError) as raised:
        console.run("failing", ["sh", "-c", "seq 100; exit 4"], fix="try again")
    assert "status 4" in raised.value.error
    assert raised.value.cause.splitlines()[-1] == "100" and len(raised.value.cause.splitlines()) == console.TAIL
    assert raised.value.fix.startswith("try again")


def test_step_without_output_times_out():
    """A command that prints nothing within first_output_timeout is terminated."""
    with pytest.raises(StackError) as raised:
        console.run("hanging", ["sleep", "60"], fix="try again", first_output_timeout=0.3)
    assert "timed out" in raised.value.cause
