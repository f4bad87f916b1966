"""The stack as plain processes, without Docker: the same Nginx files, the same deploy/start, run by honcho.

What they need and keep is in .stack/native; deploy/targets/native/README.md tells the rest.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from cli import apt, build_inputs, console, dotenv, ports, project, requirements, sudo, venv
from cli.console import ROOT, say
from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import SAMPLE_APP, load_settings

TARGET = ROOT / "deploy" / "targets" / "native"
HOME = console.STATE / "native"
LOG = HOME / "log"
RUNNING = HOME / "running.json"

USER = "tripod"  # who runs the processes when root types ./stack
OLDEST_PYTHON = (3, 11)
SERVERS = ("gunicorn", "uwsgi")
LONGEST_PATH = 80  # characters of the sockets' folder; a socket's whole path may have 107 (unix(7))
ANSWER_LIMIT = 60  # seconds until the first answer
STOP_LIMIT = 70  # seconds; deploy/targets/native/run kills after 65
LOG_LINES = 25
BROTLI = Path("/usr/lib/nginx/modules/ngx_http_brotli_static_module.so")


# --- settings -------------------------------------------------------------------------------------------------


def default_folders():
    """Where the processes keep what containers have in volumes, unless somebody names other places."""
    folders = {
        "STATE_DIRECTORY": "state",
        "RUNTIME_DIRECTORY": "run",
        "CACHE_DIRECTORY": "cache",
        "ASSETS_DIRECTORY": "assets",
        "STATIC_ROOT": "static",
    }
    return {name: str(HOME / folder) for name, folder in folders.items()}


def settings(server=None):
    """The contract's values, checked: the shell before .env before the defaults."""
    shell = {name: value for name, value in os.environ.items() if value}
    given = {**default_folders(), "RELEASE": build_inputs.release_name(), **dotenv.values(), **shell, "PORT": ""}
    values = load_settings({**given, **({"WSGI_SERVER": server} if server else {})})
    _check(values)
    return values


def _check(values):
    """What the contract allows and plain processes can't do."""
    if values["WSGI_SERVER"] not in SERVERS:
        raise StackError(
            f"WSGI_SERVER={values['WSGI_SERVER']} needs Docker.",
            f"Without it there are: {', '.join(SERVERS)}. An Apache of the host is not ours to set up.",
            f"./stack up --native --server {SERVERS[0]}",
            status=EXIT_CONFIG,
        )
    if values["APP_DIR"]:
        raise StackError(
            "APP_DIR needs Docker.",
            "It is the folder that images are built from; plain processes run what is in this folder.",
            "copy your app beside app/, name it in WSGI_APP, and leave APP_DIR out",
            status=EXIT_CONFIG,
        )
    if len(values["RUNTIME_DIRECTORY"]) > LONGEST_PATH:
        raise StackError(
            f"The path {values['RUNTIME_DIRECTORY']} is too long.",
            "The sockets between Nginx and the server are there, and a socket's path has 107 characters at most.",
            "RUNTIME_DIRECTORY=/run/user/$(id -u)/tripod ./stack up --native",
            status=EXIT_CONFIG,
        )


def environment():
    """The environment of the processes that run, for a command beside them."""
    values = settings()
    return _environment(values, _venv(values["WSGI_SERVER"]))


def _environment(values, packages):
    """The environment of all processes."""
    path = f"{packages}/bin:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    own = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    env = {**os.environ, **dotenv.values(), **values, **own}
    del env["PORT"]  # honcho makes ports of its own out of it, and can't of an empty one
    return env


# --- what has to be there -------------------------------------------------------------------------------------


def missing_packages(server):
    """The packages of Debian that this host lacks."""
    needed = {
        "nginx": shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"),
        "libnginx-mod-http-brotli-static": BROTLI.exists(),
    }
    if not venv.external():
        needed["python3-venv"] = importlib.util.find_spec("ensurepip")
        if server == "uwsgi":  # compiled on this host
            needed["gcc"] = shutil.which("gcc")
            needed["python3-dev"] = Path(sysconfig.get_path("include"), "Python.h").exists()
    return [name for name, found in needed.items() if not found]


