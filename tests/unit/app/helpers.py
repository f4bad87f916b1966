"""Helpers for tests of the app: databases, forms, logins, messages and posts."""

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse"

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
# Run a test that uses the fixture `app` on one database only.
only_sqlite = pytest.mark.parametrize("app", [DATABASES[0]], indirect=True)
only_postgresql = pytest.mark.parametrize("app", [DATABASES[1]], indirect=True)


def csrf_token(client: FlaskClient, url: str, **options) -> str:
    """Return the CSRF token of the first form on a page."""
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(url, **options).text)[1]


def submit(client: FlaskClient, url: str, form: str | None = None, **fields: str) -> TestResponse:
    """Load the page `form` (default: `url`), and submit the fields with its CSRF token to `url`."""
    return client.post(url, data={"csrf_token": csrf_token(client, form or url), **fields})


def log_in(client: FlaskClient, email: str, password: str = PASSWORD) -> TestResponse:
    """Submit the login form."""
    return submit(client, "/login", email=email, password=password)


def messages(page: TestResponse) -> list[str]:
    """Return the flash messages and field errors on a page."""
    return re.findall(r'class="(?:alert|invalid-feedback)[^>]*>([^<]+)<', page.text)


def bodies(page: TestResponse) -> list[str]:
    """Return the text of the posts on a page, as HTML."""
    return re.findall(r'<p class="post-body mb-0">(.*?)</p>', page.text, re.DOTALL)
