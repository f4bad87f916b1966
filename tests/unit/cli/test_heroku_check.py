"""Unit tests of ./stack heroku --check: the files that the platform would reject."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.heroku import check, output, pipfile, procfile, slug
from cli.heroku.memory import MB
from deploy.errors import StackError, StackErrors
from deploy.settings import ROOT

PIPFILE = '[packages]\nflask = "~=3.1"\n"zope.interface" = "*"\n\n[dev-packages]\npytest = "*"\n'
LOCK = {
    "_meta": {"requires": {"python_version": "3.13"}},
    "default": {"flask": {"version": "==3.1.0"}, "zope-interface": {"version": "==7.0"}},
    "develop": {"pytest": {"version": "==9.2.0"}},
}


@pytest.fixture
def app(tmp_path) -> Path:
    """The files of an app that the platform accepts."""
    (tmp_path / "Pipfile").write_text(PIPFILE)
    (tmp_path / "Pipfile.lock").write_text(json.dumps(LOCK))
    (tmp_path / ".python-version").write_text("# as the Pipfile\n3.13\n")
    (tmp_path / "Procfile").write_text("web: bin/web --now\nrelease: true\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "web").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "web").chmod(0o755)
    return tmp_path


def only_error(folder: Path) -> StackError:
    """The only error of these files, which has all three parts."""
    (error,) = check.find_errors(folder)
    assert error.error and error.cause and error.fix
    assert str(error).startswith("error: ")
    return error


def test_valid_app(app):
    """An app that follows the platform's rules has no errors and no warnings."""
    assert check.find_errors(app) == [] and check.find_warnings(app) == []


def test_this_repository():
    """This repository has no errors and no warnings."""
    assert check.find_errors(ROOT) == [] and check.find_warnings(ROOT) == []


def test_no_python_files(tmp_path):
    """A folder without any file of a Python project is not detected."""
    (tmp_path / "index.html").write_text("")
    assert "not compatible" in only_error(tmp_path).error


def test_missing_lock_file(app):
    """A Pipfile without a lock file is an error."""
    (app / "Pipfile.lock").unlink()
    assert "No 'Pipfile.lock' found!" in only_error(app).error and "./stack lock" in only_error(app).fix


@pytest.mark.parametrize("name", ["requirements.txt", "poetry.lock", "uv.lock"])
def test_two_package_managers(app, name):
    """A file of a second package manager is an error; the fix removes it."""
    (app / name).write_text("")
    assert "Multiple Python package manager files" in only_error(app).error and only_error(app).fix == f"git rm {name}"


def test_no_package_manager(app):
    """A Python project without a file of a package manager is an error."""
    (app / "Pipfile").unlink()
    (app / "Pipfile.lock").unlink()
    (app / "setup.py").write_text("")
    assert "Couldn't find any supported Python package manager files" in only_error(app).error


@pytest.mark.parametrize("edit", ['requests = "*"\n', '"zope.event" = {version = "*", extras = ["test"]}\n'])
def test_package_is_not_locked(app, edit):
    """A package of the Pipfile that the lock file lacks is an error; names are compared in normalized form."""
    (app / "Pipfile").write_text(PIPFILE.replace("[packages]\n", f"[packages]\n{edit}"))
    assert "out of date" in only_error(app).cause and edit.split()[0].strip('"') in only_error(app).cause


@pytest.mark.parametrize("text", ["", "{", "[]", "<<<<<<< HEAD\n{}"])
def test_invalid_lock_file(app, text):
    """A lock file that is not a JSON object, for example after a merge conflict, is an error."""
    (app / "Pipfile.lock").write_text(text)
    assert only_error(app).error == "Can't parse Pipfile.lock."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"3.9\n", "end-of-life"),
        (b"2.7.18\n", "end-of-life"),
        (b"3.15\n", "isn't recognised"),
        (b"4.0", "isn't recognised"),
        (b"python-3.13\n", "Invalid Python version"),
        (b"3.13.*\n", "Invalid Python version"),
        (b"3", "Invalid Python version"),
        (b"# 3.13\n\n", "No Python version found"),
        (b"3.13\n3.12\n", "Multiple Python versions"),
        (b"\xef\xbb\xbf3.13\n", "Unable to read"),
    ],
)
def test_invalid_python_version(app, content, reason):
    """.python-version must contain one version that the platform supports; the fix is the version of the lock file."""
    (app / ".python-version").write_bytes(content)
    assert reason in only_error(app).error and only_error(app).fix == "echo 3.13 > .python-version"


@pytest.mark.parametrize("name", [".python_version", "python-version", ".python-version.txt"])
def test_misspelled_python_version_file(app, name):
    """A misspelled name of .python-version is an error; the fix renames the file."""
    (app / ".python-version").rename(app / name)
    assert "spelled incorrectly" in only_error(app).error and f"git mv '{name}' .python-version" in only_error(app).fix


def test_python_versions_differ(app):
    """Different versions in .python-version and the lock file are an error; on the platform only pipenv reports it."""
    (app / ".python-version").write_text("3.12\n")
    assert "requests Python 3.12, but the Pipfile requires 3.13" in only_error(app).cause


