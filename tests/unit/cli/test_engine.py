"""The Docker engine: when ./stack uses, installs or starts one, what it asks before, and the base image."""

import getpass
import os
import subprocess
import time

import pytest

from cli import apt, base_image, console, engine, processes, sudo
from deploy.errors import StackError

ACCESS_DENIED = "permission denied while trying to connect to the Docker daemon socket"
UNREACHABLE = "Cannot connect to the Docker daemon"
SOURCE = apt.Source("https://user:password@mirror.example/debian", "bookworm", ("main",))


class Machine:
    """A machine without a real engine: what it lacks, what its engine answers, and what ./stack did to it."""

    def __init__(self):
        self.missing, self.error, self.done = [], "", []

    def install(self, missing, assume_yes):
        self.done.append(f"install {' '.join(missing)}")

    def start(self, error):
        self.done.append("start")
        self.error = ""


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(engine, "missing_parts", lambda: machine.missing)
    monkeypatch.setattr(engine, "_error", lambda: machine.error)
    monkeypatch.setattr(engine, "_install", machine.install)
    monkeypatch.setattr(engine, "_start", machine.start)
    return machine


@pytest.fixture
def bare(machine, monkeypatch):
    """A bare Debian 12 with sudo, on which the installation itself is recorded."""
    monkeypatch.undo()
    machine.missing = ["engine", "compose"]
    os_release = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}

    def install(packages):
        machine.done.append(f"install {' '.join(packages)}")
        machine.missing = []

    monkeypatch.setattr(engine, "missing_parts", lambda: machine.missing)
    monkeypatch.setattr(engine, "_error", lambda: machine.error)
    monkeypatch.setattr(engine, "read_os_release", lambda: os_release)
    monkeypatch.setattr(engine, "_has_systemd", lambda: True)
    monkeypatch.setattr(apt, "read_sources", lambda: [SOURCE])
    monkeypatch.setattr(apt, "install", install)
    monkeypatch.setattr(sudo, "is_available", lambda: True)
    monkeypatch.setattr(sudo, "require", lambda purpose: machine.done.append("become root"))
    monkeypatch.setattr(sudo, "write_file", lambda path, text: machine.done.append(f"write {path}"))
    return machine


INSTALLATION = [
    "become root",
    "write /etc/apt/preferences.d/tripod-trixie",
    "write /etc/apt/sources.list.d/tripod-trixie.sources",
    "install docker.io/trixie docker-cli/trixie iptables docker-compose/trixie",
]


def _terminal(monkeypatch, *answers):
    """stdin is a terminal on which these answers are typed; without answers, it is not a terminal."""
    remaining = list(answers)
    monkeypatch.setattr(console, "is_interactive", lambda: bool(answers))
    monkeypatch.setattr("builtins.input", lambda prompt: print(prompt) or remaining.pop(0))
    return remaining


def test_working_engine_is_used(machine):
    """If everything works, nothing is installed or started."""
    engine.ensure()
    assert machine.done == []


def test_stopped_engine_is_started(machine):
    """An engine that is installed and does not answer is started."""
    machine.error = UNREACHABLE
    engine.ensure()
    assert machine.done == ["start"]


def test_missing_engine_is_installed_and_started(machine):
    """The missing parts are installed, then the engine is started."""
    machine.missing, machine.error = ["engine", "compose"], UNREACHABLE
    engine.ensure()
    assert machine.done == ["install engine compose", "start"]


def test_changes_are_listed_before_the_installation(bare, monkeypatch, capsys):
    """Without a terminal, every file, package and service is listed, then installed; passwords are not shown."""
    _terminal(monkeypatch)
    monkeypatch.setattr(sudo, "require", lambda purpose: bare.done.append(capsys.readouterr().out))
    engine.ensure()
    printed, *done = bare.done
    assert "This machine lacks: engine, compose." in printed
    for change in (
        "write /etc/apt/preferences.d/tripod-trixie ",
        "write /etc/apt/sources.list.d/tripod-trixie.sources   (trixie, from the mirror mirror.example)",
        "install the packages docker.io/trixie docker-cli/trixie iptables docker-compose/trixie",
        "start the service docker",
    ):
        assert f"  - {change}" in printed
    assert "password" not in printed and done == INSTALLATION[1:]


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_installation_is_confirmed_on_a_terminal(bare, monkeypatch, answer):
    """On a terminal, the changes are made after a `y` or `yes`."""
    remaining = _terminal(monkeypatch, answer)
    engine.ensure()
    assert bare.done == INSTALLATION and remaining == []


