"""The contract is complete: every variable declared is used, every variable used is declared, and defaults
stand once.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.settings import COMPOSE_ONLY, ROOT, SERVERS, SETTINGS, load_settings
from tests.support.wsgi import script

DECLARED = {variable.name: variable for variable in SETTINGS}

# Names that are no part of the contract: nobody who runs the stack sets them, or they belong to another tool.
OTHERS = {
    "BACKLOG": "deploy/start → servers: WEB_QUEUE, as far as the kernel allows",
    "SOCKET": "deploy/start → servers: this container's own socket",
    "LOG_FD": "deploy/start → deploy/logs.py: the container's stderr",
    "APACHE_FRONT": "deploy/targets/apache/compose.yml → mod_wsgi's run: the file that makes Apache the front",
    "PATH": "the system's",
    "TRIPOD_REENTERED": "cli: ./stack has already called itself again",
    "TRIPOD_VENV": "cli/venv.py: a virtual environment that is there already, instead of one of its own",
    "PGDATA": "PostgreSQL's own, set in the Dockerfile",
}

# What Compose does not pass to web, because its value is part of how Compose runs the stack.
NOT_PASSED = {
    "HTTP_PORT": "Compose itself publishes it",
    "HTTP_BIND": "Compose itself publishes it",
    **{setting.name: "Compose itself reads it" for setting in SETTINGS if setting.group in COMPOSE_ONLY},
    "RELEASE": "a build argument: the image knows what it holds",
    "BUILD_COMMAND": "a build argument: it has run when the image is there",
    "STATIC_SOURCE": "a build argument: the image holds what was built from it",
    "STATE_DIRECTORY": "a volume is mounted at the default",
    "RUNTIME_DIRECTORY": "a volume is mounted at the default",
    "ASSETS_DIRECTORY": "a volume is mounted at the default",
    "CACHE_DIRECTORY": "Nginx's own: a volume is mounted at the default",
    "CLIENT_CONNECTIONS": "Nginx's own",
    "CLIENT_RATE": "Nginx's own",
    "STATIC_ROOT": "the image says where it holds the files",
}

# ${NAME:-value} with a value, in docker-compose.yml: only where Compose needs one before our code runs.
COMPOSE_NEEDS = {"IMAGE_TAG", "HTTP_PORT", "RELEASE", "APP_DIR", "STATIC_SOURCE", "BASE_IMAGE", "PIP_CONF", "CA_BUNDLE"}
COMPOSE_NEEDS |= {"WEB_MEMORY", "NGINX_MEMORY", "POSTGRES_MEMORY", "TMP_SIZE"}

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
# What holds the environment, or the contract's values made of it, in Python. `environ` alone is WSGI's.
_HOLDERS = {"os.environ", "env", "settings", "values", "known", "_setting"}


def _without_comments(text: str) -> str:
    """Lines and ends of lines that begin with # are gone."""
    return re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)


def _in_python(text: str) -> Iterator[str]:
    """os.environ["X"], os.environ.get("X"), os.getenv("X"), and the same of the contract's values."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in _HOLDERS:
            key = node.slice
        elif (
            isinstance(node, ast.Call)
            and node.args
            and (
                ast.unparse(node.func) in _HOLDERS | {"os.getenv"}
                or re.fullmatch(r"(.+)\.(get|pop|setdefault)", ast.unparse(node.func))
                and ast.unparse(node.func).rpartition(".")[0] in _HOLDERS
            )
        ):
            key = node.args[0]
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and _NAME.fullmatch(key.value):
            yield key.value


def _in_shell(text: str) -> Iterator[str]:
    """$NAME and ${NAME…} that the script has not set itself."""
    text = re.sub(r"'[^']*'", "", _without_comments(text))
    own = set(re.findall(r"^\s*(?:export )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    sums = " ".join(re.findall(r"\$\(\((.*?)\)\)", text))
    yield from {*re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", text), *_NAME.findall(sums)} - own


def _in_httpd_conf(text: str) -> Iterator[str]:
    """${NAME}, but for what mod_wsgi's `run` sets."""
    run = (SERVERS / "mod_wsgi/run").read_text()
    own = {name for line in re.findall(r"^export (.*)", run, re.MULTILINE) for name in _NAME.findall(line)}
    yield from set(re.findall(r"\$\{([A-Z_]+)\}", _without_comments(text))) - own


def _names(path: Path) -> Iterator[str]:
    """The environment's names in one file, by the file's own syntax."""
    text = path.read_text()
    first = text.partition("\n")[0]
    if path.name == "settings.py":
        return  # the declaration
    if path.suffix == ".py" or "python" in first:
        yield from _in_python(text)
    elif first.startswith("#!"):
        yield from _in_shell(text)
    elif path.name == "uwsgi.ini":
        yield from re.findall(r"\$\(([A-Z_]+)\)", _without_comments(text))
    elif path.name in ("httpd.conf", "front.conf"):
        yield from _in_httpd_conf(text)
    elif path.suffix == ".template" or path.is_relative_to(ROOT / "nginx") and path.suffix == ".conf":
        derived = set(re.findall(r'"([A-Z_]+)": ', (ROOT / "nginx/start").read_text()))
        yield from set(re.findall(r"\$\{([A-Z_]+)\}", text)) - derived
    elif path.name == "docker-compose.yml":
        yield from re.findall(r"\$\{([A-Z_]+)", _without_comments(text))
        for service in yaml.safe_load(text)["services"].values():
            yield from (entry.partition("=")[0] for entry in service.get("environment", ()))
    elif path.name == "Dockerfile":
        own = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE)) - set(DECLARED)
        yield from set(re.findall(r"\$\{([A-Z_]+)", text)) - own


