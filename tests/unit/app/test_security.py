"""Security of all views and statuses: CSRF, security headers and CORS."""

import pytest
from werkzeug.routing import Rule

from app.security_headers import HEADERS
from tests.unit.app.helpers import csrf_token, log_in

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
POSTS = "/api/v1/posts"


@pytest.fixture
def browser(client, alice):
    """Return a client with a session."""
    assert log_in(client, "alice@example.com").status_code == 302
    return client


def matching_url(rule: Rule) -> str:
    """Return a URL that the rule matches."""
    values = {name: 1 if "Integer" in type(kind).__name__ else "alice" for name, kind in rule._converters.items()}
    return rule.build(values)[1]


@pytest.mark.parametrize("token", [None, "wrong"])
def test_every_write_requires_the_csrf_token(app, browser, token):
    """With a session cookie, every unsafe request is 400 without a valid CSRF token."""
    form = {"csrf_token": token} if token else {}
    seen = set()
    for rule in app.url_map.iter_rules():
        for method in UNSAFE & rule.methods:
            response = browser.open(matching_url(rule), method=method, data=form, headers={"X-CSRFToken": token or ""})
            assert response.status_code == 400, f"{method} {rule}"
            seen.add(rule.endpoint)
    assert {"security.login", "security.register", "blog.create", "api.create_post", "account.deactivate"} <= seen
    assert len(seen) >= 20


ANONYMOUS_WRITES = {
    "security.confirm_email",
    "security.forgot_password",
    "security.login",
    "security.logout",
    "security.register",
    "security.reset_password",
    "security.send_confirmation",
    "api.create_token",
}


def test_every_write_requires_authentication(app, client, alice):
    """With a valid CSRF token but no login, unsafe requests get the login page, or a 401 from the API."""
    token = csrf_token(client, "/login")
    checked = set()
    for rule in app.url_map.iter_rules():
        for method in UNSAFE & rule.methods:
            if rule.endpoint in ANONYMOUS_WRITES:
                continue
            response = client.open(matching_url(rule), method=method, data={"csrf_token": token})
            if rule.endpoint.startswith("api."):
                assert response.status_code == 401, f"{method} {rule}"
            else:
                assert response.status_code == 302, f"{method} {rule}"
                assert response.location.startswith("/login"), f"{method} {rule}"
            checked.add(rule.endpoint)
    assert {"blog.create", "blog.follow", "blog.unfollow", "account.deactivate", "api.create_post"} <= checked


def test_every_status_has_the_security_headers(make_app, database, alice):
    """Responses of every status have each security header exactly once."""
    app = make_app(database, PROPAGATE_EXCEPTIONS=False, MAX_CONTENT_LENGTH=100_000)
    app.add_url_rule("/crash", view_func=lambda: 1 / 0)
    client = app.test_client()
    post = client.post(POSTS, json={"body": "x"}, headers=alice)
    tag = client.get(post.location).headers["ETag"]
    answers = [
        post,
        client.get("/"),
        client.get(post.location, headers={"If-None-Match": tag}),
        client.get("/account"),
        client.post("/"),
        client.get("/api/v1/me"),
        client.get("/nothing"),
        client.get("/api/nothing"),
        client.delete("/"),
        client.post("/login", data={"email": "x" * 200_000}),
        client.post(POSTS, data="x", headers=alice),
        client.post(POSTS, json={}, headers=alice),
        client.get("/crash"),
        *(client.get("/api/v1/me", auth=("alice", "wrong")) for _ in range(11)),
        client.delete(post.location, headers=alice),
    ]
    expected = {200, 201, 204, 302, 304, 400, 401, 404, 405, 413, 415, 422, 429, 500}
    assert {answer.status_code for answer in answers} == expected
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.getlist(name) == [value], f"{name} of {answer.status}"


# --- CORS -------------------------------------------------------------------------------------------------------------

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def cors(response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("path", [POSTS, "/", "/login"])
def test_cors_is_disabled_by_default(client, path):
    """Without CORS_ORIGINS, pages of other origins cannot read responses."""
    assert cors(client.get(path, headers={"Origin": ORIGIN})) == {}
    assert cors(client.options(path, headers=PREFLIGHT)) == {}


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"])
def test_cors_origins_can_send_the_headers_of_the_api(make_app, database, name):
    """Pages of CORS_ORIGINS can send every request header that the API reads."""
    client = make_app(database, CORS_ORIGINS=[ORIGIN]).test_client()
    preflight = cors(client.options(POSTS, headers=PREFLIGHT | {"Access-Control-Request-Headers": name}))
    assert preflight["Access-Control-Allow-Headers"].lower() == name.lower()


@pytest.mark.parametrize("origins", [[ORIGIN, "https://b.example:8443"], ["*"]])
def test_cors_origins_can_use_the_api(make_app, database, origins):
    """Pages of CORS_ORIGINS can use the API, but not other URLs, and never with cookies."""
    client = make_app(database, CORS_ORIGINS=origins).test_client()
    preflight = cors(client.options(POSTS, headers=PREFLIGHT))
    assert preflight["Access-Control-Allow-Origin"] in (ORIGIN, "*")
    assert "authorization" in preflight["Access-Control-Allow-Headers"].lower()
    answer = cors(client.get(POSTS, headers={"Origin": ORIGIN}))
    assert "ETag" in answer["Access-Control-Expose-Headers"]
    refused = cors(client.post(POSTS, json={}, headers={"Origin": ORIGIN}))  # 401; the page must be able to read it
    assert refused["Access-Control-Allow-Origin"] in (ORIGIN, "*")
    assert not any("Credentials" in name for name in preflight | answer | refused)
    assert cors(client.get("/", headers={"Origin": ORIGIN})) == {}


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.com", "https://app.example.com.evil"])
def test_other_origins_cannot_use_the_api(make_app, database, origin):
    """Origins that are not in CORS_ORIGINS get no CORS headers. The scheme counts, too."""
    client = make_app(database, CORS_ORIGINS=[ORIGIN]).test_client()
    assert "Access-Control-Allow-Origin" not in client.get(POSTS, headers={"Origin": origin}).headers
