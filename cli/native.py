"""The stack as plain processes, without Docker: the same Nginx files and deploy/start, run by honcho.

Everything that the processes need and write is in .stack/native. See deploy/targets/native/README.md.
"""

import hashlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from cli import (
    apt,
    build_inputs,
    compose,
    console,
    dotenv,
    folders,
    ports,
    processes,
    project,
    requirements,
    sudo,
    venv,
)
from cli.console import ROOT, say
from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import KILL_AFTER, SAMPLE_APP, load_settings

TARGET = ROOT / "deploy" / "targets" / "native"
HOME = console.STATE / "native"
LOG = HOME / "log"
RUNNING = HOME / "running.json"
STATIC_SOURCE = HOME / "static-source"

USER = "tripod"  # runs the processes if root starts them
OLDEST_PYTHON = (3, 11)
SERVERS = ("gunicorn", "uwsgi")
LONGEST_PATH = 80  # characters of the sockets' folder; the whole path of a socket is limited to 107 (unix(7))
ANSWER_LIMIT = 60  # seconds until the first response
STOP_LIMIT = KILL_AFTER + 5  # seconds; honcho sends SIGKILL after KILL_AFTER (deploy/targets/native/run)
BROTLI = Path("/usr/lib/nginx/modules/ngx_http_brotli_static_module.so")


# --- settings -------------------------------------------------------------------------------------------------


def default_folders():
    """Return the folders of the processes by setting. With Compose, these are volumes."""
    folders = {
        "STATE_DIRECTORY": "state",
        "RUNTIME_DIRECTORY": "run",
        "CACHE_DIRECTORY": "cache",
        "ASSETS_DIRECTORY": "assets",
        "STATIC_ROOT": "static",
    }
    return {name: str(HOME / folder) for name, folder in folders.items()}


def settings(server=None):
    """Return the checked settings. As with Compose, the shell overrides .env, and an empty value means the default."""
    dotenv.require_known_variables(os.environ)
    override = {"PORT": "", **({"WSGI_SERVER": server} if server else {})}
    given = {**dotenv.values(), **os.environ, **override}
    defaults = {**default_folders(), "RELEASE": build_inputs.release_name()}
    values = load_settings({**given, **{name: given.get(name) or value for name, value in defaults.items()}})
    _check(values)
    return values


def _check(values):
    """Raise StackError for settings that are valid but need Docker."""
    if values["WSGI_SERVER"] not in SERVERS:
        raise StackError(
            f"WSGI_SERVER={values['WSGI_SERVER']} needs Docker.",
            f"Without Docker, the servers are: {', '.join(SERVERS)}. ./stack does not configure an Apache of the host.",
            f"./stack up --native --server {SERVERS[0]}",
            EXIT_CONFIG,
        )
    if values["APP_DIR"]:
        raise StackError(
            "APP_DIR needs Docker.",
            "Images are built from that folder. Plain processes run the files of this folder.",
            "copy your app beside app/, set WSGI_APP to it, and remove APP_DIR",
            EXIT_CONFIG,
        )
    if len(values["RUNTIME_DIRECTORY"]) > LONGEST_PATH:
        raise StackError(
            f"The path {values['RUNTIME_DIRECTORY']} is too long.",
            "The sockets between Nginx and the WSGI server are in this folder, and Linux limits the path of a socket "
            "to 107 characters.",
            "RUNTIME_DIRECTORY=/run/user/$(id -u)/tripod ./stack up --native",
            EXIT_CONFIG,
        )


def environment():
    """Return the environment of the running processes, for another command with the same settings."""
    values = settings()
    return _environment(values, _venv(values["WSGI_SERVER"]))


def _environment(values, packages):
    path = f"{packages}/bin:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    own = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    env = {**os.environ, **dotenv.values(), **values, **own}
    del env["PORT"]  # honcho computes a port for each process from PORT, and fails if it is empty
    return env


