"""Where the app runs, in containers or as plain processes: commands beside it, its stop and its start."""

import contextlib
import json
import os
import subprocess
import tempfile

from cli import compose, console, engine, native
from cli.console import ROOT
from deploy.errors import StackError

HEALTHY_LIMIT = 180  # seconds; a container that is not healthy by then will not be


@contextlib.contextmanager
def current():
    """The plain processes if they run, else the containers, with one more beside them until the block ends."""
    if native.running():
        yield Processes()
        return
    here = Containers()
    with here.one_beside():
        yield here


class Containers:
    """Commands run in one container of their own, with the image, settings and volumes of `web`."""

    def __init__(self):
        engine.require()
        self.project = compose.config()["name"]
        self.env = compose.environment()
        self.beside = f"{self.project}-beside-{os.getpid()}"

    @contextlib.contextmanager
    def one_beside(self):
        """Starts that container, and removes it. A StackError if it can't be started.

        It is `migrate`, which is `web` without the health check: that would ask for a server which is not there. It
        lives as long as its stdin is open, so it ends with ./stack, even if that is killed.
        """
        run = compose.command("run", "--rm", "--no-deps", "-T", "--name", self.beside, "migrate")
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            # A session of its own: Ctrl-C comes to ./stack alone, which has to clean up in there first.
            held = subprocess.Popen(
                [*run, "sh", "-c", "echo started; exec cat"],
                env=self.env,
                cwd=ROOT,
                stderr=said,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            with held:
                try:
                    if not held.stdout.readline():
                        said.seek(0)
                        raise StackError("No container can be started beside the app.", said.read(), "./stack up")
                    yield
                finally:
                    console.capture(["docker", "rm", "--force", self.beside])

    def command(self, *words, terminal=False, **env):
        """The command line that runs `words` beside the app, with more environment variables."""
        given = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        return ["docker", "exec", "--interactive", *(["--tty"] if terminal else []), *given, self.beside, *words]

    def postgres(self):
        """The container of the profile's database server; a StackError if it does not run."""
        found = [one for one in compose.containers(self.project) if one.service == "postgres"]
        if not found or found[0].state != "running":
            raise StackError(
                "The database server of the profile postgres is not running.",
                "What is in the database can only be had from it.",
                "COMPOSE_PROFILES=postgres ./stack up",
            )
        return found[0].id

    def is_running(self):
        return any(one.service == "web" and one.state == "running" for one in compose.containers(self.project))

    def stop(self):
        """Requests in flight are finished; Nginx answers 503 from then on."""
        console.run("stopping the app", compose.command("stop", "web"), env=self.env, fix="./stack status")

    def start(self):
        up = compose.command("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(HEALTHY_LIMIT))
        console.run("starting the app", up, env=self.env, fix="./stack logs web")


class Processes:
    """A command runs on this host, as the user of the plain processes."""

    def __init__(self):
        self.env = native.environment()

    def command(self, *words, terminal=False, **env):
        """The command line that runs `words` beside the app, with more environment variables."""
        return native.as_user(["env", *(f"{name}={value}" for name, value in env.items()), *words])

    def is_running(self):
        return bool(native.running())

    def stop(self):
        native.down()

    def start(self):
        native.up()


def describe(place):
    """What deploy/snapshot.py tells of the app's data, as a dict."""
    words = place.command("python3", "-m", "deploy.snapshot", "describe")
    told = console.capture(words, env=place.env)
    if told.returncode:
        raise StackError("The app's data cannot be looked at.", told.stderr.strip(), "./stack up")
    return json.loads(told.stdout)


@contextlib.contextmanager
def piped(title, argv, *, fix, env=None, **streams):
    """A step whose command's stdin or stdout is the caller's to write or read: yields the child and the step.

    A failure is a StackError that shows the end of what the command said.
    """
    step = console.Step(title)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        child = subprocess.Popen(argv, env=env, cwd=ROOT, stderr=said, **streams)
        try:
            with contextlib.suppress(BrokenPipeError):  # its status tells why
                yield child, step
        except BaseException:
            child.kill()
            child.wait()
            step.end("stopped")
            raise
        finally:
            for stream in filter(None, (child.stdin, child.stdout)):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if child.wait():
            step.end("failed")
            said.seek(0)
            lines = [line.rstrip() for line in said if line.strip()][-console.TAIL :]
            why = "\n".join(lines) or "It said nothing."
            raise StackError(f"'{title}' failed with status {child.returncode}.", why, fix)
    step.end()
