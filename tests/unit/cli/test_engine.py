"""When ./stack uses, installs, starts or refuses an engine, and where the base image comes from."""

import os
import subprocess
import time

import pytest

from cli import apt, base_image, console, engine, sudo
from deploy.errors import StackError

REFUSAL = "permission denied while trying to connect to the Docker daemon socket"


@pytest.fixture
def machine(monkeypatch):
    """A machine to be described: what it lacks, what its engine says, and what is done to it."""

    class Machine:
        missing, error, done = [], "", []

        def install(self, missing):
            self.done.append(f"install {' '.join(missing)}")

        def start(self, error):
            self.done.append("start")
            self.error = ""

    found = Machine()
    found.done = []
    monkeypatch.setattr(engine, "missing_parts", lambda: found.missing)
    monkeypatch.setattr(engine, "_error", lambda: found.error)
    monkeypatch.setattr(engine, "_install", found.install)
    monkeypatch.setattr(engine, "_start", found.start)
    return found


def test_working_engine_is_used(machine):
    """Where everything works, nothing is installed or started."""
    engine.ensure()
    assert machine.done == []


def test_stopped_engine_is_started(machine):
    """An engine that is installed and does not answer is started."""
    machine.error = "Cannot connect to the Docker daemon"
    engine.ensure()
    assert machine.done == ["start"]


def test_missing_engine_is_installed_and_started(machine):
    """A bare machine gets what it lacks."""
    machine.missing, machine.error = ["engine", "compose"], "Cannot connect to the Docker daemon"
    engine.ensure()
    assert machine.done == ["install engine compose", "start"]


def test_engine_of_others_is_not_started_again(machine, monkeypatch):
    """An engine that refuses this user is neither installed nor started: the way into its group is shown."""
    machine.error = REFUSAL
    monkeypatch.setenv("TRIPOD_REENTERED", "1")
    monkeypatch.setattr(engine.grp, "getgrnam", lambda name: engine.grp.struct_group(("docker", "x", 1, [])))
    with pytest.raises(StackError) as raised:
        engine.ensure()
    assert machine.done == [] and "usermod -aG docker" in raised.value.fix


@pytest.mark.parametrize(
    ("missing", "error", "what", "why"),
    [
        (["compose"], "", "No working Docker engine", "lacks: compose"),
        ([], "Cannot connect", "No working Docker engine", "Cannot connect"),
        ([], REFUSAL, "may not use it", REFUSAL),
    ],
)
def test_other_verbs_install_nothing(machine, missing, error, what, why):
    """Verbs that only look say in three parts what is missing, and change nothing."""
    machine.missing, machine.error = missing, error
    with pytest.raises(StackError) as raised:
        engine.require()
    assert what in raised.value.error and why in raised.value.cause and machine.done == []


def test_nobody_without_sudo_is_sent_to_root(monkeypatch):
    """Without root and without sudo the way on is said before anything is tried."""
    monkeypatch.setattr(sudo, "_prefix", lambda: None)
    with pytest.raises(StackError) as raised:
        sudo.require("install a Docker engine")
    assert "su -c './stack up'" in raised.value.fix


@pytest.mark.parametrize(
    ("uid", "program", "typed"),
    [
        (0, "/usr/bin/sudo", "apt-get update"),
        (1000, "/usr/bin/sudo", "sudo apt-get update"),
        (1000, None, "su -c 'apt-get update'"),
    ],
)
def test_what_root_has_to_do_can_be_typed_here(monkeypatch, uid, program, typed):
    """No line names a sudo that is not there, or that root does not need."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(sudo.shutil, "which", lambda name: program)
    assert sudo.shell_line("apt-get update") == typed


def test_broken_source_of_apt_is_told_and_passed_over(monkeypatch, capsys):
    """Package lists that can't be read stop nothing, and it is said at once what to type to see why."""

    def refuse(title, argv, *, fix):
        raise StackError(title, "E: no such mirror", f"{fix}\n(the whole output is somewhere)")

    monkeypatch.setattr(console, "run", refuse)
    apt._update.cache_clear()
    assert apt._update().cause == "E: no such mirror"
    apt._update.cache_clear()
    assert capsys.readouterr().out.endswith(f"type: {sudo.shell_line('apt-get update')}\n")


def test_dead_engine_is_not_waited_for():
    """A daemon that has ended counts as dead even where no init process collects it."""
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 5
    while engine._is_alive(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not engine._is_alive(child.pid)  # a zombie: nobody has waited for it yet
    child.wait()
    assert not engine._is_alive(child.pid) and engine._is_alive(os.getpid())


def _image_is_there(monkeypatch, there):
    monkeypatch.setattr(console, "capture", lambda argv: subprocess.CompletedProcess(argv, 0 if there else 1))


def test_base_image_of_the_engine_is_used(monkeypatch):
    """An image that the engine has is neither pulled nor made."""
    _image_is_there(monkeypatch, True)
    monkeypatch.setattr(console, "run", None)
    base_image.ensure("debian:trixie-slim")


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("debian:trixie-slim", []),
        ("corp.example/python:3.13", [apt.Source("https://m.example/debian", "trixie", ("main",))]),
    ],
)
def test_base_image_that_cannot_be_had_is_a_problem(monkeypatch, name, sources):
    """Neither pulled nor made: it is said how to get one. Another image's name is never given to Debian's."""
    _image_is_there(monkeypatch, False)
    monkeypatch.setattr(apt, "read_sources", lambda: sources)

    def refuse(*args, **options):
        raise StackError("no", "connection refused", "what the refusal says")

    monkeypatch.setattr(console, "run", refuse)
    with pytest.raises(StackError) as raised:
        base_image.ensure(name)
    assert "connection refused" in raised.value.cause
    assert raised.value.fix.startswith("what the refusal says\n") and "BASE_IMAGE=" in raised.value.fix


@pytest.mark.parametrize(
    ("failing", "commands"),
    [
        ("mmdebstrap", [sudo.shell_line("apt-get update"), "./stack up"]),
        ("docker import", ["docker info", "df -h /var/lib/docker", "./stack up"]),
    ],
)
def test_base_image_that_cannot_be_made_says_where_to_look(monkeypatch, failing, commands):
    """Each line can be typed, and looks at what has failed: the mirror while packages come, then the engine."""
    _image_is_there(monkeypatch, False)
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
