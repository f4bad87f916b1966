"""A second web container beside the one that serves, the handover to it, and the way back.

What is the case is read from Docker and from Nginx's link, never from a file of our own. So whatever an interruption
has left behind, be it by Ctrl-C, kill -9 or a power cut, the next call sees it and puts it right: `mend`.
"""

import contextlib
import fcntl
import json
import time
from dataclasses import dataclass

from cli import compose, console, engine, native, project
from cli.console import ROOT, say
from cli.nginx import NginxContainer
from deploy.errors import StackError
from deploy.settings import load_settings

READY_WITHIN = 90  # seconds from the container's start; the sample app takes one
TRIAL = 4  # seconds of real requests before the handover, for servers that die of their first ones
WATCH = 4  # seconds after it in which the way back is short
LOOK_EVERY = 0.2  # seconds
STAND_IN_WITHIN = 15  # seconds; a container that stands by looks every 10, with its health check
LOG_LINES = 15

# More 5xx than this share of the watched answers, and twice the share before, is the new container's doing.
BAD_SHARE = 0.05
BAD_AT_LEAST = 3
BEFORE = 30  # seconds before the handover that it is compared with


@dataclass(frozen=True)
class Change:
    """What is to serve from now on."""

    title: str  # of the whole, as in "the switch to uwsgi"
    image: str  # its name, as Compose has it
    server: str = ""  # instead of the one that shell or .env name
    build: bool = False
    allow_breaking: bool = False
    ready_within: float = READY_WITHIN
    paths: tuple = ()  # asked in the trial instead of the front page

    @property
    def env(self):
        """The environment of Compose's calls."""
        return {**compose.environment(), **({"WSGI_SERVER": self.server} if self.server else {})}


def add_arguments(parser):
    """The options of every verb that replaces the web container."""
    parser.add_argument("--allow-breaking", action="store_true", help="run migrations that are marked as breaking")
    parser.add_argument(
        "--ready-within",
        type=float,
        default=READY_WITHIN,
        metavar="SECONDS",
        help=f"how long the new container may take to be ready: {READY_WITHIN}",
    )
    parser.add_argument(
        "--try",
        action="append",
        default=[],
        dest="paths",
        metavar="PATH",
        help="a path that must not answer with a 5xx before the handover: / ; may be given again",
    )


def require():
    """A working engine with containers, or a StackError."""
    if native.running():
        raise StackError(
            "The stack runs as plain processes here, which can't be handed over.",
            "They share one set of folders and one master; a second set beside the first needs containers.",
            "./stack up --native --server NAME   (stops and starts: two seconds without an answer)",
        )
    engine.require()


def replace(stack, old, change):
    """Lets a new web container take the place of `old`, which serves, without a failed request.

    A StackError if it can't; `old` serves still then, or again.
    """
    began = time.monotonic()
    try:
        _prepare(old, change)
        new = _start_beside(stack, old, change)
        _await_ready(stack, new, change.ready_within)
        _try_out(stack, new, change.paths)
        _hand_over(stack, new)
    except BaseException as error:
        keep_only(stack, old)
        if isinstance(error, StackError):
            raise _taken_back(change, old, error) from None
        say(f"{change.title[0].upper()}{change.title[1:]} was taken back: {server(old)} serves as before.")
        raise
    if change.server:
        project.save_server(change.server)
    keep_only(stack, new)
    say(
        f"  {new.name} ({server(new)}) serves instead of {old.name} ({server(old)}), "
        f"after {time.monotonic() - began:.1f} s."
    )


@contextlib.contextmanager
def alone():
    """Held by one call at a time, and let go by the kernel however that ends; a StackError for the second."""
    with (ROOT / "docker-compose.yml").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                "Another ./stack switch, release or up is at work in this folder.",
                "Two at once would take each other's containers for leftovers.",
                "./stack status   (and this again, when that one is done)",
            ) from None
        _await_orphan()
        yield


def _await_orphan():
    """Compose goes on when a ./stack that called it is killed: what it makes would come after `mend` has looked."""
    with _compose_lock() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step("waiting for a Compose call that an interrupted ./stack has left"):
                fcntl.flock(file, fcntl.LOCK_EX)


def _compose_lock():
    """Held by Compose itself while it makes the second container."""
    return (ROOT / "Dockerfile").open()


def webs(stack):
    """The web containers, the newest last."""
    return [one for one in compose.containers(stack) if one.service == "web"]


def serving(stack, front):
    """The running web container that Nginx's link leads to; None if there is none."""
    host, _ = front.serving()
    return next((one for one in webs(stack) if one.hostname == host and one.state == "running"), None)


