"""Plain processes that root starts: an app that an attacker has taken over gains nothing from root.

A throw-away user stands for the one that runs the app. Its attacks run with the rights that the app has.
"""

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from cli import console, dotenv, folders, native, processes
from deploy.errors import StackError

pytestmark = pytest.mark.needs("root")
DATA = ("state", "run", "cache", "assets", "static")


@pytest.fixture(scope="module")
def user() -> str:
    """The name of a new system user with a group of its own."""
    name = f"tripod-{os.getpid()}"
    subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True)


@pytest.fixture
def home(user, monkeypatch):
    """Where plain processes have their files, still empty. Every user can reach it, unlike pytest's own folder."""
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        os.chmod(folder, 0o755)
        state = Path(folder, ".stack")
        state.mkdir()
        home = state / "native"
        monkeypatch.setattr(console, "STATE", state)
        for name, path in {
            "HOME": "",
            "LOG": "log",
            "RUNNING": "running.json",
            "STATIC_SOURCE": "static-source",
        }.items():
            monkeypatch.setattr(native, name, home / path)
        monkeypatch.setattr(native, "USER", user)
        monkeypatch.setattr(native, "check_readable", lambda: None)  # of the repository, whose folder may be closed
        yield home


@pytest.fixture
def victim(home) -> Path:
    """A folder of root with a file, which only root can change."""
    folder = home.parents[1] / "victim"
    folder.mkdir()
    (folder / "file").write_text("root's")
    return folder


