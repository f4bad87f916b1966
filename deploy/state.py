"""The state directory, which outlives containers: check its permissions, and keep the generated SECRET_KEY in it."""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.settings import setting_error


def require_writable(setting: str, folder: str, alternative: str = "") -> None:
    """Raise StackError unless files can be created in the folder, which is the value of `setting`.

    `alternative` is a setting that makes the folder unnecessary.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        owner = f"uid {os.getuid()}"
        raise setting_error(
            setting,
            f"{folder} cannot be written by {owner}: {error.strerror}",
            "files that the stack has to keep are stored there",
            f"change the owner of the folder or volume (chown -R {os.getuid()}:{os.getgid()} {folder}), or set "
            f"{setting} to another folder"
            + (f"; on platforms without persistent files set {alternative}" if alternative else ""),
        ) from None


def secret_key(settings: Mapping[str, str]) -> str:
    """The generated SECRET_KEY: created by the first start, and the same for all containers and releases.

    A lock lets containers that start together agree on one key, and the file gets its name when it is complete.
    """
    folder = Path(settings["STATE_DIRECTORY"])
    require_writable("STATE_DIRECTORY", str(folder), alternative="SECRET_KEY")
    path = folder / "secret_key"
    if not path.exists():
        with open(folder / "secret_key.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():  # no other container was first
                descriptor, draft = tempfile.mkstemp(dir=folder, prefix="secret_key.")  # mode 0600
                with open(descriptor, "w") as file:
                    file.write(secrets.token_hex(32))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, path)
    return path.read_text().strip()


@contextlib.contextmanager
def exclusive_lock(settings: Mapping[str, str], name: str) -> Iterator[None]:
    """Hold a lock that is exclusive among all processes that share the state directory.

    Platforms without persistent files have no state directory, and nothing to lock. Raises StackError if the database
    is a file in that directory and the directory cannot be written.
    """
    folder = Path(settings["STATE_DIRECTORY"])
    if settings["DATABASE_URL"].startswith(f"sqlite:///{folder}/"):
        require_writable("STATE_DIRECTORY", str(folder), alternative="DATABASE_URL")
    if not folder.is_dir():
        yield
        return
    require_writable("STATE_DIRECTORY", str(folder))
    with open(folder / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
