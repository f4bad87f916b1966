"""The targets beyond Compose: their pages have the same headings, and the tools of each target accept its files."""

import re

import pytest
import yaml

from cli import native
from deploy import network
from deploy.errors import EXIT_CONFIG
from deploy.settings import KILL_AFTER, MAX_SHUTDOWN_GRACE, ROOT, SETTINGS, load_settings
from tests.support.repository import tool
from tests.support.wsgi import script

TARGETS = sorted(page.parent for page in (ROOT / "deploy/targets").glob("*/README.md"))
HEADINGS = ["Set up", "Run", "Switch the server", "Database", "Logs", "Limitations"]
APACHE = ROOT / "deploy/targets/apache"


@pytest.mark.parametrize("target", TARGETS, ids=lambda folder: folder.name)
def test_pages_have_the_same_headings(target):
    """The page of each target has the same headings in the same order, and names at least one limitation."""
    text = (target / "README.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert re.search(r"^- ", text.partition("## Limitations")[2], re.M)


def test_files_that_pages_name_exist():
    """Commands and files of this repository that a page names exist."""
    for target in TARGETS:
        for name in re.findall(r"\bdeploy/[\w./-]+\w", (target / "README.md").read_text()):
            assert (ROOT / name).exists(), f"{target.name}: {name}"


def test_maximum_grace_is_shorter_than_the_time_to_kill():
    """In-flight requests have the longest SHUTDOWN_GRACE before their process is killed, on every target."""
    assert KILL_AFTER > MAX_SHUTDOWN_GRACE


# --- Apache alone -------------------------------------------------------------------------------------------


@pytest.mark.needs("apache2")
def test_apache_accepts_front_conf(run_server):
    """apache2 -t accepts httpd.conf together with front.conf, without warnings."""
    given = {"PORT": "8000", "STATIC_ROOT": "/tmp", "APACHE_FRONT": str(APACHE / "front.conf")}
    done = run_server("mod_wsgi", "apache2", 'exec $PROGRAM -t "$@"', **given)
    assert (done.returncode, done.stderr.strip()) == (0, "Syntax OK")


@pytest.mark.needs("docker compose")
def test_apache_target_has_no_nginx():
    """Laid over docker-compose.yml, the target has no Nginx, and only the services web and migrate."""
    files = ["--file", "docker-compose.yml", "--file", "deploy/targets/apache/compose.yml"]
    done = tool("docker", "compose", "--env-file", "/dev/null", *files, "config", "--services")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"web", "migrate"}


def test_apache_drops_the_same_headers_as_nginx():
    """Apache and Nginx drop the same headers with which a client could pose as a proxy."""
    nginx = re.findall(r'^proxy_set_header (\S+) "";', (ROOT / "nginx/snippets/proxy.conf").read_text(), re.M)
    apache = re.findall(r"^RequestHeader unset (\S+)$", (APACHE / "front.conf").read_text(), re.M)
    assert apache == nginx


def test_apache_has_the_same_patterns_as_nginx():
    """Request ids, hashed names, methods and Content-Type have the same patterns in Apache and Nginx."""
    front = (APACHE / "front.conf").read_text()
    for file, pattern in (
        ("request-id.conf", r'"~(\^\S+\$)" +\$http'),
        ("static-cache.conf", r'"~(\S+)" "public'),
    ):
        (found,) = re.findall(pattern, (ROOT / "nginx/conf.d" / file).read_text())
        assert found.removeprefix("^").removesuffix("$") in front
    refuse = (ROOT / "nginx/snippets/refuse.conf").read_text()
    (methods,) = re.findall(r"request_method !~ \"(\S+)\"", refuse)
    assert f"%{{REQUEST_METHOD}} !{methods}\n" in front
    (content_type,) = re.findall(r"content_type ~ '(\S+)'", refuse)
    assert "%{HTTP:Content-Type} " + content_type.replace(r"\\\\", r"\\") + "\n" in front  # Nginx unescapes \\ to \
    (longest_path,) = re.findall(r'uri ~ "\(\?s\)\^(\S+)"', refuse)
    assert f"RewriteRule ^{longest_path} - [R=414,L]\n" in front


def test_apache_accepts_the_same_hosts_as_nginx():
    """Apache and Nginx match the host with the pattern of deploy/host_header.py, without regard to case."""
    assert '$authority !~* "^(?:${HOST_PATTERN})?$"' in (ROOT / "nginx/snippets/refuse.conf").read_text()
    assert "%{HTTP_HOST} !^(?:${HOST_PATTERN})?$ [NC,OR]" in (APACHE / "front.conf").read_text()