def is_possible(server):
    """Whether the processes can run here, as they are or after installing packages: else there is no way without
    Docker."""
    return sys.version_info >= OLDEST_PYTHON and (
        not missing_packages(server) or bool(shutil.which("apt-get")) and sudo.is_available()
    )


def _install(server):
    if sys.version_info < OLDEST_PYTHON:
        raise StackError(
            f"This Python is {sys.version_info.major}.{sys.version_info.minor}.",
            "Without Docker the app runs on the host's own Python, and its packages need 3.11 or newer.",
            "./stack up   (with Docker)",
        )
    missing = missing_packages(server)
    if not missing:
        return
    sudo.require(f"install {' '.join(missing)}")
    apt.install(missing)
    if "nginx" in missing:
        # Its package starts one of its own, on port 80.
        stop = "service nginx stop; ! command -v systemctl || systemctl disable nginx"
        console.capture(sudo.command(["sh", "-c", stop]))


def _venv(server):
    """The virtual environment, made or brought up to date."""
    folder = HOME / "venv"
    uwsgi = server == "uwsgi" or (folder / "bin/uwsgi").exists()
    wanted = requirements.locked(uwsgi=uwsgi, more=["honcho"])
    return venv.ensure(folder, wanted, fix="./stack up --native")


def _static(values, env):
    """The static files of the app, hashed and compressed as in an image."""
    source = ROOT / values["STATIC_SOURCE"]
    if values["WSGI_APP"] == SAMPLE_APP:
        source = HOME / "static-source"
        shutil.rmtree(source, ignore_errors=True)
        _step("gathering static files", ["flask", "--app", "app.wsgi", "assets", str(source)], env)
    if source.is_dir():
        shutil.rmtree(values["STATIC_ROOT"], ignore_errors=True)
        command = ["python3", "-m", "deploy.assets", str(source), values["STATIC_ROOT"]]
        _step("hashing and compressing them", command, env)


def _step(title, argv, env):
    # The program is looked for in the virtual environment, not where ./stack itself runs.
    found = shutil.which(argv[0], path=env["PATH"]) or argv[0]
    console.run(title, as_user([found, *argv[1:]]), env=env, fix="./stack up --native")


# --- as whom --------------------------------------------------------------------------------------------------


def as_user(argv):
    """The command line that runs this as a user without privileges, which is who types it unless that is root."""
    if os.geteuid() != 0:
        return argv
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--", *argv]


def _folders(values):
    """Makes the folders that the processes write to, and the user, if it is root who starts them."""
    console.state_folder()
    wanted = [HOME, *(Path(values[name]) for name in default_folders())]
    # What somebody else has made, perhaps /tmp, stays theirs.
    own = [folder for folder in wanted if folder.is_relative_to(HOME) or not folder.exists()]
    for folder in own:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(USER)
    except KeyError:
        useradd = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        console.run(f"adding the user {USER}", useradd, fix=" ".join(useradd))
    for folder in own:
        shutil.chown(folder, USER, USER)
    if console.capture(as_user(["test", "-r", str(ROOT / "deploy/start"), "-a", "-x", str(ROOT)])).returncode:
        raise StackError(
            f"The user {USER} cannot read {ROOT}.",
            "Started by root, the servers run as that user, not as root.",
            f"mv {ROOT} /srv/ && /srv/{ROOT.name}/stack up",
        )


# --- start and stop -------------------------------------------------------------------------------------------


def running():
    """What is known of the processes that run, {} if none do: pid, fingerprint of the settings, url."""
    try:
        known = json.loads(RUNNING.read_text())
    except (OSError, ValueError):
        return {}
    return known if _born(known["pid"]) == known["born"] else {}