@pytest.mark.parametrize("answer", ["", "n", "what?"])
def test_any_other_answer_changes_nothing(bare, monkeypatch, answer):
    """On a terminal, any other answer ends with an error before anything is changed."""
    _terminal(monkeypatch, answer)
    with pytest.raises(sudo.Declined) as raised:
        engine.ensure()
    assert bare.done == [] and "./stack up --yes" in raised.value.fix


def test_yes_skips_the_question(bare, monkeypatch, capsys):
    """With --yes the changes are listed, and nothing is asked."""
    remaining = _terminal(monkeypatch, "n")
    engine.ensure(assume_yes=True)
    assert bare.done == INSTALLATION and remaining == ["n"]
    assert "  - install the packages docker.io/trixie" in capsys.readouterr().out


@pytest.fixture
def new_engine(machine, monkeypatch):
    """An engine that ./stack has just installed, and that refuses this user; usermod and sg are recorded."""
    members = []

    def capture(argv, **options):
        machine.done.append(" ".join(argv))
        if "usermod" in argv:
            members.append(argv[-1])
        return subprocess.CompletedProcess(argv, 0, "", "")

    def execvp(program, argv):
        machine.done.append(" ".join(argv[:3]))
        raise SystemExit

    machine.missing, machine.error = ["engine"], ACCESS_DENIED
    monkeypatch.delenv("TRIPOD_REENTERED", raising=False)
    monkeypatch.setattr(engine, "_group_members", lambda: members)
    monkeypatch.setattr(engine.shutil, "which", lambda name, **options: f"/usr/bin/{name}")
    monkeypatch.setattr(console, "capture", capture)
    monkeypatch.setattr(sudo, "command", lambda argv: ["sudo", *argv])
    monkeypatch.setattr(os, "execvp", execvp)
    machine.done.clear()
    return machine


USERMOD = f"usermod -aG docker {getpass.getuser()}"


def test_user_joins_the_group_after_a_yes(new_engine, monkeypatch):
    """On a terminal, the user is added to the group after a question; ./stack then runs again with the group."""
    _terminal(monkeypatch, "y")
    with pytest.raises(SystemExit):
        engine.ensure()
    assert new_engine.done == ["install engine", f"sudo {USERMOD}", "sg docker -c"]
    os.environ.pop("TRIPOD_REENTERED")


@pytest.mark.parametrize("answers", [(), ("n",)])
@pytest.mark.parametrize("assume_yes", [False, True])
def test_nobody_joins_the_group_unasked(new_engine, monkeypatch, answers, assume_yes):
    """Without a terminal, or after a `n`, the group stays as it is, even with --yes; the error has the command."""
    _terminal(monkeypatch, *answers)
    with pytest.raises(engine.AccessDenied) as raised:
        engine.ensure(assume_yes)
    assert new_engine.done == ["install engine"] and USERMOD in raised.value.fix


def test_member_of_the_group_is_not_asked(new_engine, monkeypatch):
    """A user who is a member already, in a session that began before, gets the group without a question."""
    new_engine.missing = []
    monkeypatch.setattr(engine, "_group_members", lambda: [getpass.getuser()])
    with pytest.raises(SystemExit):
        engine.ensure()
    assert new_engine.done == ["sg docker -c"]
    os.environ.pop("TRIPOD_REENTERED")


def test_existing_engine_that_refuses_the_user_is_left_alone(machine, monkeypatch):
    """An engine that was there before and refuses this user is neither installed nor started; the error has the fix."""
    machine.error = ACCESS_DENIED
    monkeypatch.setenv("TRIPOD_REENTERED", "1")
    monkeypatch.setattr(engine, "_group_members", list)
    _terminal(monkeypatch, "y")
    with pytest.raises(engine.AccessDenied) as raised:
        engine.ensure()
    assert machine.done == [] and USERMOD in raised.value.fix