def serves(stack):
    """Whether there is a web container that could hand over."""
    try:
        return serving(stack, NginxContainer.of(stack)) is not None
    except StackError:
        return False


def server(one):
    """The name of the container's WSGI server."""
    return _setting(one, "WSGI_SERVER")


def _setting(one, name):
    """A value that the container was made with; not checked, since what it was made of may be another release."""
    return one.environment.get(name) or load_settings({}, only={name})[name]


# --- what an interruption has left ----------------------------------------------------------------------------


def mend(stack):
    """The one container that serves, after what an interrupted call has left beside it is gone; says what it did."""
    front = NginxContainer.of(stack)
    one = _await_serving(stack, front)
    if len(webs(stack)) == 1:
        return one
    others = ", ".join(f"{other.name} ({server(other)}, {other.state})" for other in webs(stack) if other != one)
    say(f"An earlier change was interrupted. {one.name} ({server(one)}) serves; beside it there is {others}.")
    if one.environment["WSGI_SERVER"] not in ("", _configured_server()):
        project.save_server(server(one))
    keep_only(stack, one)
    return one


def _configured_server():
    return compose.config()["services"]["web"]["environment"]["WSGI_SERVER"]


def _await_serving(stack, front):
    deadline = time.monotonic() + STAND_IN_WITHIN
    while time.monotonic() < deadline:
        one = serving(stack, front)
        if one:
            return one
        time.sleep(LOOK_EVERY)
    raise StackError(
        "No web container serves, so there is none that could hand over.",
        "Nginx's link leads to a container that does not run, and no other is ready.",
        "./stack up",
    )


def keep_only(stack, one):
    """Back to one web container: Nginx is pointed at it, every other is drained, stopped and removed.

    Then `docker compose up` has nothing to change: the image's name means what that one runs, and there is no container
    of the migrations, which perhaps were those of another image; Compose would replace it, and web with it.
    """
    front = NginxContainer.of(stack)
    if front.serving()[0] != one.hostname:
        point_at(one)
    for other in webs(stack):
        if other.id != one.id:
            _retire(front, other)
    for migrate in _migrates(stack):
        _remove(migrate)
    if image_id(one.image) != one.image_id:
        console.capture(["docker", "tag", one.image_id, one.image])


def image_id(name):
    """The id of the image that the name means now."""
    return console.capture(["docker", "image", "inspect", "--format", "{{.Id}}", name]).stdout.strip()


def _retire(front, one):
    """Lets a container finish what it has, then stops and removes it."""
    with console.step(f"letting {one.name} ({server(one)}) finish, and removing it") as step:
        if one.state == "running":
            _drain(front, one, step)
        _remove(one)


def _remove(one):
    """Stops a container by its own signal, within its own grace, and removes it."""
    console.capture(["docker", "stop", one.id], timeout=90)
    console.capture(["docker", "rm", "--force", one.id])


def _migrates(stack):
    return [one for one in compose.containers(stack) if one.service == "migrate"]


def _drain(front, one, step):
    """Waits until nothing that Nginx has sent to the container is unanswered.

    A server that is told to stop closes its socket, and with it whatever waits there to be accepted. What takes longer
    than a request may is left to SHUTDOWN_GRACE.
    """
    longest = int(_setting(one, "REQUEST_TIMEOUT")) + 5
    while step.seconds < longest and (left := front.connections(one.hostname)):
        step.tick(f"{left} requests in flight")
        time.sleep(LOOK_EVERY)


# --- the steps ------------------------------------------------------------------------------------------------


def _prepare(old, change):
    """The image, and whether its migrations let the old container go on."""
    if change.build:
        console.run("building the image", compose.command("build", "web"), env=change.env, fix="./stack release")
    elif change.server and image_id(change.image) != old.image_id:
        say(f"  {change.image} is not the image of {old.name}: it is released too.")
    if not change.allow_breaking:
        _refuse_breaking(old, change.image)


def _refuse_breaking(old, image):
    ask = ["python3", "-m", "deploy.breaking_migrations"]
    shown = console.capture(["docker", "run", "--rm", "--no-healthcheck", "--network", "none", image, *ask])
    if shown.returncode:
        raise StackError("The new image can't be asked for its migrations.", shown.stderr.strip(), "./stack status")
    known = json.loads(console.capture(["docker", "exec", old.id, *ask]).stdout or "{}")
    found = {path: reason for path, reason in json.loads(shown.stdout).items() if path not in known}
    if found:
        raise StackError(
            "a migration is marked as breaking",
            "\n".join(f"{path}: {reason}" for path, reason in found.items())
            + "\nThe container that serves would meet a database that it can't work with.",
            "release what works with both schemas first (docs/guides/release-and-roll-back.md), or: "
            "./stack release --allow-breaking",
        )