def _files() -> Iterator[Path]:
    """The files that may read the environment."""
    for folder in ("deploy", "nginx", "app", "cli"):
        for path in sorted((ROOT / folder).rglob("*")):
            known = path.suffix in {"", ".py", ".ini", ".conf", ".template"}
            if path.is_file() and known and "__pycache__" not in path.parts:
                yield path
    yield from (ROOT / "docker-compose.yml", ROOT / "Dockerfile")


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """Name → the files that use it. NAME_FILE counts as NAME."""
    found = defaultdict(set)
    for path in _files():
        for name in _names(path):
            short = name.removesuffix("_FILE")
            found[short if short in DECLARED else name].add(path.relative_to(ROOT).as_posix())
    return dict(found)


def test_scanner_sees_each_kind_of_file(used):
    """The search itself works: it finds names where they are known to be, in each syntax."""
    assert used["WEB_THREADS"] >= {
        "deploy/servers/gunicorn/gunicorn.conf.py",
        "deploy/servers/uwsgi/uwsgi.ini",
        "deploy/servers/mod_wsgi/httpd.conf",
        "docker-compose.yml",
    }
    assert used["REQUEST_TIMEOUT"] >= {
        "deploy/middleware/request_timeout.py",
        "deploy/servers/mod_wsgi/run",
        "nginx/start",
    }
    assert "nginx/settings.conf.template" in used["MAX_BODY_SIZE"]
    assert "app/config.py" in used["SECRET_KEY"]
    assert "Dockerfile" in used["RELEASE"]


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_is_used(used, name):
    """Every variable of the contract does something."""
    assert used.get(name)


def test_what_is_used_is_declared(used):
    """Every variable that something reads is in the contract, or in the short table above."""
    assert {name: files for name, files in used.items() if name not in DECLARED | OTHERS} == {}


def test_table_of_others_does_not_rot(used):
    """The table holds no name that nothing reads any more, and none of the contract's."""
    assert set(OTHERS) - set(used) == set()
    assert not set(OTHERS) & set(DECLARED)


# --- Compose ------------------------------------------------------------------------------------------------

COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]


def test_compose_passes_every_variable_to_web():
    """Whatever a user may set reaches web and migrate; what does not is in the table above, with its
    reason.
    """
    for service in ("web", "migrate"):
        passed = {entry.partition("=")[0].removesuffix("_FILE") for entry in SERVICES[service]["environment"]}
        assert passed == set(DECLARED) - set(NOT_PASSED)


def test_compose_passes_names_not_values():
    """Compose passes settings by name alone, so that an unset one is not set in the container; only PORT is empty."""
    for service in SERVICES.values():
        for entry in service.get("environment", ()):
            assert entry == "PORT=" or _NAME.fullmatch(entry)


def test_nginx_gets_what_it_reads():
    """Compose passes to nginx exactly the variables that nginx/start loads."""
    assert set(SERVICES["nginx"]["environment"]) == script("nginx/start").PASSED_BY_COMPOSE


def test_defaults_stand_in_the_contract_alone():
    """Compose has a default of its own only where it needs one before our code runs, and then the
    contract's.
    """
    defaults = {name: value for name, value in re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", _without_comments(COMPOSE))}
    assert set(defaults) <= COMPOSE_NEEDS
    assert {
        name: value
        for name, value in defaults.items()
        # A build context has to be some folder; without APP_DIR no stage of the Dockerfile looks into it.
        if name in DECLARED and name != "APP_DIR" and value != DECLARED[name].default
    } == {}


def test_scripts_have_no_defaults():
    """No script and no server's file has a default for a variable of the contract."""
    for path in _files():
        if path.suffix != ".py" and path.name != "docker-compose.yml":
            found = set(re.findall(r"\$\{([A-Z_]+):?[-=][^}]", _without_comments(path.read_text())))
            assert not found & set(DECLARED), path


@pytest.mark.parametrize("name", ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "ASSETS_DIRECTORY"])
def test_volumes_are_mounted_at_the_defaults(name):
    """The volumes of web are mounted where the contract's defaults point."""
    targets = {volume.split(":")[1] for volume in SERVICES["web"]["volumes"]}
    assert load_settings({})[name] in targets


# --- README -------------------------------------------------------------------------------------------------


def test_readme_has_every_variable_once():
    """The README's table of the contract has each variable once, with the default and the meaning
    declared.
    """
    readme = ROOT / "README.md"
    text = readme.read_text() if readme.exists() else ""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    rows = [row for row in cells if row and row[0].strip("` ") in DECLARED]
    if not rows:
        return  # a README without the table
    declared = [[f"`{name}`", variable.shown, variable.meaning] for name, variable in DECLARED.items()]
    plain = [[row[0], row[1].replace("`", ""), *row[2:]] for row in rows]
    assert sorted(plain) == sorted([name, shown.replace("`", ""), meaning] for name, shown, meaning in declared)
