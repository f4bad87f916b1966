"""Roll out a second web container beside the active one, hand over to it, and roll back if it fails.

The current state is read from Docker and from the link that Nginx follows, never from a file of ./stack. The next
`switch`, `release` or `up` therefore detects and repairs the remains of an interrupted one (Ctrl-C, kill -9, power
cut): `repair`.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from dataclasses import dataclass

from cli import compose, console, engine, native, project
from cli.console import ROOT, say
from cli.nginx import NginxContainer
from deploy.errors import StackError
from deploy.settings import load_settings

READY_WITHIN = 90  # seconds from the start of the container; the sample app needs one
SMOKE_CHECK_MARGIN = 60  # seconds beyond its duration, for its last request and a busy machine
POLL_EVERY = 0.2  # seconds
# A standby container whose active one is gone promotes itself at its next health check, and those run every 10 s.
PROMOTED_WITHIN = 15  # seconds


@dataclass(frozen=True)
class RolloutPlan:
    """What to roll out, and how careful to be.

    title: for messages, as in "the switch to uwsgi". image: its name, from Compose. server: the WSGI server; empty
    means the configured one. smoke_paths: requested in the smoke check instead of the front page.
    """

    title: str
    image: str
    server: str = ""
    build: bool = False
    allow_breaking: bool = False
    ready_within: float = READY_WITHIN
    smoke_paths: tuple = ()

    @property
    def env(self):
        """The environment of the Compose calls."""
        return {**compose.environment(), **({"WSGI_SERVER": self.server} if self.server else {})}

    @property
    def sentence_start(self):
        """The title at the start of a sentence."""
        return self.title[0].upper() + self.title[1:]


def add_arguments(parser):
    """Add the options that `switch` and `release` share."""
    parser.add_argument(
        "--allow-breaking",
        action="store_true",
        help="also run migrations that may break the active release (docs/guides/release-and-roll-back.md)",
    )
    parser.add_argument(
        "--ready-within",
        type=float,
        default=READY_WITHIN,
        metavar="SECONDS",
        help=f"roll back if the new container is not ready by then; default: {READY_WITHIN}",
    )
    parser.add_argument(
        "--try",
        action="append",
        default=[],
        dest="smoke_paths",
        metavar="PATH",
        help="a path that must not answer with a 5xx, before and after the handover; default: /; can be repeated",
    )


def require_engine():
    """Raise StackError unless containers can be used."""
    if native.running():
        raise StackError(
            "The stack runs as plain processes, and those cannot be rolled out without downtime.",
            "They share their folders and one supervisor. A second set beside the first requires containers.",
            "./stack up --native --server NAME   (stops and starts the processes: about two seconds of downtime)",
        )
    engine.require()


def roll_out(stack, old, plan):
    """Replace the active container `old` by a new one without a failed request.

    Raise StackError if the new container fails; `old` is then still active, or active again.
    """
    started = time.monotonic()
    settings = compose.load_host_settings()
    try:
        _prepare(old, plan)
        new = _start_standby(stack, old, plan)
        _await_ready(stack, new, plan.ready_within)
        _smoke_check(stack, old, new, plan.smoke_paths, int(settings["SMOKE_CHECK_DURATION"]))
        _hand_over(new)
        _watch(stack, old, new, plan.smoke_paths, int(settings["WATCH_DURATION"]))
    except BaseException as error:
        retire_others(stack, old)
        if isinstance(error, StackError):
            raise _rollback_error(plan, old, error) from None
        say(f"{plan.sentence_start} was rolled back: {server_of(old)} is still active.")
        raise
    if plan.server:
        project.save_server(plan.server)
    retire_others(stack, new)
    say(
        f"  {new.name} ({server_of(new)}) has replaced {old.name} ({server_of(old)}) "
        f"in {time.monotonic() - started:.1f} s."
    )


@contextlib.contextmanager
def exclusive():
    """Let one rollout run at a time; a second one gets a StackError. The kernel releases the lock in any case."""
    with _lock_file("rollout.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "It has just started."
            raise StackError(
                "Another ./stack switch, release or up is running in this folder.",
                f"Concurrent runs would remove each other's containers. {holder}",
                "./stack status   (when the other run has finished, repeat this command)",
            ) from None
        _await_orphaned_compose()
        file.truncate(0)
        words = " ".join(["./stack", *sys.argv[1:]])
        print(f"{words} (PID {os.getpid()}) has been running since {time.strftime('%F %T %Z')}.", file=file, flush=True)
        yield
        file.truncate(0)


def _lock_file(name):
    """Open a file to lock, for writing: NFS refuses exclusive locks of other files.

    No file of the repository: after a `git checkout` its name would mean another file, without the lock.
    """
    path = ROOT / ".stack" / name
    try:
        path.parent.mkdir(exist_ok=True)
        return path.open("a+")
    except PermissionError as error:
        raise StackError(
            f"{path} cannot be written: {error.strerror}.",
            "Another user has run ./stack in this folder, perhaps root.",
            f"sudo chown {os.getuid()} {path.parent} {path}",
        ) from None


def _await_orphaned_compose():
    """Wait for a Compose call of a killed ./stack: it would create a container after `repair` has looked for them."""
    with _compose_lock() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step("waiting for the Compose call of an interrupted ./stack"):
                fcntl.flock(file, fcntl.LOCK_EX)


def _compose_lock():
    """Open the file that the call of Compose itself keeps locked while it creates the second container."""
    return _lock_file("compose.lock")


def web_containers(stack):
    """The web containers, the newest last."""
    return [container for container in compose.containers(stack) if container.service == "web"]


def active_container(stack, nginx):
    """The running web container that Nginx's link points to, or None."""
    hostname, _ = nginx.active()
    running = (container for container in web_containers(stack) if container.state == "running")
    return next((container for container in running if container.hostname == hostname), None)


