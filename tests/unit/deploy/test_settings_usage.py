"""Every declared setting is used, every setting that is used is declared, and each default stands in one place."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.settings import HOST_ONLY, ROOT, SERVERS, SETTINGS, load_settings
from tests.support.wsgi import script

DECLARED = {setting.name: setting for setting in SETTINGS}

# Environment variables that are no settings: operators do not set them, or another tool defines them.
OTHER_VARIABLES = {
    "BACKLOG": "deploy/start → servers: WEB_QUEUE, limited by the kernel",
    "SOCKET": "deploy/start → servers: the socket of this container",
    "LOG_FD": "deploy/start → deploy/logs.py: the stderr of the container",
    "APACHE_FRONT": "deploy/targets/apache/compose.yml → mod_wsgi's run: the file that makes Apache the front",
    "PATH": "the operating system's",
    "CI": "set by CI systems: ./stack test then fails without a Docker engine",
    "TRIPOD_REENTERED": "cli: ./stack has already started itself again",
    "TRIPOD_VENV": "cli/venv.py: an existing virtual environment to use instead of its own",
    "PGDATA": "PostgreSQL's own, set in the Dockerfile",
    "DOCKER_HOST": "Docker's own: the engine that it talks to",
    "COMPOSE_FILE": "Compose's own: the files that it reads",
    "COMPOSE_PATH_SEPARATOR": "Compose's own: what separates the names in COMPOSE_FILE",
}

# The settings that Compose does not pass to web, with the reason.
NOT_PASSED_TO_WEB = {
    **{setting.name: "read on the host" for setting in SETTINGS if setting.group in HOST_ONLY},
    "HTTP_PORT": "published by Compose itself",
    "HTTP_BIND": "published by Compose itself",
    "RELEASE": "a build argument: the image contains its name",
    "BUILD_COMMAND": "a build argument: it runs when the image is built",
    "STATIC_SOURCE": "a build argument: the image contains the assets built from it",
    "STATE_DIRECTORY": "a volume is mounted at the default",
    "RUNTIME_DIRECTORY": "a volume is mounted at the default",
    "ASSETS_DIRECTORY": "a volume is mounted at the default",
    "CACHE_DIRECTORY": "read by Nginx only: a volume is mounted at the default",
    "CLIENT_CONNECTIONS": "read by Nginx only",
    "CLIENT_RATE": "read by Nginx only",
    "CLIENT_REQUESTS": "read by Nginx only",
    "STATIC_ROOT": "set in the image, which contains the files",
}

# ${NAME:-value} with a value in docker-compose.yml: only where Compose needs the value before deploy/settings.py runs.
NEEDED_BY_COMPOSE = {
    "APP_DIR",
    "BASE_IMAGE",
    "CA_BUNDLE",
    "HTTP_BIND",
    "HTTP_PORT",
    "IMAGE_TAG",
    "NGINX_MEMORY",
    "PIP_CONF",
    "POSTGRES_MEMORY",
    "RELEASE",
    "STATIC_SOURCE",
    "TMP_SIZE",
    "WEB_MEMORY",
}

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
# Expressions in Python whose items are environment variables or settings. (A plain `environ` is the one of WSGI.)
_HOLDERS = {"os.environ", "env", "settings", "values", "known", "_setting"}


def _without_comments(text: str) -> str:
    """The text without comments that begin with #."""
    return re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)


