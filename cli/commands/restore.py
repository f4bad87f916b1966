"""Replace the data of the stack by a backup.

The file is checked, unpacked beside the live data and migrated to the schema of this release, while the app runs. Then
the app is stopped for the few seconds in which the data is exchanged. If the app does not start with the restored data,
the previous data is put back.

The command asks for confirmation. Without a terminal it requires --yes.

Examples:
  ./stack restore tripod-20261128-031500.zip         ask, then restore
  ./stack restore tripod-20261128-031500.zip --yes   restore without asking
"""

import shutil
import subprocess
from functools import partial
from pathlib import Path

from cli import archive, console, deployment, postgres
from cli.commands.backup import check_database, describe_database
from cli.console import say
from deploy.errors import StackError

GROUP = "Data"


def add_arguments(parser):
    """Add the arguments of `restore`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a file that ./stack backup has written")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def run(args):
    """Check the file, prepare the data beside the live data, and exchange them."""
    backup = _read(args.file)
    with deployment.current() as current:
        data = deployment.describe_data(current)
        check_database(data)
        _check_same_database(backup.manifest, data, args.file)
        if not args.yes:
            _confirm(backup.manifest, args.file)
        restore = Restore(current, backup, data)
        restore.prepare()
        restore.exchange()
        restore.discard()
    say(f"\n  Restored: {describe_database(backup.manifest)}, as of {backup.manifest['made_at']}.")
    return 0


def _read(path):
    with console.step(f"checking {path.name}") as step:
        return archive.Archive(path, step.tick)


def _check_same_database(manifest, data, path):
    if (manifest["kind"], manifest["file"]) == (data["kind"], data["file"]):
        return
    setting = {
        "postgresql": "COMPOSE_PROFILES=postgres",
        "sqlite": f"DATABASE_URL=sqlite:///{data['folder']}/{manifest['file']}",
    }[manifest["kind"]]
    raise StackError(
        f"{path} is a backup of {describe_database(manifest)}, but this stack runs on {describe_database(data)}.",
        "A backup can only be restored into the same kind of database. Nothing was changed.",
        f"{setting} ./stack up   (then, with the same setting: ./stack restore {path})",
    )


def _confirm(manifest, path):
    if not console.is_interactive():
        raise StackError(
            "A restore replaces all data, and stdin is not a terminal on which to confirm it.",
            "All data that was written since the backup is lost.",
            f"./stack restore {path} --yes",
        )
    backup = f"{describe_database(manifest)}, as of {manifest['made_at']}"
    say(f"This replaces all data of the stack by {backup}. All data that was written since then is lost.")
    if input("Type yes to continue: ").strip().lower() != "yes":
        raise StackError("The restore was not confirmed.", "Nothing was changed.", f"./stack restore {path}")


def _failure_of(revert):
    """Run a revert; return its exception, so that the other ones run too."""
    try:
        revert()
    except BaseException as error:
        return error
    return None


def _words(error):
    if isinstance(error, StackError):
        return f"{error.error} {error.cause}"
    return f"{type(error).__name__}: {error}".removesuffix(": ")


class Restore:
    """The restored data beside the live data, and the exchange of the two."""

    def __init__(self, current, backup, data):
        self.current, self.backup, self.data = current, backup, data
        self.server = postgres.Server(current.postgres_container()) if data["kind"] == "postgresql" else None
        self.was_running = current.is_running()

    def prepare(self):
        """Unpack the files, load the dump, and run the release command on this copy."""
        try:
            self._fill("unpacking the state directory", archive.STATE, self._snapshot("unpack"), self.current.env)
            if self.server:
                self.server.create_restored()
                self._fill("loading PostgreSQL", archive.DUMP, self.server.load_command())
            self._migrate()
        except BaseException:
            self.discard()
            raise

    def _migrate(self):
        migrate, manifest = self.current.command("deploy/release", **self._copy_settings()), self.backup.manifest
        try:
            console.run("migrating it to the schema of this release", migrate, env=self.current.env, fix="./stack up")
        except StackError as error:
            raise StackError(
                f"The release command failed on the backup: {describe_database(manifest)}.",
                f"{error.cause}\nThe backup was made by release {manifest['release']}, perhaps a newer one. "
                "Nothing was changed.",
                f"git checkout {manifest['release'].removesuffix('-dirty')} && ./stack up   (then restore again)",
            ) from None

    def _copy_settings(self):
        """The settings that make the release command work on the copy."""
        folder = f"{self.data['folder']}/.restore/new"
        url = postgres.RESTORED_URL if self.server else f"sqlite:///{folder}/{self.data['file']}"
        return {"STATE_DIRECTORY": folder, "DATABASE_URL": url}

    def exchange(self):
        """Exchange the data while the app is stopped; revert everything if the app does not start with it."""
        reverts = []
        try:
            for step, revert in self._steps():
                reverts.append(revert)
                step()
        except BaseException as error:
            say("  The restore failed. Putting the previous data back.")
            failures = [failure for revert in reversed(reverts) if (failure := _failure_of(revert))]
            if failures:  # the previous data is still needed, so nothing is discarded
                raise self._not_reverted(error, failures) from None
            self.discard()
            raise

    def _not_reverted(self, error, failures):
        """The error of a restore that failed and could not be reverted completely: what state everything is in."""
        kept = [f"The files that were replaced are in {self.data['folder']}/.restore/old of the state directory."]
        if self.server:
            kept.append(f"The previous database is {postgres.PREVIOUS}, if that exists, otherwise the live one.")
        state = "runs" if self.current.is_running() else "is stopped"
        reasons = "\n".join(_words(failure) for failure in failures)
        return StackError(
            f"The restore failed, and the previous data could not be put back completely. The app {state}.",
            f"The restore: {_words(error)}\nPutting the data back: {reasons}\n" + "\n".join(kept),
            "./stack status   (correct the cause, put the data back by hand, then: ./stack up)",
        )

    def _steps(self):
        """The steps, each with its revert, which also works after a step that failed halfway."""
        steps = [(partial(self._exchange_files, "swap"), partial(self._exchange_files, "revert"))]
        if self.server:
            steps.insert(0, (self.server.swap, self.server.revert))
        if self.was_running:
            steps = [(self.current.stop, self.current.start), *steps, (self.current.start, self.current.stop)]
        return steps

    def _exchange_files(self, step):
        title = {"swap": "replacing the data", "revert": "putting the previous data back"}[step]
        console.run(title, self._snapshot(step), env=self.current.env, fix="./stack status")

    def discard(self):
        """Remove everything beside the live data."""
        if self.server:
            self.server.discard()
        console.capture(self._snapshot("discard"), env=self.current.env)

    def _snapshot(self, step):
        return self.current.command("python3", "-m", "deploy.snapshot", step)

    def _fill(self, title, member, argv, env=None):
        """Run a command with a member of the archive as its stdin."""
        step = deployment.streaming_step(
            title, argv, env=env, fix="./stack status", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        with step as (child, _), self.backup.open(member) as source:
            shutil.copyfileobj(source, child.stdin, archive.CHUNK)