@pytest.mark.parametrize(
    ("programs", "data", "docker_host", "system", "endpoint", "expected"),
    [
        ((), False, "", "Linux", engine.LOCAL_SOCKET, False),
        (("docker",), False, "", "Linux", engine.LOCAL_SOCKET, False),
        (("docker", "dockerd"), False, "", "Linux", engine.LOCAL_SOCKET, True),
        ((), True, "", "Linux", engine.LOCAL_SOCKET, True),
        ((), False, "ssh://host.example", "Linux", engine.LOCAL_SOCKET, True),
        (("docker",), False, "", "Linux", "unix:///run/user/1000/docker.sock", True),
        (("docker",), False, "", "Darwin", engine.LOCAL_SOCKET, True),
    ],
)
def test_engine_exists_if_its_program_or_its_data_does(
    monkeypatch, tmp_path, programs, data, docker_host, system, endpoint, expected
):
    """dockerd, data in /var/lib/docker, DOCKER_HOST or another context show that there is or was an engine."""
    monkeypatch.setattr(engine.shutil, "which", lambda name, **options: name if name in programs else None)
    monkeypatch.setattr(engine, "DATA", (tmp_path if data else tmp_path / "none",))
    monkeypatch.setattr(engine.platform, "system", lambda: system)
    monkeypatch.setattr(engine, "endpoint", lambda: endpoint)
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    assert engine.exists() is expected


