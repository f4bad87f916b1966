"""deploy/state.py: one generated SECRET_KEY for all containers, writable folders, an exclusive lock."""

import os
import stat
import sys
import threading

import pytest

from deploy import state
from deploy.errors import StackError
from deploy.settings import load_settings
from tests.support.wsgi import python


def key_of(folder) -> str:
    """The generated key of a state directory."""
    return state.secret_key({"STATE_DIRECTORY": str(folder)})


def test_key_is_generated_once(tmp_path):
    """The first start generates a key of 256 bits that only its owner can read; later starts return the same key."""
    folder = tmp_path / "not" / "there" / "yet"
    key = key_of(folder)
    assert len(bytes.fromhex(key)) == 32
    assert key_of(folder) == key
    assert sorted(path.name for path in folder.iterdir()) == ["secret_key", "secret_key.lock"]
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600


def test_two_installations_have_two_keys(tmp_path):
    """The key is random, not derived from the machine."""
    assert key_of(tmp_path / "a") != key_of(tmp_path / "b")


def test_concurrent_processes_get_the_same_key(tmp_path):
    """Containers that start together have the same key."""
    code = """if 1:
        import multiprocessing, sys, time
        from deploy import state
        moment = time.time() + 0.2
        def main(queue):
            while time.time() < moment: pass
            queue.put(state.secret_key({"STATE_DIRECTORY": sys.argv[1]}))
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        workers = [context.Process(target=main, args=[queue]) for _ in range(6)]
        [worker.start() for worker in workers]
        print(len({queue.get(timeout=10) for _ in workers}))
        [worker.join() for worker in workers]
    """
    done = python(code, str(tmp_path))
    assert done.stdout.strip() == "1", done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret_key", "secret_key.lock"]


def test_concurrent_threads_get_the_same_key(tmp_path):
    """Concurrent callers in one process get the same key."""
    keys, errors, barrier = set(), [], threading.Barrier(4)

    def make():
        barrier.wait()
        try:
            keys.add(key_of(tmp_path))
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
    assert len(keys) == 1


def test_interrupted_first_start_can_be_repeated(tmp_path, monkeypatch):
    """A container that was killed while it generated the key can start again with the same host name and process id."""
    real_replace = os.replace

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    monkeypatch.setattr(type(tmp_path), "unlink", killed)  # a killed process cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        key_of(tmp_path)
    monkeypatch.undo()
    assert os.replace is real_replace
    assert len(key_of(tmp_path)) == 64


def test_key_needs_no_hard_link(tmp_path, monkeypatch):
    """SMB and some FUSE file systems have no hard links: the key is generated there too."""

    def refused(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert len(key_of(tmp_path)) == 64


@pytest.mark.parametrize("tail", ["", "below"])
def test_unwritable_state_directory_is_an_error(tmp_path, tail):
    """A state directory that cannot be written is an error of the setting."""
    (tmp_path / "file").write_text("")
    folder = os.path.join(tmp_path, "file", tail).rstrip("/")
    with pytest.raises(StackError) as error:
        key_of(folder)
    assert error.value.error.startswith("STATE_DIRECTORY: ")
    assert folder in error.value.error
    assert error.value.cause and "chown" in error.value.fix


def test_error_names_the_setting_of_the_folder(tmp_path):
    """The check of another folder names the setting of that folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="RUNTIME_DIRECTORY"):
        state.require_writable("RUNTIME_DIRECTORY", str(tmp_path / "file"))
    state.require_writable("RUNTIME_DIRECTORY", str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []


# --- lock ---------------------------------------------------------------------------------------------------


def locked(folder, **environ: str):
    """The lock of deploy/release for a state directory."""
    return state.exclusive_lock(load_settings({"STATE_DIRECTORY": str(folder), **environ}), "release.lock")


def test_lock_is_exclusive(tmp_path):
    """A second release that shares the state directory waits until the first one has finished."""
    order = []

    def second():
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(timeout=0.2)
        order.append("first")
    waiting.join(timeout=10)
    assert order == ["first", "second"]


def test_no_lock_without_a_state_directory(tmp_path):
    """Without persistent files there is no shared directory: no lock is needed, and no directory is created."""
    with locked(tmp_path / "none", DATABASE_URL="postgres://db.example/x"):
        assert not (tmp_path / "none").exists()


def test_lock_suggests_the_setting_that_avoids_it(tmp_path):
    """A database in a directory that cannot be created is an error that suggests DATABASE_URL."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="set DATABASE_URL"), locked(tmp_path / "file" / "state"):
        pass