@pytest.mark.parametrize(("text", "reason"), [("3.13\n", "Invalid"), ("python-3.12.14\n", "Unable to install")])
def test_runtime_txt(app, text, reason):
    """runtime.txt takes precedence over .python-version: a warning, and an error if the versions differ."""
    (app / "runtime.txt").write_text(text)
    assert reason in only_error(app).error and only_error(app).fix == "git rm runtime.txt"
    (app / "runtime.txt").write_text("python-3.13.15\n")
    assert check.find_errors(app) == [] and "deprecated" in check.find_warnings(app)[0]


def test_python_version_of_the_lock_file(app):
    """Without .python-version the version of the lock file is used, and a wildcard in it is an error."""
    (app / ".python-version").unlink()
    assert check.find_errors(app) == []
    (app / "Pipfile.lock").write_text(json.dumps(LOCK | {"_meta": {"requires": {"python_version": "3.*"}}}))
    assert "Invalid Python version in Pipfile.lock" in only_error(app).error


@pytest.mark.parametrize("name", [".venv", "venv"])
def test_committed_virtual_environment(app, name):
    """A virtual environment in the repository is an error."""
    (app / name).mkdir()
    (app / name / "pyvenv.cfg").write_text("")
    assert f"Existing '{name}/' directory found." in only_error(app).error


def test_committed_python(app):
    """The folder in which the platform installs Python must not exist in the repository."""
    (app / ".heroku" / "python").mkdir(parents=True)
    assert "Existing '.heroku/python/' directory found." in only_error(app).error


def test_no_procfile(app):
    """A missing Procfile is an error: the buildpack has no default process."""
    (app / "Procfile").unlink()
    assert "No Procfile" in only_error(app).error


def test_no_web_process(app):
    """A Procfile without the type web, or with a misspelled one, is an error."""
    (app / "Procfile").write_text("Web server: bin/web\nworker: true\n")
    assert "no process type web" in only_error(app).error and "worker" in only_error(app).cause


def test_missing_or_non_executable_command(app):
    """A command of the Procfile that is not in the commit, or not executable there, is an error."""
    (app / "bin" / "web").chmod(0o644)
    assert "bin/web is not executable." in only_error(app).error and "--chmod=+x bin/web" in only_error(app).fix
    (app / "bin" / "web").unlink()
    assert "bin/web, which is not in the commit" in only_error(app).error


def test_non_executable_hook_is_a_warning(app):
    """A hook that is not executable is a warning, since the platform makes it executable."""
    (app / "bin" / "post_compile").write_text("#!/bin/sh\n")
    assert check.find_errors(app) == [] and "bin/post_compile is not executable" in check.find_warnings(app)[0]


@pytest.mark.parametrize("text", ["{", "[1]", '{"name": "x", "adons": []}'])
def test_invalid_app_json(app, text):
    """An app.json that is not a JSON object, or has an unknown key, is an error."""
    (app / "app.json").write_text(text)
    assert only_error(app).error == "app.json is invalid."


def test_several_errors(app):
    """All errors are reported together."""
    (app / "Procfile").unlink()
    (app / ".python-version").write_text("3.15\n")
    assert len(check.find_errors(app)) == 2


def test_procfile_lines():
    """Process types have letters, digits, - and _; all other lines are ignored, as by the platform."""
    assert procfile.read("# web: no\nweb:   a b: c \n\nweb 2: x\nclock-1:d\r\n") == {"web": "a b: c", "clock-1": "d"}


def test_pipfile_is_read_like_toml():
    """The line-based parser finds the same names in this repository's Pipfile as a TOML parser."""
    tomllib = pytest.importorskip("tomllib")
    text = (ROOT / "Pipfile").read_text()
    parsed = tomllib.loads(text)
    assert {name: set(entries) for name, entries in pipfile.sections(text).items() if name} == {
        name: set(entries) for name, entries in parsed.items()
    }


def test_slug_is_too_large(tmp_path, monkeypatch):
    """A slug above the limit after compression is an error that names the largest folders."""
    monkeypatch.setattr(slug, "LIMIT", MB)
    monkeypatch.setattr(slug, "WARN", MB // 2)
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "zeros").write_bytes(bytes(4 * MB))
    assert "0 MB" in slug.check_size(tmp_path)  # large, but small when compressed
    (tmp_path / "video" / "noise").write_bytes(os.urandom(2 * MB))
    monkeypatch.setattr(slug, "LIMIT", MB // 2)
    with pytest.raises(StackError, match=r"(?s)is too large.*video"):
        slug.check_size(tmp_path)


def test_slugignore(tmp_path):
    """Files that .slugignore names are removed from the slug."""
    for name in (".slugignore", "docs/a.md", "app/docs/b.md", "app/x.psd", "keep.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# comment\n\n*.psd\n/docs\n" if name == ".slugignore" else "")
    slug.ignore(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".slugignore", "app/docs/b.md", "keep.md"}


def test_check_is_quick_and_requires_no_packages(tmp_path):
    """`./stack heroku --check` takes less than 3 s and needs only the standard library."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "stack", "heroku", "--check"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "Heroku would accept the files of" in done.stdout and time.monotonic() - started < 3


def test_each_line_of_an_error_has_the_mark(capsys):
    """All lines of several errors start with the platform's mark, as in a real push."""
    error = StackError("The build failed.", "Two\nlines.", "commit it")
    output.error(StackErrors([error, error]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "" and all(line.startswith(output.ERROR_MARK) for line in lines[1:])
    assert lines.count(f"{output.ERROR_MARK}error: The build failed.") == 2
