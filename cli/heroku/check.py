"""Find what the platform would reject from the files alone, without network, engine or packages.

Only the standard library, Python 3.10 or newer: `./stack heroku --check` runs this on the host.
"""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from cli.heroku import pipfile, procfile, python_version
from deploy.errors import StackError

# From bin/detect of the buildpack, without its list of misspelled names: python_version.py reports those.
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


def find_errors(folder: Path) -> list[StackError]:
    """The reasons for which the platform would reject the files of this folder, in the platform's order."""
    errors: list[StackError] = []
    for check in (_detect, _package_manager, _environments, _python, _lock, _procfile, _app_json):
        errors += check(folder)
        if errors and check in (_detect, _package_manager):
            break  # the later checks require that these pass
    return errors


def find_warnings(folder: Path) -> list[str]:
    """What the platform accepts, but the developer should correct."""
    warnings = []
    if (folder / "runtime.txt").exists():
        warnings.append("The runtime.txt file is deprecated: use .python-version instead.")
    for hook in HOOKS:
        if (folder / hook).is_file() and not os.access(folder / hook, os.X_OK):
            warnings.append(f"{hook} is not executable; the platform changes that: git update-index --chmod=+x {hook}")
    return warnings


def _detect(folder: Path) -> Iterator[StackError]:
    if not any((folder / name).exists() for name in PYTHON_FILES):
        yield StackError(
            "App not compatible with buildpack: no supported Python project files.",
            "The buildpack recognizes a Python app by a file such as Pipfile, requirements.txt or pyproject.toml.",
            "git add Pipfile Pipfile.lock && git commit",
        )


def _package_manager(folder: Path) -> Iterator[StackError]:
    files = [name for name in MANAGERS if (folder / name).is_file()]
    if "Pipfile.lock" not in files and (folder / "Pipfile").is_file():
        yield StackError(
            "No 'Pipfile.lock' found!",
            "Without it the platform would install untested versions.",
            "./stack lock && git add Pipfile.lock && git commit",
        )
    elif len(files) > 1:
        others = " ".join(name for name in files if name != "Pipfile.lock")
        listed = ", ".join(f"{name} ({MANAGERS[name]})" for name in files)
        yield StackError(
            "Multiple Python package manager files were found.",
            f"The platform requires exactly one, but found {listed}.",
            f"git rm {others}",
        )
    elif not files:
        yield StackError(
            "Couldn't find any supported Python package manager files.",
            f"The platform installs packages from {', '.join(MANAGERS)}, in the root of the repository.",
            "git add Pipfile Pipfile.lock && git commit",
        )
    elif files != ["Pipfile.lock"]:
        yield StackError(
            f"{files[0]} is used instead of Pipfile.lock.",
            "The platform would accept it, but this rehearsal supports only Pipenv.",
            "./stack lock",
        )


def _environments(folder: Path) -> Iterator[StackError]:
    if (folder / ".heroku/python").exists():
        yield StackError(
            "Existing '.heroku/python/' directory found.",
            "The platform installs Python there.",
            "git rm -r .heroku/python",
        )
    for name in (".venv", "venv"):
        if (folder / name / "pyvenv.cfg").is_file():
            yield StackError(
                f"Existing '{name}/' directory found.",
                "A virtual environment works only on the machine where it was created.",
                f"git rm -r --cached {name} && echo {name}/ >> .gitignore",
            )


def _python(folder: Path) -> Iterator[StackError]:
    try:
        version, origin = python_version.requested(folder)
        wanted = pipfile.required_python(folder)
    except StackError as error:
        yield error
        return
    except ValueError:
        return  # invalid JSON: _lock reports it
    if wanted and (version + ".").split(".")[:2] != (wanted + ".").split(".")[:2]:
        yield StackError(
            "Unable to install dependencies using Pipenv.",
            f"{origin} requests Python {version}, but the Pipfile requires {wanted}.",
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
            f"Your Pipfile.lock is out of date: it lacks {', '.join(missing)}.",
            "./stack lock",
        )


def _procfile(folder: Path) -> Iterator[StackError]:
    if not (folder / "Procfile").is_file():
        yield StackError(
            "No Procfile found.",
            "It declares the web process; without one, requests are answered with an error (H14).",
            "printf 'web: deploy/start\\nrelease: deploy/release\\n' > Procfile",
        )
        return
    types = procfile.read((folder / "Procfile").read_text(encoding="utf-8"))
    if "web" not in types:
        yield StackError(
            "The Procfile declares no process type web.",
            f"It declares {', '.join(types) or 'none'}. Requests would be answered with an error (H14).",
            "echo 'web: deploy/start' >> Procfile",
        )
    for command in types.values():
        yield from _command(folder, command)


def _command(folder: Path, command: str) -> Iterator[StackError]:
    """A program of the repository must be in the commit and executable."""
    program = (shlex.split(command, posix=True) or [""])[0]
    if "/" not in program or program.startswith("/"):
        return
    if not (folder / program).is_file():
        yield StackError(
            f"The Procfile names {program}, which is not in the commit.",
            "The process would crash at its start (H10).",
            f"git add {program} && git commit",
        )
    elif not os.access(folder / program, os.X_OK):
        yield StackError(
            f"{program} is not executable.",
            "The process would crash at its start with status 126 (H10).",
            f"git update-index --chmod=+x {program} && git commit",
        )


def _app_json(folder: Path) -> Iterator[StackError]:
    if not (folder / "app.json").is_file():
        return
    try:
        content = json.loads((folder / "app.json").read_text(encoding="utf-8"))
        unknown = sorted(set(content) - APP_JSON) if isinstance(content, dict) else ["it is not a JSON object"]
    except ValueError as error:
        unknown = [str(error)]
    if unknown:
        yield StackError(
            "app.json is invalid.", f"Unknown to the platform: {', '.join(unknown)}.", "correct app.json, and commit it"
        )