def attack(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script with the rights of the app."""
    return subprocess.run(native.as_user(["sh", "-c", script, "sh", *map(str, args)]), capture_output=True, text=True)


def make_folders(**settings: str) -> None:
    native._make_folders({**native.default_folders(), **settings})


def owner(path: Path) -> str:
    return path.lstat().st_uid and path.owner()


def test_app_owns_its_data_alone(home, user):
    """The app can write into the folders of its data, and change nothing beside them."""
    make_folders()
    (home / "venv").mkdir()
    (home / "log").write_text("")
    (home / "running.json").write_text("{}")
    assert {path.name for path in home.iterdir() if owner(path) == user} == {*DATA, "static-source"}
    assert all(attack("touch $1/file", home / name).returncode == 0 for name in DATA)
    for name in ("venv", "log", "running.json", "state"):
        assert attack("mv $1/$2 $1/other", home, name).returncode, name
    assert attack("ln -s /etc $1/new", home).returncode


def test_log_is_not_written_through_a_link(home, victim, user):
    """A link in place of the log, which the app of an older version could make, never leads root to another file."""
    home.mkdir()
    os.chown(home, native._user().uid, native._user().gid)
    assert attack("ln -s $1/file $2/log", victim, home).returncode == 0
    make_folders()
    with folders.open_new(native.LOG, 0o640) as log:
        log.write(b"lines")
    assert (victim / "file").read_text() == "root's"
    assert native.LOG.read_text() == "lines" and not native.LOG.is_symlink() and owner(native.LOG) == 0


def test_folder_of_an_older_version_is_taken_over(home, victim, user):
    """What the app could have made in root's place is removed: packages that root would run. Its data is kept."""
    home.mkdir()
    (home / "log.old").write_text("root's")
    os.chown(home, native._user().uid, native._user().gid)
    planted = "cd $1 && mkdir state venv && echo key > state/secret_key && echo x > venv/requirements.txt && echo {} > "
    assert attack(f"{planted} running.json && ln -s $2 assets", home, victim).returncode == 0
    make_folders()
    assert not (home / "venv").exists() and not (home / "running.json").exists()
    assert (home / "state/secret_key").read_text() == "key\n" and owner(home / "state") == user
    assert owner(victim) == 0 and not (home / "assets").is_symlink() and owner(home / "assets") == user
    assert (home / "log.old").read_text() == "root's"
    assert attack("mv $1/state $1/other", home).returncode


def test_folder_in_a_folder_of_the_app_is_refused(home, victim, user):
    """Root makes no folder where the app could replace it by a link; elsewhere it does, below several new folders."""
    outside = home.parents[1] / "outside"
    outside.mkdir()
    make_folders(STATE_DIRECTORY=f"{outside}/a/b")
    assert (owner(outside / "a"), owner(outside / "a/b")) == (0, user)
    with pytest.raises(StackError) as raised:
        make_folders(STATE_DIRECTORY=f"{outside}/a/b/c")
    assert f"{outside}/a/b" in raised.value.cause and not (outside / "a/b/c").exists()


def test_static_files_are_removed_without_root(home, victim):
    """Before static files are built again, the old ones are removed with the rights of the app."""
    make_folders()
    assert attack("mkdir $2/static/css && ln -s $1 $2/static/link", victim, home).returncode == 0
    (home / "static/of-root").mkdir()
    (home / "static/of-root/file").touch()
    native._empty(home / "static")
    assert (victim / "file").exists()
    assert [path.name for path in (home / "static").iterdir()] == ["of-root"]


@pytest.mark.parametrize("folder", ["", "cli"])
def test_code_of_the_app_is_not_run_by_root(home, user, monkeypatch, folder):
    """Root does not start the stack from files that the app can change."""
    root = home.parents[1] / "repository"
    (root / "cli").mkdir(parents=True)
    (root / "deploy").mkdir()
    monkeypatch.setattr(native, "ROOT", root)
    make_folders()
    os.chown(root / folder, native._user().uid, -1)
    with pytest.raises(StackError) as raised:
        make_folders()
    assert user in raised.value.error and str(root / folder) in raised.value.error


def record(child: subprocess.Popen) -> None:
    started = processes.start_time(child.pid)
    native.RUNNING.write_text(json.dumps({"pid": child.pid, "start_time": started, "url": ""}))


def goes_on(child: subprocess.Popen) -> bool:
    """Whether the process still runs after the time in which a signal ends it."""
    try:
        child.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.fixture
def sleeping(home):
    """Start a process that sleeps, as root or as the user of the app."""
    make_folders()
    started = []

    def start(argv: list[str]) -> subprocess.Popen:
        started.append(subprocess.Popen(argv))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_process_of_another_user_is_never_stopped(sleeping):
    """`./stack down` stops no process of root, even if its id and its start time are recorded."""
    child = sleeping(["sleep", "60"])
    record(child)
    assert native.running() == {}
    native.down()
    assert goes_on(child) and not native.RUNNING.exists()


def test_processes_of_the_app_are_stopped(sleeping):
    """`./stack down` stops the recorded process of the app's user."""
    child = sleeping(native.as_user(["sleep", "60"]))
    while not processes.has_user(child.pid, native._user().uid):
        assert child.poll() is None
    record(child)
    assert native.running()["pid"] == child.pid
    native.down()
    assert child.wait() == -signal.SIGTERM


def test_reused_process_id_is_recognized(sleeping):
    """Another process that got the id of an exited one is never mistaken for it, nor stopped."""
    child = sleeping(native.as_user(["sleep", "60"]))
    while not processes.has_user(child.pid, native._user().uid):
        assert child.poll() is None
    record(child)
    native.RUNNING.write_text(json.dumps(json.loads(native.RUNNING.read_text()) | {"start_time": 1}))
    native.down()
    assert goes_on(child) and not native.RUNNING.exists()


def test_process_that_changes_before_the_signal_is_not_stopped(sleeping):
    """The check comes after the process is held, so that no other process gets the signal in between."""
    child = sleeping(["sleep", "60"])
    processes.terminate(child.pid, lambda: False)
    assert goes_on(child)
    processes.terminate(child.pid, lambda: True)
    assert child.wait() == -signal.SIGTERM
    processes.terminate(child.pid, lambda: True)  # it has gone


def test_units_get_their_own_settings(home, tmp_path, monkeypatch):
    """systemd gives the app every variable of .env, and Nginx its own settings alone: no secret reaches it.

    The files are for root, and quote values for systemd, whose grammar differs from Compose's.
    """
    make_folders()
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text(
        "SECRET_KEY='a$b\"c\\`'\nDATABASE_URL=x\nOWN=1\nHTTP_PORT=8081\nLOG_LEVEL=debug # c\nA.B=1\n"
    )
    native._write_unit_settings()
    web, nginx = home / "web.env", home / "nginx.env"
    assert nginx.read_text() == 'HTTP_PORT="8081"\nLOG_LEVEL="debug"\n'
    assert 'SECRET_KEY="a\\$b\\"c\\\\\\`"\n' in web.read_text() and 'OWN="1"\n' in web.read_text()
    assert {(owner(path), path.stat().st_mode & 0o777) for path in (web, nginx)} == {(0, 0o600)}
