"""What the platform would refuse for the sake of files alone, found without network, engine or packages.

Only the standard library of Python 3.10: `./stack heroku --check` runs this on a bare host.
"""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from cli.heroku import pipfile, procfile, python_version
from deploy.errors import StackError

# bin/detect of the buildpack. It knows some misspelt names more, whose owners get the same message later.
PYTHON_FILES = (
    ".python-version",
    "__init__.py",
    "app.py",
    "main.py",
    "manage.py",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    "poetry.lock",
    "pyproject.toml",
    "requirements.txt",
    "runtime.txt",
    "server.py",
    "setup.cfg",
    "setup.py",
    "uv.lock",
    "__pycache__",
    ".venv",
    "venv",
)
MANAGERS = {"Pipfile.lock": "Pipenv", "requirements.txt": "pip", "poetry.lock": "Poetry", "uv.lock": "uv"}
HOOKS = ("bin/pre_compile", "bin/post_compile")
# https://devcenter.heroku.com/articles/app-json-schema
APP_JSON = {
    "addons",
    "buildpacks",
    "description",
    "env",
    "environments",
    "formation",
    "image",
    "keywords",
    "logo",
    "name",
    "repository",
    "scripts",
    "stack",
    "success_url",
    "website",
}


def refusals(folder: Path) -> list[StackError]:
    """Why the platform would not take the files of this folder, in the platform's order; empty if it would."""
    found = []
    for judge in (_detect, _package_manager, _environments, _python, _lock, _procfile, _app_json):
        found += judge(folder)
        if found and judge in (_detect, _package_manager):
            break  # what follows would be guesses
    return found


def warnings(folder: Path) -> list[str]:
    """What the platform takes, but a person should know."""
    found = []
    if (folder / "runtime.txt").exists():
        found.append("The runtime.txt file is deprecated: .python-version has replaced it.")
    for hook in HOOKS:
        if (folder / hook).is_file() and not os.access(folder / hook, os.X_OK):
            found.append(f"{hook} is not executable; the platform makes it so: git update-index --chmod=+x {hook}")
    return found


def _detect(folder: Path) -> Iterator[StackError]:
    if not any((folder / name).exists() for name in PYTHON_FILES):
        yield StackError(
            "App not compatible with buildpack: no supported Python project files.",
            "Without one of them the platform does not know how to build the app.",
            "git add Pipfile Pipfile.lock && git commit",
        )


def _package_manager(folder: Path) -> Iterator[StackError]:
    found = [name for name in MANAGERS if (folder / name).is_file()]
    if "Pipfile.lock" not in found and (folder / "Pipfile").is_file():
        yield StackError(
            "No 'Pipfile.lock' found!",
            "Without it other versions than were tested would be installed.",
            "./stack lock && git add Pipfile.lock && git commit",
        )
    elif len(found) > 1:
        others = " ".join(name for name in found if name != "Pipfile.lock")
        listed = ", ".join(f"{name} ({MANAGERS[name]})" for name in found)
        yield StackError(
            "Multiple Python package manager files were found.",
            f"There are {listed}; the platform does not guess which one counts.",
            f"git rm {others}",
        )
    elif not found:
        yield StackError(
            "Couldn't find any supported Python package manager files.",
            f"The platform installs from {', '.join(MANAGERS)}, in the root of the repository.",
            "git add Pipfile Pipfile.lock && git commit",
        )
    elif found != ["Pipfile.lock"]:
        yield StackError(
            f"{found[0]} instead of Pipfile.lock.",
            "The platform would take it, but this rehearsal installs with Pipenv alone.",
            "./stack lock",
        )


def _environments(folder: Path) -> Iterator[StackError]:
    if (folder / ".heroku/python").exists():
        yield StackError(
            "Existing '.heroku/python/' directory found.",
            "The platform puts its own files there.",
            "git rm -r .heroku/python",
        )
    for name in (".venv", "venv"):
        if (folder / name / "pyvenv.cfg").is_file():
            yield StackError(
                f"Existing '{name}/' directory found.",
                "A virtual environment works on the machine alone that it was made on.",
                f"git rm -r --cached {name} && echo {name}/ >> .gitignore",
            )


def _python(folder: Path) -> Iterator[StackError]:
    try:
        version, origin = python_version.requested(folder)
        wanted = pipfile.required_python(folder)
    except StackError as refusal:
        yield refusal
        return
    except ValueError:
        return  # no JSON: _lock says it
    if wanted and (version + ".").split(".")[:2] != (wanted + ".").split(".")[:2]:
        yield StackError(
            "Unable to install dependencies using Pipenv.",
            f"{origin} asks for Python {version}, the Pipfile for {wanted}: pipenv stops at that.",
            "git rm runtime.txt" if origin == "runtime.txt" else f"echo {wanted} > {origin}",
        )


def _lock(folder: Path) -> Iterator[StackError]:
    try:
        missing = pipfile.not_locked(folder) if (folder / "Pipfile").is_file() else []
    except ValueError as error:
        yield StackError("Can't parse Pipfile.lock.", f"It is not valid JSON: {error}", "./stack lock")
        return
    if missing:
        yield StackError(
            "Unable to install dependencies using Pipenv.",
            f"Your Pipfile.lock is out of date: it does not know {', '.join(missing)}.",
            "./stack lock",
        )


def _procfile(folder: Path) -> Iterator[StackError]:
    if not (folder / "Procfile").is_file():
        yield StackError(
            "No Procfile found.",
            "Nothing says which process answers requests: no web process runs (H14).",
            "printf 'web: deploy/start\\nrelease: deploy/release\\n' > Procfile",
        )
        return
    types = procfile.read((folder / "Procfile").read_text(encoding="utf-8"))
    if "web" not in types:
        yield StackError(
            "The Procfile declares no process type web.",
            f"It has {', '.join(types) or 'none'}; requests would be answered with an error (H14).",
            "echo 'web: deploy/start' >> Procfile",
        )
    for command in types.values():
        yield from _command(folder, command)


def _command(folder: Path, command: str) -> Iterator[StackError]:
    """A command of the repository's own has to be there, and executable."""
    program = (shlex.split(command, posix=True) or [""])[0]
    if "/" not in program or program.startswith("/"):
        return
    if not (folder / program).is_file():
        yield StackError(
            f"The Procfile names {program}, which is not in the commit.",
            "Its process would crash at once (H10).",
            f"git add {program} && git commit",
        )
    elif not os.access(folder / program, os.X_OK):
        yield StackError(
            f"{program} is not executable.",
            "Its process would crash at once, with status 126 (H10).",
            f"git update-index --chmod=+x {program} && git commit",
        )


def _app_json(folder: Path) -> Iterator[StackError]:
    if not (folder / "app.json").is_file():
        return
    try:
        found = json.loads((folder / "app.json").read_text(encoding="utf-8"))
        unknown = sorted(set(found) - APP_JSON) if isinstance(found, dict) else ["what is no JSON object"]
    except ValueError as error:
        unknown = [str(error)]
    if unknown:
        yield StackError(
            "app.json is invalid.", f"The platform does not understand: {', '.join(unknown)}.", "correct app.json"
        )
