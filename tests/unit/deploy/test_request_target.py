"""The path, the method and the network: what reaches the app of a request target, and where servers listen."""

import socket

import pytest

from deploy import network
from deploy.middleware import normalize
from deploy.setting_checks import methods
from tests.live.conformance.cases import PATHS
from tests.support.wsgi import ask, echo, seen, settings


def normalized(**environ):
    """The app, wrapped in this middleware alone."""
    return normalize.wrap(echo, settings(**environ))


# The control characters of these targets are refused by another rule; Gunicorn drops the fragment itself.
TARGETS = {target: expected for target, expected in PATHS.items() if len(target) < 1000}


@pytest.mark.parametrize("variable", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize("prefix", ["", "http://example.com"])
@pytest.mark.parametrize("target", TARGETS)
def test_path_of_the_target(target, prefix, variable):
    """Without Nginx the app receives the path that Nginx would pass on, or the request gets 400: double slashes stay,
    dot segments are resolved, and percent-encoding is decoded once. What the server has made of the path is ignored.
    """
    environ = {variable: prefix + target, "PATH_INFO": "/of/the/server"}
    if TARGETS[target] is None:
        assert ask(normalized(), **environ).status == "400 Bad Request"
    else:
        assert seen(normalized(), **environ)["PATH_INFO"] == TARGETS[target][0]


def test_path_below_a_mount_point_is_kept():
    """With a SCRIPT_NAME, PATH_INFO is relative to it and stays."""
    passed = seen(normalized(), RAW_URI="/shop//a", SCRIPT_NAME="/shop", PATH_INFO="//a")
    assert passed["PATH_INFO"] == "//a"


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "get"])
def test_other_methods_are_refused(method):
    """Methods that are not in ALLOWED_METHODS get 405 where there is no Nginx, too."""
    assert ask(normalized(), method=method).status == "405 Method Not Allowed"


def test_methods_are_a_setting():
    """A CalDAV app receives the methods that ALLOWED_METHODS names, and no others."""
    app = normalized(ALLOWED_METHODS="GET,PROPFIND,REPORT,VERSION-CONTROL")
    for method in ("GET", "PROPFIND", "REPORT", "VERSION-CONTROL"):
        assert ask(app, method=method).status == "200 OK", method
    assert ask(app, method="POST").status == "405 Method Not Allowed"


@pytest.mark.parametrize(
    "value", ["get", "GET,", "GET, POST", "GET,TRACE", "CONNECT,GET", "POST", "GET|POST", "GET,X)"]
)
def test_invalid_methods(value):
    """Methods in small letters, with other characters, or only for proxies are refused; GET is required."""
    assert methods(value)


def test_listens_on_ipv6_where_the_kernel_has_it(monkeypatch):
    """Servers listen on all IPv6 and IPv4 addresses, and on IPv4 alone if the kernel has no IPv6."""
    assert network.any_address() == ("[::]" if network.has_ipv6() else "0.0.0.0")
    make = socket.socket

    def ipv4_only(family, *rest):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return make(family, *rest)

    monkeypatch.setattr(socket, "socket", ipv4_only)
    assert network.any_address() == "0.0.0.0"