def has_active_container(stack):
    """Whether a web container is active, so that it could hand over."""
    try:
        return active_container(stack, NginxContainer.of(stack)) is not None
    except StackError:
        return False


def server_of(container):
    """The WSGI server of a container."""
    return _setting(container, "WSGI_SERVER")


def _setting(container, name):
    """A setting of a container, unchecked: the container may belong to a release with other checks."""
    return container.environment.get(name) or load_settings({}, only={name})[name]


# --- repair -----------------------------------------------------------------------------------------------------------


def repair(stack):
    """Return the active container, after the remains of an interrupted rollout have been reported and removed."""
    nginx = NginxContainer.of(stack)
    active = _await_active(stack, nginx)
    others = [container for container in web_containers(stack) if container.id != active.id]
    if not others:
        return active
    listed = ", ".join(f"{other.name} ({server_of(other)}, {other.state})" for other in others)
    say(f"An earlier rollout was interrupted. {active.name} ({server_of(active)}) is active; to be removed: {listed}.")
    if active.environment.get("WSGI_SERVER", "") not in ("", _configured_server()):
        project.save_server(server_of(active))
    retire_others(stack, active)
    return active


def _configured_server():
    """WSGI_SERVER from the shell or .env; empty if it is unset."""
    return project.web_environment(compose.config()).get("WSGI_SERVER") or ""


def _await_active(stack, nginx):
    deadline = time.monotonic() + PROMOTED_WITHIN
    while time.monotonic() < deadline:
        active = active_container(stack, nginx)
        if active:
            return active
        time.sleep(POLL_EVERY)
    raise StackError(
        "No web container is active, so there is none that could hand over.",
        "Nginx's link points to a container that does not run, and no standby container is ready.",
        "./stack up",
    )


