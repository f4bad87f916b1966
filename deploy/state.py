"""What must survive a container: checks that its directory can be written, and keeps the generated SECRET_KEY there."""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.settings import setting_error


def require_writable(variable: str, folder: str, instead: str = "") -> None:
    """Raises StackError unless files can be made in the folder, which `variable` names.

    `instead` names a variable that does without the folder.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        owner = f"uid {os.getuid()}"
        raise setting_error(
            variable,
            f"{folder} cannot be written by {owner}: {error.strerror}",
            "nothing that is saved there would be kept",
            f"give the folder or volume to {owner} (chown -R {os.getuid()}:{os.getgid()} …), or name another one"
            + (f"; where files do not last, set {instead}" if instead else ""),
        ) from None


def secret_key(settings: Mapping[str, str]) -> str:
    """The SECRET_KEY of this installation: made on the first start, the same for all containers and releases.

    The file appears under its name complete or not at all, so two containers that start at once agree on one key.
    """
    folder = Path(settings["STATE_DIRECTORY"])
    require_writable("STATE_DIRECTORY", str(folder), instead="SECRET_KEY")
    path = folder / "secret_key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="secret_key.") as draft:  # mode 0600
            draft.write(secrets.token_hex(32))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another container was first
                os.link(draft.name, path)
    return path.read_text().strip()


@contextlib.contextmanager
def lock(settings: Mapping[str, str], name: str) -> Iterator[None]:
    """Held by one at a time among all that share the state directory.

    On platforms whose files don't last there is none, nor anything to share: then it locks nothing. StackError if
    the database is to be a file in that directory.
    """
    folder = Path(settings["STATE_DIRECTORY"])
    if settings["DATABASE_URL"].startswith(f"sqlite:///{folder}/"):
        require_writable("STATE_DIRECTORY", str(folder), instead="DATABASE_URL")
    if not folder.is_dir():
        yield
        return
    require_writable("STATE_DIRECTORY", str(folder))
    with open(folder / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
