"""deploy/handover.py: an atomic link, readiness asked over a real Unix socket, dead sockets forgotten."""

import http.server
import os
import shutil
import socket
import socketserver
import tempfile
import threading
from pathlib import Path

import pytest

from deploy import handover
from deploy.settings import socket_path
from tests.support.wsgi import python


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path with the status that it names."""

    def do_GET(self):
        self.send_response(int(self.path.strip("/") or 200))
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def place():
    """The contract's values for a runtime directory of this test's own; its path is short enough for a
    socket.
    """
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    yield {"RUNTIME_DIRECTORY": folder, "READY_PATH": "/200", "PORT": ""}
    shutil.rmtree(folder)


@pytest.fixture
def server(place):
    """A real HTTP server on this host's socket."""
    with socketserver.ThreadingUnixStreamServer(socket_path(place), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def link(place) -> Path:
    """Where Nginx looks."""
    return Path(place["RUNTIME_DIRECTORY"]) / "current.sock"


def test_take_over_points_the_link_at_the_own_socket(place):
    """current.sock is a relative link to this host's socket, so it holds wherever the folder is mounted."""
    handover.promote(place)
    assert os.readlink(link(place)) == Path(socket_path(place)).name
    handover.promote(place)
    assert os.listdir(place["RUNTIME_DIRECTORY"]) == ["current.sock"]


def test_link_is_never_missing(place, monkeypatch):
    """A reader sees the old server or the new one at every instant of 500 handovers, never none."""
    seen, stop = set(), threading.Event()
    handover.promote(place)

    def read():
        while not stop.is_set():
            try:
                seen.add(os.readlink(link(place)))
            except OSError as error:
                seen.add(error)

    reader = threading.Thread(target=read)
    reader.start()
    folder = place["RUNTIME_DIRECTORY"]
    for number in range(500):
        monkeypatch.setattr(handover, "socket_path", lambda values, n=number % 2: f"{folder}/host{n}.sock")
        handover.promote(place)
    stop.set()
    reader.join()
    assert seen - {f"{os.uname().nodename}.sock"} <= {"host0.sock", "host1.sock"}


def test_interrupted_handover_can_be_repeated(place):
    """A link half made by a container that was killed is no obstacle."""
    Path(socket_path(place)).with_suffix(".link").symlink_to("elsewhere")
    handover.promote(place)
    assert os.readlink(link(place)) == Path(socket_path(place)).name


@pytest.mark.parametrize(("path", "ready"), [("/200", True), ("/204", False), ("/302", False), ("/503", False)])
def test_ready_means_exactly_200(place, server, path, ready):
    """Only 200 on READY_PATH is ready: neither a redirect nor another success is."""
    assert handover.is_ready(place | {"READY_PATH": path}) is ready


def test_asks_as_localhost(place, server):
    """The question carries the Host that ALLOWED_HOSTS lets through for READY_PATH, and the answer comes
    whole.
    """
    assert handover.get(place, "/503") == (503, b"localhost")


def test_asks_the_port_where_one_is_set():
    """Where PORT is set the question goes there."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        port = str(server.server_address[1])
        try:
            assert handover.is_ready({"PORT": port, "READY_PATH": "/200"})
        finally:
            server.shutdown()
            thread.join()
    assert not handover.is_ready({"PORT": port, "READY_PATH": "/200"})


def test_no_server_is_not_ready(place):
    """No socket, a dead socket and one that talks no HTTP are all just not ready."""
    path = socket_path(place)
    assert handover.is_ready(place) is False
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert handover.is_ready(place) is False
        listener.listen()

        def babble():
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.sendall(b"what?\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=babble)
        thread.start()
        assert handover.is_ready(place) is False
        thread.join()


def test_stands_by_while_another_serves(place):
    """A container that is ready beside one that serves leaves the link alone, and takes over when that one is gone."""
    folder = Path(place["RUNTIME_DIRECTORY"])
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "other.sock"))
        other.listen()
        link(place).symlink_to("other.sock")
        handover.promote_if_orphaned(place)
        assert os.readlink(link(place)) == "other.sock"
    handover.promote_if_orphaned(place)
    assert os.readlink(link(place)) == Path(socket_path(place)).name


@pytest.mark.parametrize("left", [None, "gone.sock"])
def test_takes_over_where_nobody_serves(place, left):
    """No link yet, or one that leads nowhere: the first container that is ready serves."""
    if left:
        link(place).symlink_to(left)
    handover.promote_if_orphaned(place)
    assert os.readlink(link(place)) == Path(socket_path(place)).name


def left_behind(place, name: str) -> Path:
    """A socket whose server is gone, since a minute ago."""
    path = Path(place["RUNTIME_DIRECTORY"]) / name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    os.utime(path, (0, 0))
    return path


def test_dead_sockets_are_forgotten(place, server):
    """Only the sockets at which nobody listens are removed; live ones, the link and other files stay."""
    left_behind(place, "dead.sock")
    handover.promote(place)
    (Path(place["RUNTIME_DIRECTORY"]) / "notes.txt").write_text("")
    own = Path(socket_path(place)).name
    handover.prune_stale_sockets(place)
    assert sorted(os.listdir(place["RUNTIME_DIRECTORY"])) == sorted([own, "current.sock", "notes.txt"])


def test_link_to_a_dead_socket_stays(place):
    """The link is no socket of its own: it waits for the next handover."""
    left_behind(place, Path(socket_path(place)).name)
    handover.promote(place)
    handover.prune_stale_sockets(place)
    assert os.listdir(place["RUNTIME_DIRECTORY"]) == ["current.sock"]


def test_socket_that_is_just_being_opened_stays(place):
    """A server that has bound its socket a moment ago and does not listen yet is not dead."""
    path = Path(place["RUNTIME_DIRECTORY"]) / "starting.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        handover.prune_stale_sockets(place)
        assert path.exists()


def test_busy_server_is_neither_removed_nor_waited_for(place):
    """A server whose backlog is full is alive, and asking it does not block."""
    path = Path(place["RUNTIME_DIRECTORY"]) / "busy.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        thread = threading.Thread(target=handover.prune_stale_sockets, args=[place], daemon=True)
        thread.start()
        thread.join(1)
        blocked = thread.is_alive()
        for client in waiting:
            client.close()
        while thread.is_alive():
            listener.accept()[0].close()
            thread.join(0.1)
    assert path.exists()
    assert not blocked


def test_link_flips_when_the_server_is_ready(place):
    """promote_when_ready() returns at once, and the link and its mark appear after READY_PATH answers 200, not
    before.
    """
    code = """if 1:
        import pathlib, socketserver, sys, threading, time
        from deploy import handover
        from deploy.settings import socket_path
        from tests.unit.deploy.test_handover import Handler
        folder = pathlib.Path(sys.argv[1])
        place = {"RUNTIME_DIRECTORY": str(folder), "READY_PATH": "/", "PORT": ""}
        done = handover.ready_marker(place)
        done.touch()
        began = time.monotonic()
        handover.promote_when_ready(place)
        assert time.monotonic() - began < 1
        assert not done.exists(), "a mark of an earlier start in the same container"
        state = {"status": 503}
        class Changing(Handler):
            def do_GET(self):
                self.path = f"/{state['status']}"
                super().do_GET()
        server = socketserver.ThreadingUnixStreamServer(socket_path(place), Changing)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        time.sleep(0.2)
        assert not (folder / "current.sock").is_symlink(), "not ready yet"
        state["status"] = 200
        deadline = time.monotonic() + 5
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (folder / "current.sock").resolve() == pathlib.Path(socket_path(place))
        import os
        pid, status = os.wait()
        assert status == 0
        print("flipped")
    """
    done = python(code, place["RUNTIME_DIRECTORY"])
    assert done.stdout == "flipped\n", done.stderr


def test_waiter_ends_with_its_server(place):
    """A server that ends before it was ever ready leaves no process behind that waits for it."""
    code = """if 1:
        import os, sys
        from deploy import handover
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        if os.fork() == 0:
            os.close(reader)
            handover.promote_when_ready({"RUNTIME_DIRECTORY": sys.argv[1], "READY_PATH": "/", "PORT": ""})
            os._exit(0)
        os.close(writer)
        print(os.read(reader, 1))  # the end of the file comes when the last process that holds it is gone
    """
    done = python(code, place["RUNTIME_DIRECTORY"])
    assert done.stdout == "b''\n", done.stderr
