"""A user of the site, with a browser session and an API token."""

import secrets

from .client import REDIRECT, Site

LOGIN_FAILED = (
    "the login failed; if the site confirms email addresses by mail, pass existing accounts with --user and --password"
)


class Account:
    """A user. `browser` has a session; `program` authenticates with an API token."""

    def __init__(self, url: str, email: str, password: str):
        self.email, self.password = email, password
        self.browser, self.program = Site(url), Site(url)
        self.log_in(self.browser)
        token = self.browser.page("/account/tokens").fields["csrf_token"]
        name = f"smoke test {secrets.token_hex(4)}"
        headers = {"X-CSRFToken": token, "Referer": url + "/account/tokens"}
        created = self.browser.request("POST", "/api/v1/tokens", 201, json={"name": name}, headers=headers)
        self.token_url = created.headers["Location"]
        self.secret = created.json()["token"]
        self.program.use_token(self.secret)
        self.username = self.program.get("/api/v1/me").json()["username"]

    def log_in(self, site: Site) -> None:
        """Log in with the form. Raises AssertionError if the login fails."""
        response = site.fill_in("/login", {"email": self.email, "password": self.password}, {200, *REDIRECT})
        assert response.status_code in REDIRECT, LOGIN_FAILED

    @classmethod
    def register(cls, url: str) -> "Account":
        """Create an account and log in."""
        username, password = f"smoke_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        email = f"{username}@example.com"
        form = {"username": username, "email": email, "password": password, "password_confirm": password}
        Site(url).fill_in("/register", form)
        return cls(url, email, password)

    def clean_up(self) -> None:
        """Delete everything that the tests created, and keep the account."""
        self.program.delete_created()
        self.program.request("DELETE", self.token_url, {204, 404})

    def close(self) -> None:
        """Delete everything that the tests created, and close the account. Its username stays taken."""
        self.program.delete_created()
        self.browser.fill_in("/account/deactivate", {"password": self.password})
