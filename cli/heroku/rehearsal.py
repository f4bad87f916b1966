"""The rehearsal: start a database, push, start every process type, run the smoke tests, stop the dynos."""

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
    """Push the commit and run its processes; False if the push was rejected and the reason printed."""
    with tempfile.TemporaryDirectory(prefix="tripod-heroku-") as folder, addon.postgres() as database:
        work = Path(folder)
        config = {"DATABASE_URL": database, "SECRET_KEY": secrets.token_hex(32), "WSGI_SERVER": server}
        output.step(f"git push heroku {commit}:main")
        if push.push_commit(ROOT, commit, work, config, CACHE):
            return False
        types = procfile.read((work / "slug" / "Procfile").read_text())
        with contextlib.ExitStack() as stack:
            workers = [
                stack.enter_context(dyno.start(work / "slug", f"{name}.1", command, config))
                for name, command in types.items()
                if name not in ("web", "release")
            ]
            _run_web(work / "slug", types["web"], config)
            for worker in workers:
                _stop(worker)
    return True


def _run_web(slug: Path, command: str, config: Mapping[str, str]) -> None:
    output.step(f"Starting process web.1 with command: {command}")
    with dyno.start(slug, "web.1", command, config) as web:
        output.detail(f"listening on port {web.port} after {web.await_boot():.1f} s (limit {dyno.BOOT} s)")
        output.step("Smoke tests")
        _smoke(web, config["WSGI_SERVER"])
        output.detail(f"memory: {web.limit.peak() // memory.MB} MB of {memory.DYNO // memory.MB} MB ({web.limit.kind})")
        _stop(web)


def _smoke(web: dyno.Dyno, server: str) -> None:
    tests = ["pytest", "tests/smoke", "--base-url", web.url, "--expect-server", server]
    if subprocess.run(tests, cwd=ROOT).returncode:
        raise StackError(
            "The smoke tests failed.",
            f"Last output of {web.name}:\n{web.tail()}",
            "./stack up && ./stack smoke   (the same tests, behind Nginx)",
        )


def _stop(running: dyno.Dyno) -> None:
    output.step(f"Stopping all processes of {running.name} with SIGTERM")
    count = len(running.processes())
    status, seconds = running.stop()
    output.detail(f"{count} processes exited with status {status} after {seconds:.1f} s (limit {dyno.EXIT} s)")
    if status:
        raise StackError(
            f"{running.name} exited with status {status} on SIGTERM.",
            f"In-flight requests may have been lost. Its last output:\n{running.tail()}",
            "check the signal handling of the server in deploy/servers/",
        )
