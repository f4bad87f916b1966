"""Health."""

import pytest


def test_alive(site, request):
    """/healthz reports that the server is alive; its name and the release together, or neither of them."""
    body = site.get("/healthz").json()
    assert body.get("status") == "ok", f"status is {body.get('status')!r}"
    server, expected = body.get("wsgi_server"), request.config.getoption("expect_server")
    assert expected in (None, server), f"the server is {server}, expected {expected}"
    assert bool(server) == bool(body.get("release")), f"only one of server and release is named: {body}"


def test_ready(site):
    """/readyz reports that all dependencies of the app work, by name."""
    body = site.get("/readyz").json()
    assert body.get("status") == "ok", f"status is {body.get('status')!r}"
    assert body.get("checks"), "there are no checks"
    assert set(body["checks"].values()) == {"ok"}, f"{body['checks']}"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_not_cached(site, path):
    """/healthz and /readyz are JSON that is not cached."""
    headers = site.get(path).headers
    content_type, cache_control = headers.get("Content-Type"), headers.get("Cache-Control", "")
    assert content_type == "application/json", f"Content-Type is {content_type!r}"
    assert "no-store" in cache_control, f"Cache-Control is {cache_control!r}"
