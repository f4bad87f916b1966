"""deploy/handover.py: an atomic link, readiness over a real Unix socket, pruning of stale sockets."""

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
from tests.support.wsgi import python, settings


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path with the status that it contains."""

    def do_GET(self):
        self.send_response(int(self.path.strip("/") or 200))
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def values():
    """Settings with a runtime directory of its own for the test; the path is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    yield settings(RUNTIME_DIRECTORY=folder, READY_PATH="/200")
    shutil.rmtree(folder)


@pytest.fixture
def server(values):
    """A real HTTP server on the socket of this host."""
    with socketserver.ThreadingUnixStreamServer(socket_path(values), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def link(values) -> Path:
    """The link that Nginx connects to."""
    return Path(values["RUNTIME_DIRECTORY"]) / "current.sock"


def test_promote_links_to_the_own_socket(values):
    """current.sock is a relative link to this host's socket, so that it works wherever the folder is mounted."""
    handover.promote(values)
    assert os.readlink(link(values)) == Path(socket_path(values)).name
    handover.promote(values)
    assert os.listdir(values["RUNTIME_DIRECTORY"]) == ["current.sock"]


def test_link_is_never_missing(values, monkeypatch):
    """In 500 handovers a reader always sees the old container or the new one, never none."""
    seen, stop = set(), threading.Event()
    handover.promote(values)

    def read():
        while not stop.is_set():
            try:
                seen.add(os.readlink(link(values)))
            except OSError as error:
                seen.add(error)

    reader = threading.Thread(target=read)
    reader.start()
    folder = values["RUNTIME_DIRECTORY"]
    for number in range(500):
        monkeypatch.setattr(handover, "socket_path", lambda _, n=number % 2: f"{folder}/host{n}.sock")
        handover.promote(values)
    stop.set()
    reader.join()
    assert seen - {f"{os.uname().nodename}.sock"} <= {"host0.sock", "host1.sock"}


def test_interrupted_handover_can_be_repeated(values):
    """The incomplete link of a killed container does not prevent the next handover."""
    Path(socket_path(values)).with_suffix(".link").symlink_to("elsewhere")
    handover.promote(values)
    assert os.readlink(link(values)) == Path(socket_path(values)).name


@pytest.mark.parametrize(
    ("path", "ready"),
    [("/200", True), ("/204", True), ("/302", True), ("/400", False), ("/404", False), ("/503", False)],
)
def test_2xx_and_3xx_are_ready(values, server, path, ready):
    """2xx and redirects mean ready, since many custom apps redirect `/` to a log-in; 4xx and 5xx do not."""
    assert handover.is_ready(values | {"READY_PATH": path}) is ready


def test_request_is_sent_to_port(values):
    """With PORT the request is sent to the TCP port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        port = str(server.server_address[1])
        try:
            assert handover.is_ready(values | {"PORT": port})
        finally:
            server.shutdown()
            thread.join()
    assert not handover.is_ready(values | {"PORT": port})


def test_missing_server_is_not_ready(values):
    """A missing socket, a stale socket and a server that does not speak HTTP all mean: not ready."""
    path = socket_path(values)
    assert handover.is_ready(values) is False
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert handover.is_ready(values) is False
        listener.listen()

        def babble():
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.sendall(b"what?\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=babble)
        thread.start()
        assert handover.is_ready(values) is False
        thread.join()


def test_standby_while_another_container_is_active(values):
    """A ready container stays standby while another one is active, and promotes itself when that one is gone."""
    folder = Path(values["RUNTIME_DIRECTORY"])
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "other.sock"))
        other.listen()
        link(values).symlink_to("other.sock")
        handover.promote_if_orphaned(values)
        assert os.readlink(link(values)) == "other.sock"
    handover.promote_if_orphaned(values)
    assert os.readlink(link(values)) == Path(socket_path(values)).name


@pytest.mark.parametrize("target", [None, "gone.sock"])
def test_promoted_if_no_container_is_active(values, target):
    """Without a link, or with a dangling one, the first ready container becomes active."""
    if target:
        link(values).symlink_to(target)
    handover.promote_if_orphaned(values)
    assert os.readlink(link(values)) == Path(socket_path(values)).name


def stale_socket(values, name: str) -> Path:
    """The socket of a server that no longer exists, older than a minute."""
    path = Path(values["RUNTIME_DIRECTORY"]) / name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    os.utime(path, (0, 0))
    return path


def test_stale_sockets_are_pruned(values, server):
    """Only stale sockets are pruned; sockets with a listener, the link and other files stay."""
    stale_socket(values, "stale.sock")
    handover.promote(values)
    (Path(values["RUNTIME_DIRECTORY"]) / "other.txt").write_text("")
    own = Path(socket_path(values)).name
    handover.prune_stale_sockets(values)
    assert sorted(os.listdir(values["RUNTIME_DIRECTORY"])) == sorted([own, "current.sock", "other.txt"])


def test_link_to_a_stale_socket_stays(values):
    """The link is not pruned, even if it leads to a stale socket: the next handover replaces it."""
    stale_socket(values, Path(socket_path(values)).name)
    handover.promote(values)
    handover.prune_stale_sockets(values)
    assert os.listdir(values["RUNTIME_DIRECTORY"]) == ["current.sock"]


def test_new_socket_is_not_stale(values):
    """A new socket without a listener is not stale: its server may not listen yet."""
    path = Path(values["RUNTIME_DIRECTORY"]) / "starting.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        handover.prune_stale_sockets(values)
        assert path.exists()


def test_busy_server_is_not_pruned(values):
    """A socket with a full queue is not pruned, and the check does not block."""
    path = Path(values["RUNTIME_DIRECTORY"]) / "busy.sock"
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
        thread = threading.Thread(target=handover.prune_stale_sockets, args=[values], daemon=True)
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


def test_promoted_when_ready(values):
    """promote_when_ready() returns at once; the link and the marker appear when READY_PATH is ready, not before."""
    code = """if 1:
        import pathlib, socketserver, sys, threading, time
        from deploy import handover
        from deploy.settings import load_settings, socket_path
        from tests.unit.deploy.test_handover import Handler
        folder = pathlib.Path(sys.argv[1])
        values = load_settings({"RUNTIME_DIRECTORY": str(folder), "READY_PATH": "/"})
        marker = handover.ready_marker(values)
        marker.touch()
        began = time.monotonic()
        handover.promote_when_ready(values)
        assert time.monotonic() - began < 1
        assert not marker.exists(), "a marker of an earlier start of this container"
        state = {"status": 503}
        class Changing(Handler):
            def do_GET(self):
                self.path = f"/{state['status']}"
                super().do_GET()
        server = socketserver.ThreadingUnixStreamServer(socket_path(values), Changing)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        time.sleep(0.2)
        assert not (folder / "current.sock").is_symlink(), "not ready yet"
        state["status"] = 200
        deadline = time.monotonic() + 5
        while not marker.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (folder / "current.sock").resolve() == pathlib.Path(socket_path(values))
        import os
        pid, status = os.wait()
        assert status == 0
        print("promoted")
    """
    done = python(code, values["RUNTIME_DIRECTORY"])
    assert done.stdout == "promoted\n", done.stderr


def test_waiter_ends_with_its_server(values):
    """If the server exits before it is ready, the waiting process exits too."""
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
        print(os.read(reader, 1))  # returns when the last process with the other end has exited
    """
    done = python(code, values["RUNTIME_DIRECTORY"])
    assert done.stdout == "b''\n", done.stderr