# --- installation ---------------------------------------------------------------------------------------------


def missing_packages(server):
    """Return the packages of Debian that this host lacks."""
    is_installed = {
        "nginx": shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"),
        "libnginx-mod-http-brotli-static": BROTLI.exists(),
    }
    if not venv.external():
        is_installed["python3-venv"] = importlib.util.find_spec("ensurepip")
        if server == "uwsgi":  # pip compiles it
            is_installed["gcc"] = shutil.which("gcc")
            is_installed["python3-dev"] = Path(sysconfig.get_path("include"), "Python.h").exists()
    return [name for name, installed in is_installed.items() if not installed]


def is_possible(server):
    """Whether plain processes can run on this host, with packages that are installed or can be."""
    return sys.version_info >= OLDEST_PYTHON and (
        not missing_packages(server) or bool(shutil.which("apt-get")) and sudo.is_available()
    )


def install(server, assume_yes=False):
    """Install the packages that this host lacks, and add the user of the processes."""
    if sys.version_info < OLDEST_PYTHON:
        raise StackError(
            f"Plain processes need Python 3.11 or newer; this is Python {'.'.join(map(str, sys.version_info[:2]))}.",
            "Without Docker, the app and its packages run on the host's own Python.",
            "./stack up   (with Docker)",
        )
    missing, needs_user = missing_packages(server), os.geteuid() == 0 and not _user_exists()
    changes = [f"install the packages {' '.join(missing)}, and their dependencies"] if missing else []
    if "nginx" in missing:
        changes.append("stop and disable the service nginx, which the package starts on port 80")
    if needs_user:
        changes.append(f"add the system user {USER}, which runs the processes")
    if changes and sudo.is_available():
        sudo.confirm_changes(changes, assume_yes)
    if missing:
        sudo.require(f"install {' '.join(missing)}")
        apt.install(missing)
    if "nginx" in missing:
        stop = "service nginx stop; ! command -v systemctl || systemctl disable nginx"
        console.capture(sudo.command(["sh", "-c", stop]))
    if needs_user:
        useradd = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        console.run(f"adding the user {USER}", useradd, fix=" ".join(useradd))


def _user_exists():
    return _user() is not None


def _user():
    """The user of the processes: USER if root runs ./stack, and None if there is no such user yet."""
    if os.geteuid() != 0:
        return folders.User(os.geteuid(), os.getegid())
    import pwd  # not at the top: only Unix systems have it

    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return None
    return folders.User(entry.pw_uid, entry.pw_gid)


def _venv(server):
    """Make or update the virtual environment and return its folder."""
    folder = HOME / "venv"
    uwsgi = server == "uwsgi" or (folder / "bin/uwsgi").exists()
    wanted = requirements.locked(uwsgi=uwsgi, more=["honcho"])
    return venv.ensure(folder, wanted, fix="./stack up --native")


def _static(values, env):
    """Build the static files of the app, with hashed names and compressed, as in an image."""
    source = ROOT / values["STATIC_SOURCE"]
    if values["WSGI_APP"] == SAMPLE_APP:
        source = STATIC_SOURCE
        _empty(source)
        _run_as_user("collecting static files", ["flask", "--app", "app.wsgi", "assets", str(source)], env)
    if source.is_dir():
        _empty(values["STATIC_ROOT"])
        command = ["python3", "-m", "deploy.assets", str(source), values["STATIC_ROOT"]]
        _run_as_user("hashing and compressing static files", command, env)


def _empty(folder):
    """Remove everything in a folder of the processes, as their user."""
    console.capture(as_user(["find", str(folder), "-mindepth", "1", "-delete"]))


def _run_as_user(title, argv, env):
    # The program is searched in the virtual environment, not in the PATH of ./stack itself.
    program = shutil.which(argv[0], path=env["PATH"]) or argv[0]
    console.run(title, as_user([program, *argv[1:]]), env=env, fix="./stack up --native")


