"""No input is answered with 5xx: unusual values in every path, query, header, form and JSON field of every view.

The views come from the app's URL map and the form fields from its pages, so new ones are included.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote_from_bytes

import pytest
from werkzeug.routing import Rule
from werkzeug.test import create_environ, run_wsgi_app

from app.api.idempotency import HEADER as IDEMPOTENCY_KEY
from tests.unit.app.helpers import PASSWORD, csrf_token, log_in, only_postgresql

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
JSON = "application/json"

# Bytes, because a client can send any.
VALUES = {
    "empty": b"",
    "space": b" ",
    "NUL": b"a\0b",
    "control characters": b"\x1b[2J\r\n\x7f",
    "C1 control characters": b"\xc2\x80\xc2\x9f",
    "not UTF-8": b"\xff\xfe",
    "lone surrogate": b"\xed\xa0\x80",
    "right-to-left override": "\u202egpj.exe".encode(),
    "zero-width space": "\u200b".encode(),
    "ligature that grows in NFKD": "\ufdfa".encode() * 300,
    "full-width letters": "ａｄｍｉｎ＠ｅｘａｍｐｌｅ.com".encode(),
    "malformed URL": b"http://[x",
    "malformed URL with a backslash": b"\\\\[x",
    "URL with a host that NFKC changes": "http://ex\u2100mple.com".encode(),
    "URL with a wrong port": b"http://localhost:99999999999/",
    "4096 characters and one": b"x" * 4097,
    "long email": b"a" * 3000 + b"@example.com",
    "many at signs": b"@" * 3000,
    "quoted local part": b'"a\\"b"@[127.0.0.1]',
    "5000 digits": b"9" * 5000,
    "2^63": b"9223372036854775808",
    "negative": b"-1",
    "other digits": "٣".encode(),
    "exponent": b"1e999",
    "not a number": b"NaN",
    "format": b"%s{0.__class__}{{7*7}}",
    "percent": b"%",
    "SQL": b"' OR 1=1 --",
    "LIKE": b"%_\\",
    "JSON": b'{"a":[1]}',
    "parent folder": b"../../etc/passwd",
}
JSON_VALUES = {
    **{f"text {name}": b'"' + value + b'"' for name, value in VALUES.items() if b'"' not in value},
    "NUL, escaped": rb'"a\u0000"',
    "lone surrogate, escaped": rb'"\ud800"',
    "number": b"5",
    "number of 5000 digits": b"9" * 5000,
    "exponent": b"1e999",
    "infinity": b"-Infinity",
    "true": b"true",
    "null": b"null",
    "list": b"[1]",
    "list of lists": b"[[]]",
    "object": b'{"a":{}}',
    "deep list": b"[" * 30_000,
    "deep object": b'{"a":' * 10_000,
    "same key twice": b'{"a":1,"a":2}',
    "not closed": b'{"a":',
    "UTF-16": '{"a":1}'.encode("utf-16"),
}
VALID = {  # a value for each form field that makes the rest of the form valid
    "email": b"nobody@example.com",
    "username": b"nobody",
    "password": PASSWORD.encode(),
    "password_confirm": PASSWORD.encode(),
    "new_password": b"a new horse",
    "new_password_confirm": b"a new horse",
}
EXISTING = {
    "username": "author",
    "action": "unlock",
    "post_id": "1",
    "target_id": "2",
    "token_id": "1",
    "token": "x.y",
    "filename": "x.css",
}
QUERY_FIELDS = ["q", "before", "next", "email", "limit", "author", "search", "auth_token"]
JSON_FIELDS = ["body", "name", "email", "password", "next", "csrf_token"]
# Sent together, since none of them decides whether another one is read.
HEADERS = ["If-Match", "If-None-Match", "If-Modified-Since", "Range", "Referer", "X-CSRFToken", "Authentication-Token"]
HEADERS += ["Accept", "Origin", IDEMPOTENCY_KEY]
AUTHORIZATION = {
    "bearer": b"Bearer",
    "digest": b'Digest username="x", nonce="',
    "Basic without base64": b"Basic \xff",
    **{f"bearer {name}": b"Bearer " + value for name, value in VALUES.items()},
    **{f"user {name}": b"Basic " + base64.b64encode(value + b":x") for name, value in VALUES.items()},
    **{f"password {name}": b"Basic " + base64.b64encode(b"author:" + value) for name, value in VALUES.items()},
}
CONTENT_TYPES = {
    "multipart without boundary": b"multipart/form-data",
    "form with unknown charset": b"application/x-www-form-urlencoded; charset=x",
    "JSON with unknown charset": b"application/json; charset=x",
    "JSON suffix": b"application/x+json",
    **VALUES,
}


class Site(NamedTuple):
    """An app, and the headers of an admin's session and token."""

    app: object
    session: dict[str, bytes]
    token: dict[str, bytes]
    csrf: bytes

    def status(self, method: str, path: bytes, query=b"", body=b"", headers=(), kind: str = "") -> str:
        """Send a request with exactly these bytes. Return the status."""
        environ = create_environ(method=method, data=body or None, content_type=kind or None)
        environ["PATH_INFO"] = path.decode("latin-1")
        environ["QUERY_STRING"] = query.decode("latin-1")
        for name, value in dict(headers).items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.decode("latin-1")
        _, status, _ = run_wsgi_app(self.app.wsgi_app, environ, buffered=True)
        return status

    def credentials(self, rule: Rule) -> dict[str, bytes]:
        return self.token if rule.rule.startswith("/api/") else self.session

    def assert_no_failure(self, requests: Iterable[tuple[str, Rule, dict]], at_least: int) -> None:
        """Send each request as an admin. Raise AssertionError with all that were answered with 5xx, or if too few."""
        failed, sent = [], 0
        for name, rule, request in requests:
            defaults = {"path": path_of(rule), "headers": self.credentials(rule)}
            status = self.status(**defaults | request)
            sent += 1
            if status >= "5":
                failed.append(f"{request['method']} {rule.rule} {name}: {status}")
        assert not failed
        assert sent >= at_least