def _in_python(text: str) -> Iterator[str]:
    """The names in os.environ["X"], os.environ.get("X"), os.getenv("X"), and the same for settings."""
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
    """The names in $NAME and ${NAME…} that the script does not set itself."""
    text = re.sub(r"'[^']*'", "", _without_comments(text))
    own = set(re.findall(r"^\s*(?:export )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    arithmetic = " ".join(re.findall(r"\$\(\((.*?)\)\)", text))
    yield from {*re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", text), *_NAME.findall(arithmetic)} - own


def _in_httpd_conf(text: str) -> Iterator[str]:
    """The names in ${NAME} that mod_wsgi's `run` does not set."""
    run = (SERVERS / "mod_wsgi/run").read_text()
    own = {name for line in re.findall(r"^export (.*)", run, re.MULTILINE) for name in _NAME.findall(line)}
    yield from set(re.findall(r"\$\{([A-Z_]+)\}", _without_comments(text))) - own


def _passed_names(service: dict) -> list[str]:
    """The names of the environment variables that a service of Compose gets."""
    return [entry.partition("=")[0] for entry in service.get("environment", ())]


def _names(path: Path) -> Iterator[str]:
    """The environment variables that a file reads, by the syntax of the file."""
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
            yield from _passed_names(service)
    elif path.name == "Dockerfile":
        own = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE)) - set(DECLARED)
        yield from set(re.findall(r"\$\{([A-Z_]+)", text)) - own


def _files() -> Iterator[Path]:
    """The files that may read environment variables."""
    for folder in ("deploy", "nginx", "app", "cli"):
        for path in sorted((ROOT / folder).rglob("*")):
            is_read = path.suffix in {"", ".py", ".ini", ".conf", ".template"}
            if path.is_file() and is_read and "__pycache__" not in path.parts:
                yield path
    yield from (ROOT / "docker-compose.yml", ROOT / "Dockerfile")


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """The files that use each name. NAME_FILE counts as NAME."""
    files = defaultdict(set)
    for path in _files():
        for name in _names(path):
            short = name.removesuffix("_FILE")
            files[short if short in DECLARED else name].add(path.relative_to(ROOT).as_posix())
    return dict(files)


def test_scanner_reads_each_kind_of_file(used):
    """The scanner of this test finds names in each syntax, at the places where they are used."""
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
def test_declared_setting_is_used(used, name):
    """Every declared setting has an effect: a file reads it."""
    assert used.get(name)


def test_used_name_is_declared(used):
    """Every environment variable that a file reads is a declared setting, or is listed in OTHER_VARIABLES."""
    assert {name: files for name, files in used.items() if name not in DECLARED | OTHER_VARIABLES} == {}


def test_other_variables_are_up_to_date(used):
    """OTHER_VARIABLES contains no setting and no name that is unused."""
    assert set(OTHER_VARIABLES) - set(used) == set()
    assert not set(OTHER_VARIABLES) & set(DECLARED)


# --- Compose ------------------------------------------------------------------------------------------------

COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]


@pytest.mark.parametrize("service", ["web", "migrate"])
def test_compose_passes_every_setting_to_web(service):
    """Every setting reaches web and migrate, except for those in NOT_PASSED_TO_WEB."""
    passed = {name.removesuffix("_FILE") for name in _passed_names(SERVICES[service])}
    assert passed == set(DECLARED) - set(NOT_PASSED_TO_WEB)


def test_compose_passes_settings_by_name_alone():
    """A setting that is not set is not set in the container either. PORT is always empty, since Nginx is in front."""
    for service in SERVICES.values():
        for entry in service.get("environment", ()):
            assert entry == "PORT=" or _NAME.fullmatch(entry)


def test_nginx_gets_the_settings_that_it_reads():
    """Compose passes exactly the settings to nginx that nginx/start loads."""
    assert set(_passed_names(SERVICES["nginx"])) == script("nginx/start").PASSED_BY_COMPOSE


def test_defaults_stand_in_settings_alone():
    """Compose has a default only where it needs one before deploy/settings.py runs, and then the same default."""
    defaults = {name: value for name, value in re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", _without_comments(COMPOSE))}
    assert set(defaults) <= NEEDED_BY_COMPOSE
    assert {
        name: value
        for name, value in defaults.items()
        # A build context must be a folder; without APP_DIR the Dockerfile does not use it.
        if name in DECLARED and name != "APP_DIR" and value != DECLARED[name].default
    } == {}


def test_scripts_have_no_defaults():
    """No script and no configuration file of a server has a default for a setting."""
    for path in _files():
        if path.suffix != ".py" and path.name != "docker-compose.yml":
            defaults = set(re.findall(r"\$\{([A-Z_]+):?[-=][^}]", _without_comments(path.read_text())))
            assert not defaults & set(DECLARED), path


@pytest.mark.parametrize("name", ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "ASSETS_DIRECTORY"])
def test_volumes_are_mounted_at_the_defaults(name):
    """The volumes of web are mounted at the defaults of the folders."""
    targets = {volume.split(":")[1] for volume in SERVICES["web"]["volumes"]}
    assert load_settings({})[name] in targets
