"""./stack heroku --check: what the platform would refuse for the sake of files alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.heroku import check, pipfile, procfile, slug
from cli.heroku.memory import MB
from deploy.errors import StackError
from deploy.settings import ROOT

PIPFILE = '[packages]\nflask = "~=3.1"\n"zope.interface" = "*"\n\n[dev-packages]\npytest = "*"\n'
LOCK = {
    "_meta": {"requires": {"python_version": "3.13"}},
    "default": {"flask": {"version": "==3.1.0"}, "zope-interface": {"version": "==7.0"}},
    "develop": {"pytest": {"version": "==9.2.0"}},
}


@pytest.fixture
def app(tmp_path) -> Path:
    """The files of an app that the platform takes."""
    (tmp_path / "Pipfile").write_text(PIPFILE)
    (tmp_path / "Pipfile.lock").write_text(json.dumps(LOCK))
    (tmp_path / ".python-version").write_text("# as the Pipfile\n3.13\n")
    (tmp_path / "Procfile").write_text("web: bin/web --now\nrelease: true\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "web").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "web").chmod(0o755)
    return tmp_path


def refusal(folder: Path) -> StackError:
    """The one refusal that is to be found. Each has all three parts."""
    (found,) = check.refusals(folder)
    assert found.error and found.cause and found.fix
    assert str(found).startswith("error: ")
    return found


def test_good_app_is_taken(app):
    """An app that keeps the platform's rules is refused nothing and warned of nothing."""
    assert check.refusals(app) == [] and check.warnings(app) == []


def test_this_repository_is_taken():
    """This repository itself is taken."""
    assert check.refusals(ROOT) == [] and check.warnings(ROOT) == []


def test_nothing_of_python(tmp_path):
    """A folder without any file of a Python project is not detected."""
    (tmp_path / "index.html").write_text("")
    assert "not compatible" in refusal(tmp_path).error


def test_lock_is_missing(app):
    """A Pipfile without its lock file."""
    (app / "Pipfile.lock").unlink()
    assert "No 'Pipfile.lock' found!" in refusal(app).error and "./stack lock" in refusal(app).fix


@pytest.mark.parametrize("name", ["requirements.txt", "poetry.lock", "uv.lock"])
def test_two_package_managers(app, name):
    """A second package manager's file, whichever: it is the one to be removed."""
    (app / name).write_text("")
    assert "Multiple Python package manager files" in refusal(app).error and refusal(app).fix == f"git rm {name}"


def test_no_package_manager(app):
    """A Python project without any package manager's file."""
    (app / "Pipfile").unlink()
    (app / "Pipfile.lock").unlink()
    (app / "setup.py").write_text("")
    assert "Couldn't find any supported Python package manager files" in refusal(app).error


@pytest.mark.parametrize("edit", ['requests = "*"\n', '"zope.event" = {version = "*", extras = ["test"]}\n'])
def test_package_is_not_locked(app, edit):
    """A package that stands in the Pipfile and not in the lock; names are compared as pip compares them."""
    (app / "Pipfile").write_text(PIPFILE.replace("[packages]\n", f"[packages]\n{edit}"))
    assert "out of date" in refusal(app).cause and edit.split()[0].strip('"') in refusal(app).cause


@pytest.mark.parametrize("text", ["", "{", "[]", "<<<<<<< HEAD\n{}"])
def test_lock_is_no_json(app, text):
    """A lock file that is not a JSON object, after a merge for example."""
    (app / "Pipfile.lock").write_text(text)
    assert refusal(app).error == "Can't parse Pipfile.lock."


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
def test_python_version_is_not_understood(app, content, reason):
    """.python-version holds one version that the platform has, and what to type instead is the lock's."""
    (app / ".python-version").write_bytes(content)
    assert reason in refusal(app).error and refusal(app).fix == "echo 3.13 > .python-version"


@pytest.mark.parametrize("name", [".python_version", "python-version", ".python-version.txt"])
def test_python_version_is_misspelt(app, name):
    """A file that is almost called .python-version."""
    (app / ".python-version").rename(app / name)
    assert "spelled incorrectly" in refusal(app).error and f"git mv '{name}' .python-version" in refusal(app).fix


def test_python_versions_differ(app):
    """Another version in .python-version than the lock was made for: the platform notices only in pipenv."""
    (app / ".python-version").write_text("3.12\n")
    assert "asks for Python 3.12, the Pipfile for 3.13" in refusal(app).cause


@pytest.mark.parametrize(("text", "what"), [("3.13\n", "Invalid"), ("python-3.12.14\n", "Unable to install")])
def test_runtime_txt(app, text, what):
    """A runtime.txt wins over .python-version; it is warned of, and refused if it does not agree."""
    (app / "runtime.txt").write_text(text)
    assert what in refusal(app).error and refusal(app).fix == "git rm runtime.txt"
    (app / "runtime.txt").write_text("python-3.13.15\n")
    assert check.refusals(app) == [] and "deprecated" in check.warnings(app)[0]


