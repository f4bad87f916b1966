"""Bring back what ./stack backup has saved.

The file is checked first, then put beside the data that is there and brought to this release's schema. Only when all
that went well the app is stopped for the seconds that the exchange takes. If it does not start again with the
restored data, what was there before comes back. It asks first, or wants --yes.
"""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from cli import archive, console, deployment, postgres
from cli.commands.backup import check_kind, in_words
from cli.console import say
from deploy.errors import StackError

GROUP = "Data"


def add_arguments(parser):
    """The options of `restore`."""
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args):
    """Check, prepare beside the live data, exchange."""
    backup = _read(args.file)
    with deployment.current() as here:
        found = deployment.describe(here)
        check_kind(found)
        _check_same_database(backup.manifest, found, args.file)
        if not args.yes:
            _confirm(backup.manifest, args.file)
        restored = Restored(here, backup, found)
        restored.prepare()
        restored.exchange()
        restored.forget()
    say(f"\n  Restored: {in_words(backup.manifest)}, as of {backup.manifest['made_at']}.")
    return 0


def _read(path):
    step = console.Step(f"checking {path.name}")
    try:
        backup = archive.Archive(path, step.tick)
    except StackError:
        step.end("failed")
        raise
    step.end()
    return backup


def _check_same_database(manifest, found, path):
    if (manifest["kind"], manifest["file"]) == (found["kind"], found["file"]):
        return
    setting = {
        "postgresql": "COMPOSE_PROFILES=postgres",
        "sqlite": f"DATABASE_URL=sqlite:///{found['folder']}/{manifest['file']}",
    }[manifest["kind"]]
    raise StackError(
        f"{path} is a backup of {in_words(manifest)}, and this stack runs on {in_words(found)}.",
        "One cannot be put into the other. Nothing was changed.",
        f"{setting} ./stack up, and with the same setting: ./stack restore {path}",
    )


def _confirm(manifest, path):
    if not sys.stdin.isatty():
        raise StackError(
            "A restore replaces the data of the stack, and nobody is here to be asked.",
            "What has been written since the backup will be gone.",
            f"./stack restore {path} --yes",
        )
    answer = input(f"This replaces the data by {in_words(manifest)}, as of {manifest['made_at']}. Type yes: ")
    if answer.strip().lower() != "yes":
        raise StackError("Not confirmed.", "Nothing was changed.", f"./stack restore {path}")


class Restored:
    """The data of a backup beside the live data, and its way into its place."""

    def __init__(self, here, backup, found):
        self.here, self.backup, self.found = here, backup, found
        self.server = postgres.Server(here.postgres()) if found["kind"] == "postgresql" else None
        self.was_running = here.is_running()

    def prepare(self):
        """All that can fail: unpack, load, and run the release command on the copy."""
        try:
            self._fill("unpacking", archive.STATE, self._snapshot("unpack"), self.here.env)
            if self.server:
                self.server.make_empty()
                self._fill("loading PostgreSQL", archive.DUMP, self.server.load())
            self._release()
        except BaseException:
            self.forget()
            raise

    def _release(self):
        release, manifest = self.here.command("deploy/release", **self._places()), self.backup.manifest
        try:
            console.run("bringing it to this release's schema", release, env=self.here.env, fix="./stack up")
        except StackError as problem:
            raise StackError(
                f"This release cannot use the backup, {in_words(manifest)}: its release command refuses it.",
                f"{problem.cause}\nRelease {manifest['release']} has made it; is that newer? Nothing was changed.",
                f"git checkout {manifest['release'].removesuffix('-dirty')}, ./stack up, and the same restore again",
            ) from None

    def _places(self):
        """The contract's names for the copy."""
        folder = f"{self.found['folder']}/.restore/new"
        url = postgres.RESTORED_URL if self.server else f"sqlite:///{folder}/{self.found['file']}"
        return {"STATE_DIRECTORY": folder, "DATABASE_URL": url}

    def exchange(self):
        """Put it in place while the app stands still; put everything back if the app does not start with it."""
        way_back = []
        try:
            for step, undo in self._steps():
                way_back.append(undo)
                step()
        except BaseException:
            say("  Going back to the data from before.")
            for undo in reversed(way_back):
                undo()
            self.forget()  # not if going back failed: then the old data is still needed
            raise

    def _steps(self):
        """What is done, each with what undoes it, even when it was done by half."""
        steps = [(partial(self._state, "swap"), partial(self._state, "undo"))]
        if self.server:
            steps.insert(0, (self.server.swap, self.server.undo))
        if self.was_running:
            steps = [(self.here.stop, self.here.start), *steps, (self.here.start, self.here.stop)]
        return steps

    def _state(self, way):
        console.run(f"exchanging the data ({way})", self._snapshot(way), env=self.here.env, fix="./stack status")

    def forget(self):
        """Leave nothing beside the live data."""
        if self.server:
            self.server.forget()
        console.capture(self._snapshot("forget"), env=self.here.env)

    def _snapshot(self, step):
        return self.here.command("python3", "-m", "deploy.snapshot", step)

    def _fill(self, title, name, argv, env=None):
        with (
            deployment.piped(
                title, argv, env=env, fix="./stack status", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            ) as (child, _),
            self.backup.open(name) as source,
        ):
            shutil.copyfileobj(source, child.stdin, archive.CHUNK)
