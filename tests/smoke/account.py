"""Somebody with an account on the site, as a browser and as a program."""

import secrets

from .client import REDIRECT, Site

NOT_LET_IN = "nobody is let in: where mails confirm addresses, --user and --password name accounts that are there"


class Account:
    """Logged in by `browser`; `program` shows a token."""

    def __init__(self, url: str, email: str, password: str):
        self.email, self.password = email, password
        self.browser, self.program = Site(url), Site(url)
        self.log_in(self.browser)
        token = self.browser.page("/account/tokens").fields["csrf_token"]
        name = f"smoke test {secrets.token_hex(4)}"
        headers = {"X-CSRFToken": token, "Referer": url + "/account/tokens"}
        made = self.browser.request("POST", "/api/v1/tokens", 201, json={"name": name}, headers=headers)
        self.token = made.headers["Location"]
        self.secret = made.json()["token"]
        self.program.show(self.secret)
        self.username = self.program.get("/api/v1/me").json()["username"]

    def log_in(self, site: Site) -> None:
        """Log in by the form. AssertionError if the site does not let them in."""
        answer = site.fill_in("/login", {"email": self.email, "password": self.password}, {200, *REDIRECT})
        assert answer.status_code in REDIRECT, NOT_LET_IN

    @classmethod
    def register(cls, url: str) -> "Account":
        """Make an account, and log in."""
        username, password = f"smoke_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        email = f"{username}@example.com"
        form = {"username": username, "email": email, "password": password, "password_confirm": password}
        Site(url).fill_in("/register", form)
        return cls(url, email, password)

    def leave(self) -> None:
        """Leave nothing behind, and the account as it was."""
        self.program.delete_created()
        self.program.request("DELETE", self.token, {204, 404})

    def close(self) -> None:
        """Leave nothing behind, and close the account: none is ever deleted, and its name stays taken."""
        self.program.delete_created()
        self.browser.fill_in("/account/deactivate", {"password": self.password})
