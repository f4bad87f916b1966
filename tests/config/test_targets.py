"""The targets beyond Compose: each page has the same headings, and each file is judged by its own tool."""

import re

import pytest
import yaml

from cli import native
from deploy.errors import EXIT_CONFIG
from deploy.settings import MAX_SHUTDOWN_GRACE, ROOT, load_settings
from tests.support.repository import tool

TARGETS = sorted(page.parent for page in (ROOT / "deploy/targets").glob("*/README.md"))
HEADINGS = ["Set up", "Run", "Switch the server", "Database", "Logs", "Limits"]
APACHE = ROOT / "deploy/targets/apache"


@pytest.mark.parametrize("target", TARGETS, ids=lambda folder: folder.name)
def test_pages_have_the_same_headings(target):
    """Each target's page has the same headings in the same order, and a limit is named."""
    text = (target / "README.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert re.search(r"^- ", text.partition("## Limits")[2], re.M)


def test_files_that_pages_name_exist():
    """A command or file of this repository that a page names is there."""
    for target in TARGETS:
        for name in re.findall(r"\bdeploy/[\w./-]+\w", (target / "README.md").read_text()):
            assert (ROOT / name).exists(), f"{target.name}: {name}"


# --- Apache alone -------------------------------------------------------------------------------------------


def test_apache_takes_its_front(run_server):
    """apache2 -t accepts httpd.conf with the front laid over it, and warns of nothing."""
    given = {"PORT": "8000", "STATIC_ROOT": "/tmp", "APACHE_FRONT": str(APACHE / "front.conf")}
    done = run_server("mod_wsgi", "apache2", 'exec $PROGRAM -t "$@"', **given)
    assert (done.returncode, done.stderr.strip()) == (0, "Syntax OK")


def test_apache_alone_needs_no_nginx():
    """Laid over docker-compose.yml, the target has no Nginx, and web keeps everything that hardens it."""
    files = ["--file", "docker-compose.yml", "--file", "deploy/targets/apache/compose.yml"]
    done = tool("docker", "compose", "--env-file", "/dev/null", *files, "config", "--services")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"web", "migrate"}


def test_apache_drops_the_headers_that_nginx_drops():
    """Every header by which a client could pretend to be a proxy is dropped in both fronts."""
    nginx = re.findall(r'^proxy_set_header (\S+) "";', (ROOT / "nginx/snippets/proxy.conf").read_text(), re.M)
    apache = re.findall(r"^RequestHeader unset (\S+)$", (APACHE / "front.conf").read_text(), re.M)
    assert apache == nginx


def test_apache_has_the_patterns_of_nginx():
    """Request ids, hashed names and methods are the same in both fronts."""
    front = (APACHE / "front.conf").read_text()
    for file, pattern in (
        ("request-id.conf", r'"~(\^\S+\$)" +\$http'),
        ("static-cache.conf", r'"~(\S+)" "public'),
    ):
        (found,) = re.findall(pattern, (ROOT / "nginx/conf.d" / file).read_text())
        assert found.removeprefix("^").removesuffix("$") in front
    (methods,) = re.findall(r"request_method !~ \"(\S+)\"", (ROOT / "nginx/snippets/refuse.conf").read_text())
    assert f"!{methods}" in front


# --- a plain Debian host ------------------------------------------------------------------------------------

UNITS = sorted((ROOT / "deploy/targets/native/systemd").glob("*.service"))
HIGHEST_EXPOSURE = 2.0  # of 10; a unit without hardening has 9.6


@pytest.fixture(scope="session")
def unit_folder(tmp_path_factory):
    """The units as they are on a host, but that the repository is where it is here."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        (folder / unit.name).write_text(unit.read_text().replace("/srv/tripod", str(ROOT)))
    return folder


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(unit, unit_folder):
    """systemd-analyze verify knows every directive and finds every program, and warns of nothing."""
    done = tool("systemd-analyze", "verify", "--man=no", unit_folder / unit.name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_is_hardened(unit, unit_folder):
    """systemd-analyze security gives the unit an exposure of 2.0 at most."""
    threshold = f"--threshold={HIGHEST_EXPOSURE * 10:.0f}"
    done = tool("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, unit_folder / unit.name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_stops_gracefully(unit):
    """Each unit gets its own graceful signal, to the main process alone, and more time than SHUTDOWN_GRACE."""
    values = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M))
    stage = unit.stem.removeprefix("tripod-")
    dockerfile = (ROOT / "Dockerfile").read_text()
    (signal,) = re.findall(rf"^FROM \S+ AS {stage}\n(?:(?!^FROM ).*\n)*?STOPSIGNAL (\w+)$", dockerfile, re.M)
    assert (values["KillSignal"], values["KillMode"]) == (signal, "mixed")
    assert int(values["TimeoutStopSec"]) > MAX_SHUTDOWN_GRACE
    assert values["RestartPreventExitStatus"] == str(EXIT_CONFIG)


def test_procfile_waits_as_long_as_containers():
    """Plain processes too get more time than the longest SHUTDOWN_GRACE before they are killed."""
    (seconds,) = re.findall(r"KILL_WAIT = (\d+)$", (ROOT / "deploy/targets/native/run").read_text(), re.M)
    assert int(seconds) > MAX_SHUTDOWN_GRACE and native.STOP_LIMIT > int(seconds)


# --- App Engine ---------------------------------------------------------------------------------------------


def test_app_yaml_is_the_contracts():
    """app.yaml starts deploy/start on the Python of the Pipfile, and every variable in it keeps the contract."""
    app = yaml.safe_load((ROOT / "app.yaml").read_text())
    assert app["entrypoint"] == "python3 deploy/start"
    assert app["runtime"] == "python" + (ROOT / ".python-version").read_text().strip().replace(".", "")
    given = {name: value for name, value in app["env_variables"].items() if not name.endswith("_FILE")}
    assert set(given) | {"SECRET_KEY", "DATABASE_URL"} <= set(load_settings({}))
    load_settings(given | {"PORT": "8080"})


def test_upload_has_no_pipfile():
    """App Engine refuses a Pipfile beside requirements.txt, and what is not named is not uploaded."""
    rules = (ROOT / ".gcloudignore").read_text().splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*" and not any("Pipfile" in rule or ".env" in rule for rule in rules)