@pytest.fixture
def site(make_app, database, app, add_user, add_posts):
    """Return the app without rate limits, with an admin, a user and posts. Exceptions are answered with 500."""
    add_user("boss", admin=True)
    add_posts(2)
    app = make_app(database, RATE_LIMITS=False, PROPAGATE_EXCEPTIONS=False)
    client = app.test_client()
    assert log_in(client, "boss@example.com").status_code == 302
    csrf = csrf_token(client, "/").encode()
    cookies = b"session=" + client.get_cookie("session").value.encode()
    headers = {"X-CSRFToken": csrf.decode()}
    token = client.post("/api/v1/tokens", json={"name": "tests"}, headers=headers).json["token"].encode()
    return Site(app, {"Cookie": cookies}, {"Authorization": b"Bearer " + token}, csrf)


def path_of(rule: Rule, **values: bytes) -> bytes:
    """Return the path of a rule, with existing resources for its variables unless `values` has others."""

    def replace(match: re.Match) -> bytes:
        name = match[1].rpartition(b":")[2].decode()
        return values.get(name, EXISTING.get(name, "x").encode())

    return re.sub(rb"<([^>]+)>", replace, rule.rule.encode())


def rules(site: Site) -> list[Rule]:
    """Return all rules of the app. Logging out comes last: it ends the session."""
    return sorted(site.app.url_map.iter_rules(), key=lambda rule: "logout" in rule.rule)


def writes(site: Site) -> list[tuple[str, Rule]]:
    """Return the rules with the methods that may have a body."""
    return [(method, rule) for rule in rules(site) for method in sorted(rule.methods - {"GET", "HEAD", "OPTIONS"})]


def form_fields(site: Site, rule: Rule) -> list[str]:
    """Return the names of the fields in all forms of a page, for anonymous clients and users."""
    clients = [site.app.test_client() for _ in range(2)]
    clients[0].set_cookie("session", site.session["Cookie"].removeprefix(b"session=").decode())
    pages = [client.get(path_of(rule).decode()).text for client in clients]
    names = sorted({name for page in pages for name in re.findall(r'<(?:input|textarea)[^>]* name="(\w+)"', page)})
    return names or ["reason"]  # of the forms that admins submit on other pages


def as_form(fields: dict[str, bytes]) -> bytes:
    return b"&".join(name.encode() + b"=" + quote_from_bytes(value).encode() for name, value in fields.items())


def as_multipart(fields: dict[str, bytes]) -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(part % (name.encode(), value) for name, value in fields.items()) + b"--b--\r\n"


def test_paths(site):
    """Any value of any variable in a path."""

    def requests() -> Iterator:
        for rule in rules(site):
            for variable in rule.arguments:
                for name, value in VALUES.items():
                    for method in rule.methods - {"HEAD", "OPTIONS"}:
                        yield f"{variable} {name}", rule, {"method": method, "path": path_of(rule, **{variable: value})}

    site.assert_no_failure(requests(), at_least=900)


