"""The running deployment, in containers or as plain processes: run commands with its data, stop it, start it."""

import contextlib
import json
import os
import subprocess
import tempfile

from cli import compose, console, engine, native
from cli.console import ROOT
from deploy.errors import StackError


@contextlib.contextmanager
def current():
    """Yield the plain processes if they run, otherwise the containers and one more for commands."""
    if native.running():
        yield Processes()
        return
    containers = Containers()
    with containers.command_container():
        yield containers


class Containers:
    """Commands run in an additional container with the image, settings and volumes of `web`."""

    def __init__(self):
        engine.require()
        self.project = compose.config()["name"]
        self.env = compose.environment()
        self.container = f"{self.project}-command-{os.getpid()}"

    @contextlib.contextmanager
    def command_container(self):
        """Start the container for commands, and remove it afterwards.

        It is a container of the service `migrate`, which is `web` without the health check: no server runs in it. It
        runs until its stdin is closed, so it also ends if ./stack is killed.
        """
        run = compose.command("run", "--rm", "--no-deps", "-T", "--name", self.container, "migrate")
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            # In a session of its own Ctrl-C reaches only ./stack, which may have to clean up in the container.
            child = subprocess.Popen(
                [*run, "sh", "-c", "echo started; exec cat"],
                env=self.env,
                cwd=ROOT,
                stderr=errors,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            with child:
                try:
                    if not child.stdout.readline():
                        errors.seek(0)
                        raise StackError("The container for commands does not start.", errors.read(), "./stack up")
                    yield
                finally:
                    console.capture(["docker", "rm", "--force", self.container])

    def command(self, *words, terminal=False, **env):
        """The command line that runs `words` in the container for commands; `env` adds environment variables."""
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        tty = ["--tty"] if terminal else []
        return ["docker", "exec", "--interactive", *tty, *variables, self.container, *words]

    def postgres_container(self):
        """The ID of the running container of the profile `postgres`."""
        for container in compose.containers(self.project):
            if container.service == "postgres" and container.state == "running":
                return container.id
        raise StackError(
            "The database server of the profile postgres is not running.",
            "The data in it can only be read and replaced while it runs.",
            "COMPOSE_PROFILES=postgres ./stack up",
        )

    def is_running(self):
        """Whether a web container runs."""
        containers = compose.containers(self.project)
        return any(container.service == "web" and container.state == "running" for container in containers)

    def stop(self):
        """Stop the app after its in-flight requests; Nginx answers 503 until `start`."""
        console.run("stopping the app", compose.command("stop", "web"), env=self.env, fix="./stack status")

    def start(self):
        """Start the app and wait until it is healthy."""
        console.run("starting the app", compose.up_command("--no-build"), env=self.env, fix="./stack logs web")


class Processes:
    """Commands run on this host, as the user of the plain processes."""

    def __init__(self):
        self.env = native.environment()

    def command(self, *words, terminal=False, **env):
        """The command line that runs `words` as that user; `env` adds environment variables."""
        return native.as_user(["env", *(f"{name}={value}" for name, value in env.items()), *words])

    def is_running(self):
        """Whether the processes run."""
        return bool(native.running())

    def stop(self):
        """Stop the processes gracefully."""
        native.down()

    def start(self):
        """Start the processes and wait for their first response."""
        native.up()


def describe_data(deployment):
    """Where the app keeps its data: the output of `deploy.snapshot describe`."""
    words = deployment.command("python3", "-m", "deploy.snapshot", "describe")
    described = console.capture(words, env=deployment.env)
    if described.returncode:
        raise StackError("The location of the app's data cannot be read.", described.stderr.strip(), "./stack up")
    return json.loads(described.stdout)


@contextlib.contextmanager
def streaming_step(title, argv, *, fix, env=None, **streams):
    """Run a command as one step while the caller reads its stdout or writes its stdin; yield (child, step).

    A failure is a StackError with the last lines of the command's stderr.
    """
    step = console.Step(title)
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.Popen(argv, env=env, cwd=ROOT, stderr=errors, **streams)
        try:
            with contextlib.suppress(BrokenPipeError):  # the child has exited; its status and stderr say why
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
            errors.seek(0)
            lines = [line.rstrip() for line in errors if line.strip()][-console.TAIL :]
            cause = "\n".join(lines) or console.NO_OUTPUT
            raise StackError(f"'{title}' failed with status {child.returncode}.", cause, fix)
    step.end()