def retire_others(stack, active):
    """Promote `active` if it is not active yet, then drain, stop and remove all other web containers.

    Afterwards `docker compose up` has nothing to change. For that, the image's name must mean the image that `active`
    runs. The containers of `migrate` are removed as well: Compose would replace one of another image, and web with it.
    """
    nginx = NginxContainer.of(stack)
    if nginx.active()[0] != active.hostname:
        promote(active)
    for other in web_containers(stack):
        if other.id != active.id:
            _retire(nginx, other)
    for container in _migrate_containers(stack):
        _remove(container)
    if image_id(active.image) != active.image_id:
        console.capture(["docker", "tag", active.image_id, active.image])


def image_id(name):
    """The ID of the image that a name means at the moment."""
    return console.capture(["docker", "image", "inspect", "--format", "{{.Id}}", name]).stdout.strip()


def _retire(nginx, container):
    with console.step(f"draining and removing {container.name} ({server_of(container)})") as step:
        if container.state == "running":
            _drain(nginx, container, step)
        _remove(container)


def _remove(container):
    """Stop a container by its own stop signal, within its own grace period, and remove it."""
    console.capture(["docker", "stop", container.id], timeout=90)
    console.capture(["docker", "rm", "--force", container.id])


def _migrate_containers(stack):
    return [container for container in compose.containers(stack) if container.service == "migrate"]


def _drain(nginx, container, step):
    """Wait until the container has answered all requests that Nginx has sent to it.

    A server that gets its stop signal closes its socket and drops the connections that wait in the backlog. Requests
    that outlast REQUEST_TIMEOUT are left to SHUTDOWN_GRACE.
    """
    limit = int(_setting(container, "REQUEST_TIMEOUT")) + 5
    while step.seconds < limit and (in_flight := nginx.connections(container.hostname)):
        step.tick(f"{in_flight} requests in flight")
        time.sleep(POLL_EVERY)


# --- the steps of a rollout -------------------------------------------------------------------------------------------


def _prepare(old, plan):
    """Build the image, and check that the old container can work with the database after the migrations."""
    if plan.build:
        console.run("building the image", compose.command("build", "web"), env=plan.env, fix="./stack release")
    elif plan.server and image_id(plan.image) != old.image_id:
        say(f"  {plan.image} is newer than the image of {old.name}, so the switch also releases it.")
    if not plan.allow_breaking:
        _refuse_breaking_migrations(old, plan.image)


def _refuse_breaking_migrations(old, image):
    list_breaking = ["python3", "-m", "deploy.breaking_migrations"]
    listed = console.capture(["docker", "run", "--rm", "--no-healthcheck", "--network", "none", image, *list_breaking])
    if listed.returncode:
        raise StackError("The migrations of the new image cannot be read.", listed.stderr.strip(), "./stack status")
    # Not the old container's own list: its release may know less about migrations that break.
    find = ["find", ".", "-path", "*/migrations/*", "-name", "*.py"]
    applied = console.capture(["docker", "exec", old.id, *find]).stdout.splitlines()
    breaking = {path: reason for path, reason in json.loads(listed.stdout).items() if f"./{path}" not in applied}
    if breaking:
        raise StackError(
            "A migration may break the active release.",
            "\n".join(f"{path}: {reason}" for path, reason in breaking.items())
            + "\nThe active container works with the database until the handover, and again after a rollback.",
            "./stack release --allow-breaking   (or first release code that works with both schemas: "
            "docs/guides/release-and-roll-back.md)",
        )


def _start_standby(stack, old, plan):
    """Run the migrations and start the new container, as a second one of the service `web`.

    --no-recreate leaves all existing containers alone, so those of `migrate` are removed first. --no-deps is no
    alternative: without its dependencies a container gets another configuration hash, and the next `docker compose up`
    would replace it.
    """
    for container in _migrate_containers(stack):
        _remove(container)
    words = ("up", "--detach", "--no-build", "--no-recreate", "--scale", "web=2", "web")
    title = "running the migrations, then starting a second web container"
    try:
        with _compose_lock() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            console.run(title, compose.command(*words), env=plan.env, fix="./stack status", keep_open=[file.fileno()])
    except StackError as error:
        raise _migration_error(stack) or error from None
    image = image_id(plan.image)
    for container in web_containers(stack):
        if container.id != old.id and container.image_id == image and plan.server in ("", server_of(container)):
            return container
    raise StackError(
        "The second web container does not run the requested image and server.",
        "Another program has changed the containers of this project at the same time.",
        "./stack status",
    )


