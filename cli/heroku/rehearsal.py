"""The whole rehearsal: a database, the push, then every process type, smoke tests, and the end of the dynos."""

import contextlib
import secrets
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cli.heroku import addon, dyno, memory, output, procfile, push
from deploy.errors import StackError
from deploy.settings import ROOT

CACHE = ROOT / ".stack" / "heroku"


def rehearse(server: str, commit: str = "HEAD") -> bool:
    """Pushes the commit and runs what comes of it; False if it was rejected, which has said why. Raises StackError."""
    with tempfile.TemporaryDirectory(prefix="tripod-heroku-") as folder, addon.postgres() as database:
        work = Path(folder)
        config = {"DATABASE_URL": database, "SECRET_KEY": secrets.token_hex(32), "WSGI_SERVER": server}
        output.step(f"git push heroku {commit}:main")
        if push.push(ROOT, commit, work, config, CACHE):
            return False
        types = procfile.read((work / "slug" / "Procfile").read_text())
        with contextlib.ExitStack() as others:
            running = [
                others.enter_context(dyno.start(work / "slug", f"{name}.1", command, config))
                for name, command in types.items()
                if name not in ("web", "release")
            ]
            _run_web(work / "slug", types["web"], config)
            for worker in running:
                _end(worker)
    return True


def _run_web(slug: Path, command: str, config: Mapping[str, str]) -> None:
    output.step(f"Starting process web.1 with command: {command}")
    with dyno.start(slug, "web.1", command, config) as web:
        output.detail(f"listens on port {web.port} after {web.await_boot():.1f} s (limit {dyno.BOOT} s)")
        output.step("Smoke tests")
        _smoke(web, config["WSGI_SERVER"])
        output.detail(f"memory: {web.limit.peak() // memory.MB} MB of {memory.DYNO // memory.MB} MB ({web.limit.kind})")
        _end(web)


def _smoke(web: dyno.Dyno, server: str) -> None:
    tests = ["pytest", "tests/smoke", "--base-url", web.url, "--expect-server", server]
    if subprocess.run(tests, cwd=ROOT).returncode:
        raise StackError(
            "The smoke tests failed.",
            f"The last lines of {web.name}:\n{web.tail()}",
            "./stack up && ./stack smoke, where the same tests ask the same app behind Nginx",
        )


def _end(running: dyno.Dyno) -> None:
    output.step(f"Stopping all processes of {running.name} with SIGTERM")
    count = len(running.processes())
    status, seconds = running.stop()
    output.detail(f"{count} processes exited with status {status} after {seconds:.1f} s (limit {dyno.EXIT} s)")
    if status:
        raise StackError(
            f"{running.name} exited with status {status} on SIGTERM.",
            f"Requests in flight may have been cut. It said:\n{running.tail()}",
            "look at how deploy/servers/ stops this server",
        )
