"""WebSockets of an app with Flask-Sock and Flask-SocketIO, through Nginx: refused unless WEBSOCKET_PATHS is set."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import websocket

from deploy.settings import server_names
from tests.browser.browser import Browser
from tests.live.stack import docker

FOLDER = "tests/live/apps/websocket"
UPGRADE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
# Requests that open no WebSocket.
IGNORED = {
    "HTTP/2": {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"},
    "TLS": {"Connection": "Upgrade", "Upgrade": "TLS/1.2"},
    "connection option alone": {"Connection": "upgrade"},
    "header alone": {"Connection": "keep-alive", "Upgrade": "websocket"},
    "another protocol": {"Connection": "Upgrade", "Upgrade": "websockets"},
}
ECHO = """
    const done = arguments[0], socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
    socket.onopen = () => socket.send("hello");
    socket.onmessage = (message) => done(message.data);
    socket.onerror = () => done("failed");
"""


@pytest.fixture(scope="module")
def stack(make_stack):
    """The app's stack, without WEBSOCKET_PATHS."""
    tag = f"{os.environ.get('IMAGE_TAG') or 'latest'}-websocket-{os.getpid()}"
    settings = {"WSGI_APP": "chat:app", "READY_PATH": "/", "WEB_CONCURRENCY": "1", "REQUEST_TIMEOUT": "2"}
    stack = make_stack(APP_DIR=f"./{FOLDER}", IMAGE_TAG=tag, **settings)
    stack.compose("build", "--quiet", "web", "nginx")
    yield stack
    stack.down()
    docker("image", "rm", "--force", *(f"tripod-{service}:{tag}" for service in ("web", "nginx")), check=False)


def get(stack, path, **headers) -> requests.Response:
    return requests.get(stack.url + path, headers=headers, timeout=10)


def connect(stack, path="/ws") -> websocket.WebSocket:
    return websocket.create_connection(stack.url.replace("http", "ws") + path, timeout=10)


@pytest.mark.parametrize("server", server_names())
def test_refused_by_default(stack, server):
    """Without WEBSOCKET_PATHS a WebSocket is answered 400 and does not reach the app; other upgrades are ignored."""
    stack.up(WSGI_SERVER=server)
    for path in ("/ws", "/socket.io/?EIO=4&transport=websocket", "/"):
        answer = get(stack, path, **UPGRADE)
        assert (answer.status_code, "Bad request" in answer.text) == (400, True), path
    for name, headers in IGNORED.items():
        assert get(stack, "/upgrade", **headers).json() == {"connection": None, "upgrade": None}, name
    assert get(stack, "/socket.io/?EIO=4&transport=polling").text.startswith('0{"sid":')


@pytest.fixture
def open_stack(stack):
    """The stack on Gunicorn, with WEBSOCKET_PATHS."""
    stack.up(WSGI_SERVER="gunicorn", WEBSOCKET_PATHS="/ws,/socket.io/")
    return stack


def test_echo(open_stack):
    """A WebSocket stays open for longer than REQUEST_TIMEOUT, in a Python client and in Chromium."""
    client = connect(open_stack)
    began = time.monotonic()
    while time.monotonic() - began < 8:  # REQUEST_TIMEOUT is 2; a stuck process would exit after 5
        client.send("hello")
        assert client.recv() == "echo hello"
        client.settimeout(3)
        with pytest.raises(websocket.WebSocketTimeoutException):
            client.recv()
        client.settimeout(10)
    client.close()
    browser = Browser(open_stack.url)
    try:
        browser.visit("/")
        assert browser.driver.execute_async_script(ECHO) == "echo hello"
    finally:
        browser.driver.quit()


def test_socket_io(open_stack):
    """Socket.IO's protocol works over a WebSocket, and its polls over plain requests for the same path."""
    client = connect(open_stack, "/socket.io/?EIO=4&transport=websocket")
    assert client.recv().startswith('0{"sid":')
    client.send("40")
    assert client.recv().startswith('40{"sid":')
    client.send('42["message","hello"]')
    assert client.recv() == '42["message","echo hello"]'
    client.close()
    assert get(open_stack, "/socket.io/?EIO=4&transport=polling").text.startswith('0{"sid":')


def test_other_paths_stay_refused(open_stack):
    """Only WEBSOCKET_PATHS accept a WebSocket, and plain requests there see no Upgrade."""
    for path in ("/", "/wsx", "/healthz", "/socket.io", "/static/ws"):
        assert get(open_stack, path, **UPGRADE).status_code == 400, path
    for name, headers in IGNORED.items():
        assert get(open_stack, "/upgrade", **headers).json() == {"connection": None, "upgrade": None}, name


def test_a_thread_is_left_for_requests(open_stack):
    """Of four threads three can hold a WebSocket; the next one gets 503, and requests are answered."""
    clients = [connect(open_stack) for _ in range(3)]
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(open_stack)
    assert refused.value.status_code == 503
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: get(open_stack, "/").status_code, range(20))) == [200] * 20
    for client in clients:
        client.close()


def test_error_in_a_websocket(open_stack):
    """An exception of the app closes the connection without a byte of an HTTP response, and is logged."""
    client = connect(open_stack)
    client.send("fail")
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
        client.recv()
    assert "an error in the middle of a WebSocket" in open_stack.logs("web")
    assert get(open_stack, "/").status_code == 200
