"""deploy/websocket_paths.py, deploy/middleware/websocket.py and the setting WEBSOCKET_PATHS."""

import re

import pytest

from deploy.errors import StackErrors
from deploy.settings import load_settings
from deploy.websocket_paths import opens_websocket, pattern

HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_UPGRADE": "WebSocket",
}


@pytest.mark.parametrize(
    "change",
    [
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"HTTP_CONNECTION": "keep-alive"},
        {"HTTP_CONNECTION": "upgraded"},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_UPGRADE": "websockets"},
    ],
    ids=str,
)
def test_other_upgrades_are_ignored(change):
    """Only GET, HTTP/1.1, the connection option and the protocol together open a WebSocket."""
    assert opens_websocket(HANDSHAKE)
    assert not opens_websocket(HANDSHAKE | change)


def test_paths_include_what_is_below():
    """A path includes what is below it, but no path that only begins with the same letters."""
    matches = re.compile(pattern("/ws, /socket.io/")).match
    assert all(map(matches, ["/ws", "/ws/room", "/socket.io/", "/socket.io/x"]))
    assert not any(map(matches, ["/", "/wsx", "/socket.io", "/socketXio/", "/a/ws"]))
    assert not any(map(re.compile(pattern("")).match, ["", "/", "/ws"]))


@pytest.mark.parametrize(
    "value", ["ws", "/", "/static", "/static/", "/static/ws", "/healthz", "/a//b", "/../a", "/$x", ","]
)
def test_invalid_paths(value):
    """A path of the stack's own, or one that Nginx would never match, is refused."""
    with pytest.raises(StackErrors, match="WEBSOCKET_PATHS: "):
        load_settings({"WEBSOCKET_PATHS": value})


@pytest.mark.parametrize(
    ("other", "fix"),
    [
        ({"WSGI_SERVER": "uwsgi"}, "WSGI_SERVER=gunicorn"),
        ({"WSGI_SERVER": "mod_wsgi"}, "WSGI_SERVER=gunicorn"),
        ({"WEB_THREADS": "1"}, "WEB_THREADS"),
        ({"READY_PATH": "/ws/ready"}, "READY_PATH"),
    ],
    ids=str,
)
def test_contradictions(other, fix):
    """Another server, a single thread and the path of the health check are refused with the setting to change."""
    with pytest.raises(StackErrors) as raised:
        load_settings({"WEBSOCKET_PATHS": "/ws"} | other)
    [error] = raised.value.errors
    assert error.error.startswith("WEBSOCKET_PATHS: ")
    assert fix in error.fix
    assert load_settings({"WEBSOCKET_PATHS": "/ws", "READY_PATH": "/"})["WEBSOCKET_PATHS"] == "/ws"