def _start_beside(stack, old, change):
    """The new container: Compose runs the migrations, then makes it a second one of its service.

    --no-recreate leaves all others as they are, so those of `migrate` have to go first. Not --no-deps: a container that
    Compose makes without its dependencies has another hash, and the next `docker compose up` would replace it.
    """
    for migrate in _migrates(stack):
        _remove(migrate)
    words = ("up", "--detach", "--no-build", "--no-recreate", "--scale", "web=2", "web")
    title = "running the migrations, then starting a second web container"
    try:
        with _compose_lock() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            console.run(title, compose.command(*words), env=change.env, fix="./stack status", keep_open=[file.fileno()])
    except StackError as problem:
        raise _migration_failed(stack) or problem from None
    image = image_id(change.image)
    for one in webs(stack):
        if one.id != old.id and one.image_id == image and change.server in ("", server(one)):
            return one
    raise StackError("the second container is not what was asked for", "Another call was at work.", "./stack status")


def _migration_failed(stack):
    """The StackError of the migrations, if it was they that failed."""
    for one in _migrates(stack):
        if one.exit_code:
            reason = f"the migrations ended with status {one.exit_code}"
            return StackError(reason, _last_lines(one.id), "mend them, and then this again")
    return None


def _await_ready(stack, new, within):
    with console.step(f"waiting until {new.name} is ready") as step:
        while (now := _look(stack, new)).health != "healthy":
            if step.seconds > within:
                asked = console.capture(["docker", "exec", new.id, "deploy/health"])
                said = (asked.stdout + asked.stderr).strip()
                raise _failed(new, f"it was not ready within {within:.0f} s: its health check says {said!r}")
            step.tick(now.health)
            time.sleep(LOOK_EVERY)


def _look(stack, new):
    """The container as it is now; a StackError if it has ended, even if it was started again since."""
    now = next((one for one in webs(stack) if one.id == new.id), None)
    if now is None or now.state != "running" or now.restarts:
        status = f" with status {now.exit_code}" if now and now.exit_code else ""  # not told once it runs again
        raise _failed(new, f"it ended{status}")
    return now


def _try_out(stack, new, paths):
    with console.step(f"trying it out for {TRIAL} s"):
        trial = ["python3", "-m", "deploy.smoke_check", str(TRIAL), *(paths or ["/"])]
        tried = console.capture(["docker", "exec", new.id, *trial])
        _look(stack, new)
        if tried.returncode:
            raise _failed(new, (tried.stderr + tried.stdout).strip().splitlines()[-1])


def _hand_over(stack, new):
    """Points Nginx at the new container, and watches what comes of it."""
    front = NginxContainer.of(stack)
    began = time.time()
    before = front.answers(began - BEFORE, began)
    with console.step("handing over"):
        point_at(new)
    with console.step(f"watching it for {WATCH} s") as step:
        while step.seconds < WATCH:
            step.tick()
            _look(stack, new)
            time.sleep(LOOK_EVERY)
        answers, bad = front.answers(began)
        if bad >= BAD_AT_LEAST and bad / answers > max(BAD_SHARE, 2 * before[1] / max(before[0], 1)):
            raise _failed(new, f"{bad} of its first {answers} answers were a 5xx, {before[1]} of {before[0]} before")
        if console.capture(["docker", "exec", new.id, "deploy/health"]).returncode:
            raise _failed(new, "it is not ready any more")


def point_at(one):
    """Lets Nginx's link lead to the container, from inside it."""
    done = console.capture(["docker", "exec", one.id, "python3", "-m", "deploy.handover"])
    if done.returncode:
        raise StackError(f"Nginx could not be pointed at {one.name}", done.stderr.strip(), "./stack status")


# --- what is said ---------------------------------------------------------------------------------------------


def _failed(new, reason):
    """The StackError of the new container; it is removed soon, and its log with it."""
    return StackError(reason, _last_lines(new.id), "mend it, and then this again; ./stack status tells what serves")


def _last_lines(container):
    shown = console.capture(["docker", "logs", "--tail", str(LOG_LINES), container])
    return f"Its last lines:\n{(shown.stdout + shown.stderr).strip()}"


def _taken_back(change, old, problem):
    return StackError(
        f"{change.title[0].upper()}{change.title[1:]} was taken back: {problem.error.rstrip('.')}.",
        f"{problem.cause}\n{old.name} ({server(old)}) serves as before.",
        problem.fix,
        problem.status,
    )