def _born(pid):
    """When the process began, in clock ticks since boot, which tells it from a later one with its number; 0: gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def up(server=None):
    """Brings the processes up to date with settings and files; returns their URL and the answer of /healthz."""
    values = settings(server)
    _install(values["WSGI_SERVER"])
    _folders(values)
    env = _environment(values, _venv(values["WSGI_SERVER"]))
    fingerprint, known = _fingerprint(values), running()
    if known.get("fingerprint") != fingerprint or not project.fetch_liveness(known["url"]):
        _check_port(values, known)
        _static(values, env)
        _step("running the release command", [str(ROOT / "deploy/release")], env)
        if known:
            down()
        _start(values, env, fingerprint)
    return _await(values)


def prepare(server=None):
    """Makes what the processes need and starts nothing: systemd's units do that."""
    values = settings(server)
    _install(values["WSGI_SERVER"])
    _folders(values)
    _static(values, _environment(values, _venv(values["WSGI_SERVER"])))


def _fingerprint(values):
    """Changes with every setting and with every file that the processes have read."""
    folders = ("app", "deploy", "nginx")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = json.dumps([values, max(path.stat().st_mtime_ns for path in files), len(files)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _url(values):
    return f"http://127.0.0.1:{values['HTTP_PORT']}"


def _check_port(values, known):
    port = int(values["HTTP_PORT"])
    if known.get("url") == _url(values) or ports.is_free(port):
        return
    raise StackError(
        f"Port {port} is taken by {ports.holder(port)}.",
        "Nginx is to listen there, and only one can.",
        f"HTTP_PORT={port + 1} ./stack up --native   (or a line HTTP_PORT=… in .env)",
    )


def _start(values, env, fingerprint):
    command = as_user([shutil.which("python3", path=env["PATH"]), str(TARGET / "run")])
    if LOG.exists():
        LOG.replace(LOG.with_suffix(".old"))
    with LOG.open("wb") as log:
        # A session of its own: Ctrl-C and the end of the terminal don't reach it.
        child = subprocess.Popen(
            command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    known = {"pid": child.pid, "born": _born(child.pid), "fingerprint": fingerprint, "url": _url(values)}
    RUNNING.write_text(json.dumps(known))


def _await(values):
    """The URL and the answer of /healthz, as soon as the server that was asked for gives it."""
    step = console.Step("waiting for the first answer")
    while step.seconds < ANSWER_LIMIT and running():
        answer = project.fetch_liveness(_url(values))
        if answer.get("wsgi_server") == values["WSGI_SERVER"]:
            step.end()
            return _url(values), answer
        step.tick()
        time.sleep(0.1)
    step.end("failed")
    say("\n".join(f"  {line}" for line in LOG.read_text(errors="replace").splitlines()[-LOG_LINES:]))
    down()
    raise StackError(
        "The processes did not start." if step.seconds < ANSWER_LIMIT else f"{_url(values)} does not answer.",
        f"The last lines above, from {LOG.relative_to(ROOT)}, say why. All of them are stopped.",
        "mend what they name, then: ./stack up --native",
    )


def down():
    """Stops the processes gracefully, and waits for that."""
    known = running()
    if known:
        step = console.Step("stopping the processes")
        with contextlib.suppress(ProcessLookupError):
            os.kill(known["pid"], signal.SIGTERM)
        while running() and step.seconds < STOP_LIMIT:
            step.tick()
            time.sleep(0.05)
        step.end("failed" if running() else "ok")
    RUNNING.unlink(missing_ok=True)


def delete_data():
    """Removes what the processes have kept: the database and the generated secret key."""
    shutil.rmtree(default_folders()["STATE_DIRECTORY"], ignore_errors=True)


def status():
    """Says who answers where; the exit status is 1 if nobody does."""
    known = running()
    answer = project.fetch_liveness(known["url"])
    who = f"answered by {answer.get('wsgi_server')}, release {answer.get('release')}" if answer else "nobody answers"
    say(f"plain processes, without Docker (pid {known['pid']})\n\n{known['url']}   {who}")
    return 0 if answer else 1


def logs(follow):
    """Shows the log of all processes; with `follow` also what comes, until Ctrl-C."""
    return subprocess.run(["tail", "-n", "+1", *(["--follow"] if follow else []), str(LOG)]).returncode