@only_postgresql
def test_queries(site):
    """Any value of any query parameter, on every view, and a parameter whose name is any bytes."""

    def requests() -> Iterator:
        for rule in rules(site):
            if "GET" not in rule.methods:
                continue
            for name, value in VALUES.items():
                query = as_form(dict.fromkeys(QUERY_FIELDS, value)) + b"&" + quote_from_bytes(value).encode() + b"=1"
                yield name, rule, {"method": "GET", "query": query}
                yield f"{name}, anonymous", rule, {"method": "GET", "query": query, "headers": {}}

    site.assert_no_failure(requests(), at_least=1000)


@only_postgresql
def test_headers(site):
    """Any value of any header that the app reads, on every view."""

    def requests() -> Iterator:
        for rule in rules(site):
            method = "GET" if "GET" in rule.methods else min(rule.methods - {"HEAD", "OPTIONS"})
            credentials = site.credentials(rule)
            for name, value in VALUES.items():
                yield name, rule, {"method": method, "headers": dict.fromkeys(HEADERS, value) | credentials}
                yield f"Host {name}", rule, {"method": method, "headers": {"Host": value} | credentials}
                cookies = {"Cookie": b"session=" + value + b"; device=" + value + b"; " + value}
                yield f"cookies {name}", rule, {"method": method, "headers": cookies}

    site.assert_no_failure(requests(), at_least=3000)


@only_postgresql
def test_credentials_and_content_types(site):
    """Any Authorization, and any Content-Type, on views that read them."""

    def requests() -> Iterator:
        for rule in rules(site):
            if rule.rule in ("/", "/api/v1/me"):
                for name, value in AUTHORIZATION.items():
                    yield name, rule, {"method": "GET", "headers": {"Authorization": value}}
            if rule.rule in ("/", "/login", "/register", "/api/v1/posts", "/api/v1/tokens"):
                for name, value in CONTENT_TYPES.items():
                    headers = site.credentials(rule) | {"Content-Type": value}
                    for body in (b'{"body":"x"}', b"email=a"):
                        yield name, rule, {"method": "POST", "headers": headers, "body": body}

    site.assert_no_failure(requests(), at_least=400)


@only_postgresql
def test_forms(site):
    """Any value of any form field, with a valid CSRF token and valid other fields, on every page. The API has none."""
    pages = [(method, rule) for method, rule in writes(site) if not rule.rule.startswith("/api/")]
    fields = {rule.rule: form_fields(site, rule) for _, rule in pages}
    every_field = {field for names in fields.values() for field in names}
    assert every_field >= {"email", "username", "password", "new_password", "body", "name", "reason", "next"}

    def requests() -> Iterator:
        for method, rule in pages:
            valid = {"csrf_token": site.csrf} | VALID
            for name, value in VALUES.items():
                everything = dict.fromkeys(every_field, value) | {"csrf_token": site.csrf}
                for kind, body in ((FORM, as_form(everything)), (MULTIPART, as_multipart(everything))):
                    yield f"all fields {name}", rule, {"method": method, "body": body, "kind": kind}
                for field in fields[rule.rule]:
                    yield (
                        f"{field} {name}",
                        rule,
                        {"method": method, "body": as_form(valid | {field: value}), "kind": FORM},
                    )

    site.assert_no_failure(requests(), at_least=1500)


@only_postgresql
def test_anonymous_forms(site):
    """Any value of any form field that anonymous clients submit."""
    client = site.app.test_client()
    csrf = csrf_token(client, "/login").encode()
    headers = {"Cookie": b"session=" + client.get_cookie("session").value.encode()}

    def requests() -> Iterator:
        for method, rule in writes(site):
            if rule.rule not in ("/login", "/register", "/reset", "/confirm"):
                continue
            for name, value in VALUES.items():
                for field in ("csrf_token", *VALID, "next"):
                    body = as_form({"csrf_token": csrf} | VALID | {field: value})
                    yield f"{field} {name}", rule, {"method": method, "body": body, "kind": FORM, "headers": headers}

    site.assert_no_failure(requests(), at_least=500)


@only_postgresql
def test_json(site):
    """Any JSON, as the body and as the value of any field, in the API with any method, and some JSON on every page."""

    def requests() -> Iterator:
        for rule in rules(site):
            headers = site.credentials(rule) | {"X-CSRFToken": site.csrf}
            is_api = rule.rule.startswith("/api/")
            names = JSON_VALUES if is_api else ("number", "text empty", "list", "object", "deep list")
            for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
                for name in names:
                    value = JSON_VALUES[name]
                    fields = b",".join(b'"%b":%b' % (field.encode(), value) for field in JSON_FIELDS)
                    bodies = (value, b"{" + fields + b"}") if is_api else (value,)
                    for body in bodies:
                        yield name, rule, {"method": method, "body": body, "kind": JSON, "headers": headers}

    site.assert_no_failure(requests(), at_least=1000)