def test_apache_has_the_same_limits_as_nginx():
    """The number of headers and the time for them are the same in Apache and Nginx."""
    front, nginx = (APACHE / "front.conf").read_text(), (ROOT / "nginx/conf.d/limits.conf").read_text()
    for apache_line, nginx_line in (
        (r"^LimitRequestFields (\d+)$", r"^max_headers (\d+);"),
        (r"^RequestReadTimeout header=(\d+) ", r"^client_header_timeout (\d+)s;"),
    ):
        assert re.findall(apache_line, front, re.M) == re.findall(nginx_line, nginx, re.M) != []


# --- a plain Debian host ------------------------------------------------------------------------------------

UNITS = sorted((ROOT / "deploy/targets/native/systemd").glob("*.service"))
HIGHEST_EXPOSURE = 2.0  # of 10; a unit without hardening has 9.6


@pytest.fixture(scope="session")
def unit_folder(tmp_path_factory):
    """The units as on a host, with the path of this repository."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        (folder / unit.name).write_text(unit.read_text().replace("/srv/tripod", str(ROOT)))
    return folder


def directives(unit) -> dict[str, str]:
    """The directives of a unit; the last one of a name counts."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
@pytest.mark.needs("systemd-analyze")
def test_systemd_accepts_the_unit(unit, unit_folder):
    """systemd-analyze verify knows every directive, finds every program, and reports no warning."""
    done = tool("systemd-analyze", "verify", "--man=no", unit_folder / unit.name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
@pytest.mark.needs("systemd-analyze")
def test_unit_is_hardened(unit, unit_folder):
    """systemd-analyze security gives the unit an exposure of at most 2.0."""
    threshold = f"--threshold={HIGHEST_EXPOSURE * 10:.0f}"
    done = tool("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, unit_folder / unit.name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_gets_its_own_settings(unit):
    """A unit reads the settings that --prepare writes for it, and not .env, which has the secrets of the app."""
    name = unit.stem.removeprefix("tripod-")
    assert directives(unit)["EnvironmentFile"] == f"/srv/tripod/.stack/native/{name}.env"


# The directives that restrict both units. Those with several lines have their values in order.
RESTRICTIONS = {
    "UMask": ["0027"],
    "NoNewPrivileges": ["yes"],
    "CapabilityBoundingSet": [""],
    "AmbientCapabilities": [""],
    "PrivateUsers": ["yes"],
    "ProtectSystem": ["strict"],
    "ProtectHome": ["yes"],
    "PrivateTmp": ["yes"],
    "PrivateDevices": ["yes"],
    "ProtectClock": ["yes"],
    "ProtectControlGroups": ["yes"],
    "ProtectHostname": ["yes"],
    "ProtectKernelLogs": ["yes"],
    "ProtectKernelModules": ["yes"],
    "ProtectKernelTunables": ["yes"],
    "ProtectProc": ["invisible"],
    "LockPersonality": ["yes"],
    "RemoveIPC": ["yes"],
    "RestrictNamespaces": ["yes"],
    "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"],
    "RestrictAddressFamilies": ["AF_UNIX AF_INET AF_INET6"],
    "SystemCallArchitectures": ["native"],
    "SystemCallErrorNumber": ["EPERM"],
}
RESTRICTIONS_OF_A_UNIT = {
    "tripod-web.service": {
        "User": ["tripod"],
        "Group": ["tripod"],
        "StateDirectory": ["tripod"],
        "StateDirectoryMode": ["0750"],
        "RuntimeDirectory": ["tripod"],
        "RuntimeDirectoryMode": ["0750"],
        "CacheDirectory": ["tripod-assets"],
        "CacheDirectoryMode": ["0755"],
        "SystemCallFilter": ["@system-service", "~@privileged", "@chown"],
        "MemoryMax": ["50%"],
    },
    "tripod-nginx.service": {
        "User": ["tripod-nginx"],
        "Group": ["tripod"],
        "CacheDirectory": ["tripod-nginx"],
        "CacheDirectoryMode": ["0700"],
        "ProcSubset": ["pid"],
        "MemoryDenyWriteExecute": ["yes"],
        "SystemCallFilter": ["@system-service", "~@privileged"],
    },
}


@pytest.mark.parametrize(
    ("unit", "name", "values"),
    [
        pytest.param(unit, name, values, id=f"{unit.stem}-{name}")
        for unit in UNITS
        for name, values in (RESTRICTIONS | RESTRICTIONS_OF_A_UNIT[unit.name]).items()
    ],
)
def test_unit_has_each_restriction(unit, name, values):
    """Each restriction of a unit has its value. The score of systemd-analyze alone allows some to be missing."""
    assert re.findall(rf"^{name}=(.*)$", unit.read_text(), re.M) == values


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_every_restriction_of_a_unit_is_tested(unit):
    """Every directive from UMask to the end of [Service] is one of the restrictions, so a new one is tested too."""
    (restrictions,) = re.findall(r"^UMask=.*?(?=^\[Install\])", unit.read_text(), re.M | re.S)
    tested = RESTRICTIONS | RESTRICTIONS_OF_A_UNIT[unit.name]
    assert set(re.findall(r"^(\w+)=", restrictions, re.M)) <= set(tested)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_gives_up_after_five_failed_starts(unit):
    """A unit is restarted 2 s after a failure, and no longer after 5 starts in 60 s."""
    values = directives(unit)
    assert (values["Restart"], values["RestartSec"]) == ("on-failure", "2")
    assert (values["StartLimitBurst"], values["StartLimitIntervalSec"]) == ("5", "60")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_stops_gracefully(unit):
    """Only the main process of a unit gets the same graceful signal as its container, and the same time to stop."""
    values = directives(unit)
    stage = unit.stem.removeprefix("tripod-")
    dockerfile = (ROOT / "Dockerfile").read_text()
    (signal,) = re.findall(rf"^FROM \S+ AS {stage}\n(?:(?!^FROM ).*\n)*?STOPSIGNAL (\w+)$", dockerfile, re.M)
    assert (values["KillSignal"], values["KillMode"]) == (signal, "mixed")
    assert int(values["TimeoutStopSec"]) == KILL_AFTER
    assert values["RestartPreventExitStatus"] == str(EXIT_CONFIG)


def test_units_have_the_limits_of_the_containers(compose):
    """The limits on processes, and on the memory of Nginx, are those of the containers."""
    for unit in UNITS:
        service = compose["services"][unit.stem.removeprefix("tripod-")]
        assert int(directives(unit)["TasksMax"]) == int(service["pids_limit"])
    (default,) = [setting.default for setting in SETTINGS if setting.name == "NGINX_MEMORY"]
    (nginx,) = [unit for unit in UNITS if unit.stem == "tripod-nginx"]
    assert directives(nginx)["MemoryMax"].lower() == default


def test_nginx_unit_may_open_as_many_files_as_nginx_wants():
    """LimitNOFILE of the Nginx unit is worker_rlimit_nofile of nginx.conf."""
    (nginx,) = [unit for unit in UNITS if unit.stem == "tripod-nginx"]
    (limit,) = re.findall(r"^worker_rlimit_nofile (\d+);", (ROOT / "nginx/nginx.conf").read_text(), re.M)
    assert directives(nginx)["LimitNOFILE"] == limit


@pytest.mark.parametrize(
    ("given", "listen"),
    [
        ({}, ["0.0.0.0:8080", "[::]:8080"] if network.has_ipv6() else ["0.0.0.0:8080"]),
        ({"HTTP_BIND": "127.0.0.1", "HTTP_PORT": "8000"}, ["127.0.0.1:8000"]),
        ({"HTTP_BIND": "[::1]"}, ["[::1]:8080"]),
    ],
    ids=["default", "IPv4", "IPv6"],
)
@pytest.mark.needs("nginx")
def test_nginx_listens_on_http_bind(given, listen, tmp_path):
    """Without Docker, Nginx listens on HTTP_BIND and HTTP_PORT: with stream.conf, or else the servers of nginx.conf."""
    done = tool(ROOT / "nginx/start", "-T", CACHE_DIRECTORY=str(tmp_path), **given)
    assert done.returncode == 0, done.stderr
    configuration = (tmp_path / "conf/nginx.conf").read_text() + done.stdout.partition("stream {")[2].partition(
        "pass "
    )[0]
    listed = [each for each in re.findall(r"^ +listen (\S+?)[ ;]", configuration, re.M) if not each.startswith("unix:")]
    assert listed == listen * (1 if script("nginx/start").can_pass_connections() else 2)


def test_plain_processes_are_killed_after_the_same_time():
    """honcho kills plain processes after as many seconds as Docker kills containers, and the CLI waits longer."""
    run = script("deploy/targets/native/run")
    assert run.manager.KILL_WAIT == KILL_AFTER < native.STOP_LIMIT


# --- App Engine ---------------------------------------------------------------------------------------------


def test_app_yaml_has_valid_settings():
    """app.yaml starts deploy/start on the Python version of the Pipfile, and every setting in it is valid."""
    app = yaml.safe_load((ROOT / "app.yaml").read_text())
    assert app["entrypoint"] == "python3 deploy/start"
    assert app["runtime"] == "python" + (ROOT / ".python-version").read_text().strip().replace(".", "")
    given = {name: value for name, value in app["env_variables"].items() if not name.endswith("_FILE")}
    assert set(given) | {"SECRET_KEY", "DATABASE_URL"} <= set(load_settings({}))
    load_settings(given | {"PORT": "8080"})


def test_upload_has_no_pipfile():
    """The upload to App Engine is an allow-list without Pipfile, which the platform refuses, and without .env."""
    rules = (ROOT / ".gcloudignore").read_text().splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*" and not any("Pipfile" in rule or ".env" in rule for rule in rules)
