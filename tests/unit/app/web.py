"""What a person does with the pages: fill in forms, log in, read mail."""

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse"


def csrf_token(client: FlaskClient, url: str, **options) -> str:
    """The token in the first form of a page."""
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(url, **options).text)[1]


def submit(client: FlaskClient, url: str, form: str | None = None, **fields: str) -> TestResponse:
    """Open the page `form` (default: `url` itself), and send the fields with its token to `url`."""
    return client.post(url, data={"csrf_token": csrf_token(client, form or url), **fields})


def log_in(client: FlaskClient, email: str, password: str = PASSWORD) -> TestResponse:
    """Fill in the log-in form."""
    return submit(client, "/login", email=email, password=password)


def messages(page: TestResponse) -> list[str]:
    """What the page says above its content, and beside its fields."""
    return re.findall(r'class="(?:alert|invalid-feedback)[^>]*>([^<]+)<', page.text)


def bodies(page: TestResponse) -> list[str]:
    """The notes on a page, as HTML."""
    return re.findall(r'<p class="post-body mb-0">(.*?)</p>', page.text, re.DOTALL)