def as_user(argv):
    """Return the command line that runs `argv` without root's privileges: as USER if root runs ./stack."""
    if os.geteuid() != 0:
        return argv
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--", *argv]


def _make_folders(values):
    """Make the folders that the processes write to; if root runs ./stack, they belong to USER, and HOME to root."""
    console.state_folder()
    writable = [*(Path(values[name]) for name in default_folders()), STATIC_SOURCE]
    # The owner of another folder that exists, /tmp for example, is not changed.
    own = [folder for folder in writable if folder.is_relative_to(HOME) or not folder.exists()]
    if os.geteuid() != 0:
        for folder in (HOME, *own):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return
    _require_code_of_root()
    folders.make_for_root(HOME, _user(), keep={Path(folder).name for folder in default_folders().values()})
    for folder in own:
        folders.make_for_user(folder, _user())
    check_readable()


def _require_code_of_root():
    """Raise StackError if the app could change what root runs: ./stack itself."""
    for path in (ROOT, ROOT / "cli", ROOT / "deploy", console.STATE):
        if _user().can_change(path):
            raise StackError(
                f"The user {USER}, which runs the app, can change {path}.",
                "Root runs the files of this folder, so the app could become root.",
                f"find {ROOT} -path {HOME} -prune -o -exec chown -h root:root {{}} + -exec chmod go-w {{}} +",
            )


def check_readable():
    """Raise StackError if the user of the processes cannot read this folder."""
    if console.capture(as_user(["test", "-r", str(ROOT / "deploy/start"), "-a", "-x", str(ROOT)])).returncode:
        raise StackError(
            f"The user {USER} cannot read {ROOT}.",
            f"If root runs ./stack, the processes run as the user {USER}, not as root.",
            f"mv {ROOT} /srv/ && /srv/{ROOT.name}/stack up",
        )


# --- start and stop -------------------------------------------------------------------------------------------


def running():
    """Return what was recorded when the processes were started (pid, fingerprint, URL); {} if they are not running."""
    try:
        record = json.loads(RUNNING.read_text())
    except (OSError, ValueError):
        return {}
    started, user = processes.start_time(record["pid"]), _user()
    is_ours = started and started == record.get("start_time") and user and processes.has_user(record["pid"], user.uid)
    return record if is_ours else {}


def up(server=None, assume_yes=False):
    """Start the processes, or restart them if settings or files changed. Return their URL and the liveness response."""
    values = settings(server)
    install(values["WSGI_SERVER"], assume_yes)
    _make_folders(values)
    env = _environment(values, _venv(values["WSGI_SERVER"]))
    fingerprint, record = _fingerprint(values), running()
    if record.get("fingerprint") != fingerprint or not project.fetch_liveness(record["url"]):
        _check_port(values, record)
        _static(values, env)
        _run_as_user("running the release command", [str(ROOT / "deploy/release")], env)
        if record:
            down()
        _start(values, env, fingerprint)
    return _await_answer(values)


def prepare(server=None, assume_yes=False):
    """Install and build what the processes need, for systemd units that start them."""
    values = settings(server)
    install(values["WSGI_SERVER"], assume_yes)
    _make_folders(values)
    _write_unit_settings()
    _static(values, _environment(values, _venv(values["WSGI_SERVER"])))


def _write_unit_settings():
    """Write the settings of .env for systemd, whose EnvironmentFile has another grammar. Nginx gets only its own."""
    nginx = runpy.run_path(str(ROOT / "nginx/start"))
    of_nginx = nginx["PASSED_BY_COMPOSE"] | nginx["SET_ON_HOSTS"]
    values = dotenv.values({})
    for unit, names in (("web", values.keys()), ("nginx", of_nginx)):
        lines = [f"{name}={_quoted(value)}\n" for name, value in values.items() if name in names]
        with folders.open_new(HOME / f"{unit}.env", 0o600) as file:
            file.write("".join(lines).encode("utf-8", "surrogateescape"))