def test_without_python_version_the_lock_counts(app):
    """Without .python-version the lock's version is taken, and a wildcard in it is refused."""
    (app / ".python-version").unlink()
    assert check.refusals(app) == []
    (app / "Pipfile.lock").write_text(json.dumps(LOCK | {"_meta": {"requires": {"python_version": "3.*"}}}))
    assert "Invalid Python version in Pipfile.lock" in refusal(app).error


@pytest.mark.parametrize("name", [".venv", "venv"])
def test_committed_environment(app, name):
    """A virtual environment in the repository."""
    (app / name).mkdir()
    (app / name / "pyvenv.cfg").write_text("")
    assert f"Existing '{name}/' directory found." in refusal(app).error


def test_committed_python(app):
    """The folder in which the platform keeps its Python."""
    (app / ".heroku" / "python").mkdir(parents=True)
    assert "Existing '.heroku/python/' directory found." in refusal(app).error


def test_no_procfile(app):
    """Without a Procfile nothing would run: this buildpack has no default."""
    (app / "Procfile").unlink()
    assert "No Procfile" in refusal(app).error


def test_no_web_process(app):
    """A Procfile without the type web, or with it misspelt, answers no requests."""
    (app / "Procfile").write_text("Web server: bin/web\nworker: true\n")
    assert "no process type web" in refusal(app).error and "worker" in refusal(app).cause


def test_command_is_missing_or_cannot_run(app):
    """A command of the Procfile that is not in the commit, or not executable there."""
    (app / "bin" / "web").chmod(0o644)
    assert "bin/web is not executable." in refusal(app).error and "--chmod=+x bin/web" in refusal(app).fix
    (app / "bin" / "web").unlink()
    assert "bin/web, which is not in the commit" in refusal(app).error


def test_hook_that_cannot_run_is_a_warning(app):
    """The platform makes hooks executable itself."""
    (app / "bin" / "post_compile").write_text("#!/bin/sh\n")
    assert check.refusals(app) == [] and "bin/post_compile is not executable" in check.warnings(app)[0]


@pytest.mark.parametrize("text", ["{", "[1]", '{"name": "x", "adons": []}'])
def test_app_json_is_invalid(app, text):
    """An app.json that is no JSON object, or has a key that the platform does not know."""
    (app / "app.json").write_text(text)
    assert refusal(app).error == "app.json is invalid."


def test_several_at_once(app):
    """All that is wrong is said at once."""
    (app / "Procfile").unlink()
    (app / ".python-version").write_text("3.15\n")
    assert len(check.refusals(app)) == 2


def test_procfile_lines():
    """Types have letters, digits, - and _; other lines are passed over, as the platform does."""
    assert procfile.read("# web: no\nweb:   a b: c \n\nweb 2: x\nclock-1:d\r\n") == {"web": "a b: c", "clock-1": "d"}


def test_pipfile_is_read_without_a_toml_reader():
    """The names in this repository's own Pipfile are those that a TOML reader finds."""
    tomllib = pytest.importorskip("tomllib")
    text = (ROOT / "Pipfile").read_text()
    read = tomllib.loads(text)
    assert {name: set(found) for name, found in pipfile.sections(text).items() if name} == {
        name: set(found) for name, found in read.items()
    }


def test_slug_is_too_large(tmp_path, monkeypatch):
    """More than the limit after compression is refused, and the largest folders are named."""
    monkeypatch.setattr(slug, "LIMIT", MB)
    monkeypatch.setattr(slug, "WARN", MB // 2)
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "zeros").write_bytes(bytes(4 * MB))
    assert "0 MB" in slug.judge(tmp_path)  # large, but not when it is compressed
    (tmp_path / "video" / "noise").write_bytes(os.urandom(2 * MB))
    monkeypatch.setattr(slug, "LIMIT", MB // 2)
    with pytest.raises(StackError, match=r"(?s)is too large.*video"):
        slug.judge(tmp_path)


def test_slugignore(tmp_path):
    """What .slugignore names is no part of the slug."""
    for name in (".slugignore", "docs/a.md", "app/docs/b.md", "app/x.psd", "keep.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# comment\n\n*.psd\n/docs\n" if name == ".slugignore" else "")
    slug.ignore(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".slugignore", "app/docs/b.md", "keep.md"}


def test_check_is_quick_and_needs_nothing(tmp_path):
    """`./stack heroku --check` takes less than 3 s, with an interpreter that has only its standard library."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "stack", "heroku", "--check"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "Heroku would take the files of" in done.stdout and time.monotonic() - started < 3
