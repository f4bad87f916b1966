"""Accounts."""

import re

from .client import POSTS, REDIRECT, Site

ME, FOLLOWED = "/api/v1/me", "/api/v1/users/{}/follow"


def test_log_in(site, account, member):
    """A user can log in and open the account page. Anonymous clients are redirected to the login page."""
    assert account.username in member.get("/account").text, "the page does not contain the username"
    location = site.get("/account", REDIRECT).headers["Location"]
    assert "/login" in location, f"Location is {location!r}"


def test_wrong_password(site, account):
    """A wrong password is rejected."""
    # 429: earlier attempts from this address have exceeded the rate limit.
    site.fill_in("/login", {"email": account.email, "password": "wrong " + account.password}, {200, 429})
    site.get("/account", REDIRECT)


def test_log_out(base_url, account):
    """The logout ends the session. It requires a form with the CSRF token."""
    site = Site(base_url)
    account.log_in(site)
    site.get("/logout", {302, 303, 404, 405})
    site.submit({}, 400, "/logout")
    site.get("/account")
    site.submit({"csrf_token": site.page("/account").fields["csrf_token"]}, REDIRECT, "/logout")
    site.get("/account", REDIRECT)
    site.close()


def test_token(program, account):
    """An API token authenticates its user."""
    assert program.get(ME).json()["username"] == account.username, "it is a different user"


def test_wrong_token(site):
    """Requests with a wrong token, or without a token, get 401 with WWW-Authenticate."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        challenge = site.get(ME, 401, headers=headers).headers.get("WWW-Authenticate", "")
        assert challenge.startswith("Bearer"), f"WWW-Authenticate is {challenge!r}"


def test_session_needs_csrf_token(member, marker):
    """API writes with a session cookie require the CSRF token (400)."""
    member.request("POST", POSTS, 400, json={"body": marker}, headers={"Referer": member.url + "/"})
    assert not member.find_posts(marker), "the post was published"


def test_follow(program, other, marker):
    """The timeline contains the posts of a followed user, until the user is unfollowed."""
    other.program.request("POST", POSTS, 201, json={"body": marker})
    program.request("PUT", FOLLOWED.format(other.username), 204)
    assert marker in program.get("/api/v1/timeline").text, "the post is not on the timeline"
    program.request("DELETE", FOLLOWED.format(other.username), 204)
    assert marker not in program.get("/api/v1/timeline").text, "the post is still on the timeline"


def test_admin(site, member):
    """Admin pages answer 403 to other users, and redirect anonymous clients to the login page."""
    allowed = 200 if member.get(ME).json()["is_admin"] else 403  # --user can be an admin
    for path in ("/admin", "/admin/users", "/admin/posts"):
        member.get(path, allowed)
        site.get(path, REDIRECT)


def test_rate_limits(program, marker, has_rate_limits):
    """Rate-limited responses contain the number of remaining requests (RateLimit), unless --rate-limits is off."""
    headers = program.request("POST", POSTS, 201, json={"body": marker}).headers
    rate_limit, policy = headers.get("RateLimit"), headers.get("RateLimit-Policy")
    if not has_rate_limits:
        assert rate_limit is policy is None, f"RateLimit is {rate_limit!r}, although --rate-limits is off"
        return
    assert re.search(r";r=\d+;t=\d+$", rate_limit or ""), (
        f"RateLimit is {rate_limit!r} (if the site has RATE_LIMITS=off: --rate-limits off)"
    )
    assert re.search(r";q=\d+;w=\d+$", policy or ""), f"RateLimit-Policy is {policy!r}"