def _migration_error(stack):
    """The StackError of failed migrations; None if something else failed."""
    for container in _migrate_containers(stack):
        if container.exit_code:
            return StackError(
                f"The migrations exited with status {container.exit_code}.",
                _log_cause(container),
                "./stack release   (after correcting the migration)",
            )
    return None


def _await_ready(stack, new, within):
    with console.step(f"waiting until {new.name} is ready") as step:
        while (current := _require_running(stack, new)).health != "healthy":
            if step.seconds > within:
                check = console.capture(["docker", "exec", new.id, "deploy/health"])
                output = (check.stdout + check.stderr).strip() or console.NO_OUTPUT
                raise _failure(new, f"it was not ready within {within:g} s; its health check says: {output}")
            step.tick(current.health)
            time.sleep(POLL_EVERY)


def _require_running(stack, new):
    """The container in its current state; StackError if it has exited, even if Docker has restarted it since."""
    current = next((container for container in web_containers(stack) if container.id == new.id), None)
    if current is None or current.state != "running" or current.restarts:
        status = f" with status {current.exit_code}" if current and current.exit_code else ""  # 0 after a restart
        raise _failure(new, f"it exited{status}")
    return current


def _smoke_check(stack, old, new, paths, duration):
    with console.step(f"running the smoke check for {duration} s"):
        _require_responses(stack, old, new, paths, duration)


def _hand_over(new):
    with console.step("handing over"):
        promote(new)


def _watch(stack, old, new, paths, duration):
    with console.step(f"watching it for {duration} s"):
        _require_responses(stack, old, new, paths, duration, "--watch")


def _require_responses(stack, old, new, paths, duration, *mode):
    """Raise StackError if requests of our own fail in the new container, and not in the same way in the old one.

    Responses to clients do not count: clients can cause any status, and could have every release rolled back.
    """
    failed = _request(new, mode, duration, paths)
    _require_running(stack, new)
    if failed.returncode:
        old_failed, reason = _request(old, (), duration, paths), _last_line(failed)
        # A reason starts with method and path.
        is_same = _last_line(old_failed).split()[:2] == reason.split()[:2]
        if not is_same or old_failed.returncode < failed.returncode:
            raise _failure(new, reason)


def _request(container, mode, duration, paths):
    """Run deploy/smoke_check.py in a container."""
    words = ["python3", "-m", "deploy.smoke_check", *mode, str(duration), *(paths or ["/"])]
    return console.capture(["docker", "exec", container.id, *words], timeout=duration + SMOKE_CHECK_MARGIN)


def _last_line(done):
    return ((done.stderr + done.stdout).strip() or console.NO_OUTPUT).splitlines()[-1]


def promote(container):
    """Point Nginx's link to the container; the command for that runs in the container itself."""
    done = console.capture(["docker", "exec", container.id, "python3", "-m", "deploy.handover"])
    if done.returncode:
        raise StackError(f"{container.name} could not be promoted.", done.stderr.strip(), "./stack status")


# --- errors -----------------------------------------------------------------------------------------------------------


def _failure(new, reason):
    """The StackError of a new container, with its last log lines: the container and its log are removed soon."""
    return StackError(reason, _log_cause(new), "./stack status   (then correct the app and repeat this command)")


def _log_cause(container):
    return f"Its last log lines:\n{compose.log_tail(container.id)}"


def _rollback_error(plan, old, error):
    first, _, rest = error.error.rstrip(".").partition(" ")
    reason = f"{first.lower() if first in ('A', 'The') else first} {rest}"
    return StackError(
        f"{plan.sentence_start} was rolled back: {reason}.",
        f"{error.cause}\n{old.name} ({server_of(old)}) is still active.",
        error.fix,
        error.status,
    )