def test_client_on_macos_means_an_engine(monkeypatch):
    """On macOS the engine runs in a virtual machine: with a client, none is missing, and a stopped one is named."""
    monkeypatch.setattr(engine.shutil, "which", lambda name, **options: name if name == "docker" else None)
    monkeypatch.setattr(engine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(console, "capture", lambda argv, **options: subprocess.CompletedProcess(argv, 0, "", ""))
    monkeypatch.setattr(engine, "_error", lambda: UNREACHABLE)
    assert engine.missing_parts() == []
    with pytest.raises(StackError) as raised:
        engine.ensure()
    assert "does not answer" in raised.value.error and "Docker Desktop" in raised.value.fix


@pytest.mark.parametrize(
    ("missing", "error", "message", "cause"),
    [
        (["compose"], "", "There is no working Docker engine", "lacks: compose"),
        ([], "Cannot connect", "There is no working Docker engine", "Cannot connect"),
        ([], ACCESS_DENIED, "may not use it", ACCESS_DENIED),
    ],
)
def test_other_commands_install_nothing(machine, missing, error, message, cause):
    """Commands other than `up` and those of development raise a StackError and change nothing."""
    machine.missing, machine.error = missing, error
    with pytest.raises(StackError) as raised:
        engine.require()
    assert message in raised.value.error and cause in raised.value.cause and machine.done == []


def test_user_without_sudo_gets_an_error_at_once(monkeypatch):
    """A user who is not root and has no sudo gets an error with the way on before anything is tried."""
    monkeypatch.setattr(sudo, "_prefix", lambda: None)
    with pytest.raises(StackError) as raised:
        sudo.require("install a Docker engine")
    assert "su -c './stack up'" in raised.value.fix


@pytest.mark.parametrize(
    ("uid", "program", "line"),
    [
        (0, "/usr/bin/sudo", "apt-get update"),
        (1000, "/usr/bin/sudo", "sudo apt-get update"),
        (1000, None, "su -c 'apt-get update'"),
    ],
)
def test_commands_for_root_can_be_typed_here(monkeypatch, uid, program, line):
    """A suggested command uses sudo only if it is installed and the user is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(sudo.shutil, "which", lambda name: program)
    assert sudo.shell_line("apt-get update") == line


def test_broken_source_of_apt_is_reported_and_skipped(monkeypatch, capsys):
    """Package lists that cannot be read do not stop ./stack; the command that shows the reason is printed."""

    def fail(title, argv, *, fix):
        raise StackError(title, "E: no such mirror", f"{fix}\n(the whole output is somewhere)")

    monkeypatch.setattr(console, "run", fail)
    apt._update.cache_clear()
    assert apt._update().cause == "E: no such mirror"
    apt._update.cache_clear()
    assert capsys.readouterr().out.endswith(f"To see which: {sudo.shell_line('apt-get update')}\n")


def test_exited_engine_is_not_waited_for():
    """An exited daemon is not alive, even if no init process reaps it."""
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 5
    while processes.is_running(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes.is_running(child.pid)  # a zombie: it has not been waited for
    child.wait()
    assert not processes.is_running(child.pid) and processes.is_running(os.getpid())


def _engine_has_image(monkeypatch, there):
    monkeypatch.setattr(console, "capture", lambda argv: subprocess.CompletedProcess(argv, 0 if there else 1, "", ""))


def test_base_image_of_the_engine_is_used(monkeypatch):
    """An image that the engine has is neither pulled nor made."""
    _engine_has_image(monkeypatch, True)
    monkeypatch.setattr(console, "run", None)
    base_image.ensure("debian:trixie-slim")


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("debian:trixie-slim", []),
        ("corp.example/python:3.13", [apt.Source("https://m.example/debian", "trixie", ("main",))]),
    ],
)
def test_base_image_that_cannot_be_pulled_or_made_is_an_error(monkeypatch, name, sources):
    """The error has the ways to get one. An image made from Debian's packages never gets another image's name."""
    _engine_has_image(monkeypatch, False)
    monkeypatch.setattr(apt, "read_sources", lambda: sources)

    def fail(*args, **options):
        raise StackError("no", "connection refused", "docker pull it")

    monkeypatch.setattr(console, "run", fail)
    with pytest.raises(StackError) as raised:
        base_image.ensure(name)
    assert "connection refused" in raised.value.cause
    assert raised.value.fix.startswith("docker pull it\n") and "BASE_IMAGE=" in raised.value.fix


@pytest.mark.parametrize(
    ("failing", "commands"),
    [
        ("mmdebstrap", [sudo.shell_line("apt-get update"), "./stack up"]),
        ("docker import", ["docker info", "df -h /var/lib/docker", "./stack up"]),
    ],
)
def test_base_image_that_cannot_be_made_has_commands_as_fix(monkeypatch, failing, commands):
    """Each line of the fix is a command that examines what has failed: the mirror, or the engine."""
    _engine_has_image(monkeypatch, False)
    monkeypatch.setattr(apt, "read_sources", lambda: [apt.Source("https://m.example/debian", "trixie", ("main",))])
    monkeypatch.setattr(sudo, "require", lambda purpose: None)
    monkeypatch.setattr(sudo, "command", lambda argv: argv)
    monkeypatch.setattr(base_image.shutil, "which", lambda name: f"/usr/bin/{name}")

    def run(title, argv, *, fix, **options):
        if " ".join(argv).startswith(("docker pull", failing)):
            raise StackError(title, "no", fix)

    monkeypatch.setattr(console, "run", run)
    with pytest.raises(StackError) as raised:
        base_image.ensure("debian:trixie-slim")
    assert [line.split("   (")[0] for line in raised.value.fix.splitlines()] == commands


def test_package_for_the_base_image_is_confirmed(monkeypatch):
    """mmdebstrap, which makes the base image, is installed only after a yes on a terminal."""
    _engine_has_image(monkeypatch, False)
    monkeypatch.setattr(apt, "read_sources", lambda: [apt.Source("https://m.example/debian", "trixie", ("main",))])
    monkeypatch.setattr(apt, "install", None)
    monkeypatch.setattr(sudo, "is_available", lambda: True)
    monkeypatch.setattr(sudo, "require", None)
    monkeypatch.setattr(base_image.shutil, "which", lambda name: None)
    _terminal(monkeypatch, "n")

    def fail(*args, **options):
        raise StackError("no", "connection refused", "docker pull it")

    monkeypatch.setattr(console, "run", fail)
    with pytest.raises(sudo.Declined):
        base_image.ensure("debian:trixie-slim")
