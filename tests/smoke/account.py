"""Somebody with an account on the site, as a browser and as a program."""

import secrets
from contextlib import contextmanager

from .client import REDIRECT, Site

NOT_LET_IN = """nobody was let in with email and password: a site that has each address confirmed by mail needs \
--user and --password of an account that is there"""


class Account:
    """Logged in by `browser`; `program` shows a token, which is revoked at the end."""

    def __init__(self, url: str, email: str, password: str):
        self.email, self.password = email, password
        self.browser, self.program = Site(url), Site(url)
        self.log_in(self.browser)
        token = self.browser.page("/account/tokens").fields["csrf_token"]
        name = f"smoke test {secrets.token_hex(4)}"
        headers = {"X-CSRFToken": token, "Referer": url + "/account/tokens"}
        made = self.browser.request("POST", "/api/v1/tokens", 201, json={"name": name}, headers=headers)
        self.token = made.headers["Location"]
        self.program.show(made.json()["token"])
        self.username = self.program.get("/api/v1/me").json()["username"]

    def log_in(self, site: Site) -> None:
        """Log in by the form. AssertionError if the site does not let them in."""
        answer = site.fill_in("/login", {"email": self.email, "password": self.password}, {200, *REDIRECT})
        assert answer.status_code in REDIRECT, NOT_LET_IN

    @classmethod
    @contextmanager
    def of(cls, url: str, email: str, password: str):
        """An account that is there, and stays."""
        account = cls(url, email, password)
        yield account
        account.program.request("DELETE", account.token, {204, 404})

    @classmethod
    @contextmanager
    def new(cls, url: str):
        """An account that is made now and closed at the end: accounts are never deleted, their names stay taken."""
        username, password = f"smoke_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        email = f"{username}@example.com"
        form = {"username": username, "email": email, "password": password, "password_confirm": password}
        Site(url).fill_in("/register", form)
        account = cls(url, email, password)
        yield account
        account.program.delete_created()
        account.browser.fill_in("/account/deactivate", {"password": password})
