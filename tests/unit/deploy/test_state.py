"""deploy/state.py: one generated SECRET_KEY for the whole installation."""

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


def test_key_is_made_once(tmp_path):
    """The first start makes a key of 256 bits that only its owner reads; each later start finds the same."""
    folder = tmp_path / "not" / "there" / "yet"
    key = key_of(folder)
    assert len(bytes.fromhex(key)) == 32
    assert key_of(folder) == key
    assert [path.name for path in folder.iterdir()] == ["secret_key"]
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600


def test_two_installations_have_two_keys(tmp_path):
    """The key is random, not derived from the machine."""
    assert key_of(tmp_path / "a") != key_of(tmp_path / "b")


def test_processes_that_start_at_once_agree(tmp_path):
    """Containers that start at the same moment all have the same key."""
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
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_threads_that_start_at_once_agree(tmp_path):
    """Two callers in one process agree as well."""
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
    """A container killed while it made the key starts again: it has the same host name and process id
    then.
    """
    real_link = os.link

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", killed)
    monkeypatch.setattr(type(tmp_path), "unlink", killed)  # nothing is tidied up by a process that is gone
    with pytest.raises(KeyboardInterrupt):
        key_of(tmp_path)
    monkeypatch.undo()
    assert os.link is real_link
    assert len(key_of(tmp_path)) == 64


@pytest.mark.parametrize("tail", ["", "below"])
def test_folder_that_cannot_be_written_says_so(tmp_path, tail):
    """A state directory that can't be written is a problem of the contract, named by its variable."""
    (tmp_path / "file").write_text("")
    folder = os.path.join(tmp_path, "file", tail).rstrip("/")
    with pytest.raises(StackError) as error:
        key_of(folder)
    problem = error.value
    assert problem.error.startswith("STATE_DIRECTORY: ")
    assert folder in problem.error
    assert problem.cause and "chown" in problem.fix


def test_writable_names_the_variable_it_was_asked_for(tmp_path):
    """The same check serves other folders under their own variable's name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="RUNTIME_DIRECTORY"):
        state.require_writable("RUNTIME_DIRECTORY", str(tmp_path / "file"))
    state.require_writable("RUNTIME_DIRECTORY", str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []


# --- lock ---------------------------------------------------------------------------------------------------


def locked(folder, **given: str):
    """The lock of a release with this state directory."""
    return state.exclusive_lock(load_settings({"STATE_DIRECTORY": str(folder), **given}), "release.lock")


def test_lock_is_held_by_one_at_a_time(tmp_path):
    """A second release that shares the state directory waits until the first has ended."""
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


def test_no_lock_where_there_is_no_state_directory(tmp_path):
    """Where files don't last nobody shares a directory: with a database elsewhere none is needed, nor made."""
    with locked(tmp_path / "none", DATABASE_URL="postgres://db.example/x"):
        assert not (tmp_path / "none").exists()


def test_lock_names_the_variable_that_does_without(tmp_path):
    """A database in a directory that cannot be made is refused, and DATABASE_URL named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="set DATABASE_URL"), locked(tmp_path / "file" / "state"):
        pass