def _quoted(value):
    """Quote a value as systemd reads it: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html"""
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def _fingerprint(values):
    """Return a hash that changes with every setting and every file of the processes."""
    folders = ("app", "deploy", "nginx")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = json.dumps([values, max(path.stat().st_mtime_ns for path in files), len(files)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _address(values):
    return values["HTTP_BIND"].strip("[]")


def _url(values):
    """The URL at which this machine reaches Nginx, which listens on HTTP_BIND and HTTP_PORT."""
    return compose.format_url(_address(values), values["HTTP_PORT"])


def _check_port(values, record):
    port = int(values["HTTP_PORT"])
    if record.get("url") == _url(values) or ports.is_free(port, _address(values)):
        return
    raise StackError(
        f"Port {port} is taken by {ports.describe_holder(port)}.",
        "Nginx must listen on this port (HTTP_PORT).",
        f"HTTP_PORT={port + 1} ./stack up --native   (or set HTTP_PORT in .env)",
    )


def _start(values, env, fingerprint):
    command = as_user([shutil.which("python3", path=env["PATH"]), str(TARGET / "run")])
    if LOG.exists():
        LOG.replace(LOG.with_suffix(".old"))
    with folders.open_new(LOG, 0o640) as log:
        # In its own session, it keeps running after Ctrl-C and after the terminal is closed.
        child = subprocess.Popen(
            command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    while not processes.has_user(child.pid, _user().uid) and child.poll() is None:
        time.sleep(0.01)  # setpriv is still root
    record = {
        "pid": child.pid,
        "start_time": processes.start_time(child.pid),
        "fingerprint": fingerprint,
        "url": _url(values),
    }
    with folders.open_new(RUNNING, 0o640) as file:
        file.write(json.dumps(record).encode())


def _await_answer(values):
    """Return the URL and the liveness response, as soon as it comes from the WSGI server in `values`."""
    step = console.Step("waiting for the first response")
    while step.seconds < ANSWER_LIMIT and running():
        answer = project.fetch_liveness(_url(values))
        if answer and answer.get("wsgi_server", values["WSGI_SERVER"]) == values["WSGI_SERVER"]:
            step.end()
            return _url(values), answer
        step.tick()
        time.sleep(0.1)
    step.end("failed")
    say("\n".join(f"  {line}" for line in LOG.read_text(errors="replace").splitlines()[-console.LOG_TAIL :]))
    down()
    raise StackError(
        "The processes did not start." if step.seconds < ANSWER_LIMIT else f"{_url(values)} does not answer.",
        f"The reason is in the last lines of {LOG.relative_to(ROOT)}, above. All processes were stopped.",
        "correct what these lines name, then: ./stack up --native",
    )


def down():
    """Stop the processes gracefully and wait until they exit."""
    record = running()
    if record:
        step = console.Step("stopping the processes")
        processes.terminate(record["pid"], lambda: running() == record)
        while running() and step.seconds < STOP_LIMIT:
            step.tick()
            time.sleep(0.05)
        step.end("failed" if running() else "ok")
    RUNNING.unlink(missing_ok=True)


def delete_data():
    """Delete the data of the processes: the database and the generated secret key."""
    _empty(default_folders()["STATE_DIRECTORY"])


def status():
    """Print the state of the processes. Return the exit status: 1 if they do not answer."""
    record = running()
    answer = project.fetch_liveness(record["url"])
    say(f"plain processes, without Docker (pid {record['pid']})\n")
    say(f"{record['url']}   {project.describe_answer(answer)}")
    return 0 if answer else 1


def logs(follow):
    """Print the log of all processes. With `follow`, continue until Ctrl-C."""
    return subprocess.run(["tail", "-n", "+1", *(["--follow"] if follow else []), str(LOG)]).returncode
