"""Health."""

import pytest


def test_alive(site, request):
    """/healthz says that the server is alive, which one it is and which release."""
    found = site.get("/healthz").json()
    assert found.get("status") == "ok", f"status is {found.get('status')!r}"
    server, expected = found.get("wsgi_server"), request.config.getoption("expect_server")
    assert server, "the server is not named"
    assert expected in (None, server), f"the server is {server}, not {expected}"
    assert found.get("release"), "the release is not named"


def test_ready(site):
    """/readyz says that everything the app needs is there, each thing by name."""
    found = site.get("/readyz").json()
    assert found.get("status") == "ok", f"status is {found.get('status')!r}"
    assert found.get("checks"), "nothing was checked"
    assert set(found["checks"].values()) == {"ok"}, f"{found['checks']}"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_not_cached(site, path):
    """Answers about health are JSON that no cache keeps."""
    headers = site.get(path).headers
    kind, keep = headers.get("Content-Type"), headers.get("Cache-Control", "")
    assert kind == "application/json", f"the type is {kind!r}"
    assert "no-store" in keep, f"Cache-Control is {keep!r}"
