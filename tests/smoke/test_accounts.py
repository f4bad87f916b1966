"""Accounts."""

from .client import POSTS, REDIRECT, Site

ME, FOLLOWED = "/api/v1/me", "/api/v1/users/{}/follow"


def test_log_in(site, account, member):
    """Who has registered and logged in sees their own page; a stranger is led to the log-in."""
    assert account.username in member.get("/account").text, "the page does not name them"
    location = site.get("/account", REDIRECT).headers["Location"]
    assert "/login" in location, f"Location is {location!r}"


def test_wrong_password(site, account):
    """A wrong password opens nothing."""
    # 429: somebody at this address has tried often before.
    site.fill_in("/login", {"email": account.email, "password": "wrong " + account.password}, {200, 429})
    site.get("/account", REDIRECT)


def test_log_out(base_url, account):
    """Logging out, which only a form with its CSRF token can, ends the session."""
    site = Site(base_url)
    account.log_in(site)
    site.get("/logout", {302, 303, 404, 405})
    site.submit({}, 400, "/logout")
    site.get("/account")
    site.submit({"csrf_token": site.page("/account").fields["csrf_token"]}, REDIRECT, "/logout")
    site.get("/account", REDIRECT)
    site.close()


def test_token(program, account):
    """The API knows whose token it is shown."""
    assert program.get(ME).json()["username"] == account.username, "it is somebody else's"


def test_wrong_token(site):
    """A wrong token, and none, get 401 and are told what is missing (WWW-Authenticate)."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        asked = site.get(ME, 401, headers=headers).headers.get("WWW-Authenticate", "")
        assert asked.startswith("Bearer"), f"WWW-Authenticate is {asked!r}"


def test_session_needs_csrf_token(member, marker):
    """The API takes no write by cookie without the CSRF token (400)."""
    member.request("POST", POSTS, 400, json={"body": marker}, headers={"Referer": member.url + "/"})
    assert not member.find_posts(marker), "it was published nevertheless"


def test_follow(program, other, marker):
    """Whom one follows is on one's timeline, and no longer on it afterwards."""
    other.program.request("POST", POSTS, 201, json={"body": marker})
    program.request("PUT", FOLLOWED.format(other.username), 204)
    assert marker in program.get("/api/v1/timeline").text, "the post is not there"
    program.request("DELETE", FOLLOWED.format(other.username), 204)
    assert marker not in program.get("/api/v1/timeline").text, "the post is still there"


def test_admin(site, member):
    """The admin's pages are closed to members (403), and lead a stranger to the log-in."""
    allowed = 200 if member.get(ME).json()["is_admin"] else 403  # somebody may have named an admin with --user
    for path in ("/admin", "/admin/users", "/admin/posts"):
        member.get(path, allowed)
        site.get(path, REDIRECT)


def test_rate_limits(program, marker):
    """What is limited says how much is left (RateLimit)."""
    headers = program.request("POST", POSTS, 201, json={"body": marker}).headers
    if "RateLimit" in headers:  # RATE_LIMITS may be off
        assert "r=" in headers["RateLimit"] and "q=" in headers["RateLimit-Policy"], f"it is {headers['RateLimit']!r}"
