"""deploy/middleware/trusted_proxies.py, allowed_hosts.py and static_files.py: client, scheme, host, and files without
Nginx.
"""

import re

import pytest

from deploy import assets
from deploy.middleware import allowed_hosts, static_files, trusted_proxies
from deploy.middleware.normalize import FileWrapper
from deploy.settings import ROOT
from tests.support.wsgi import ask, echo, seen, settings, text


def behind(count: int, **environ: str) -> dict:
    """The environ that the app receives with TRUSTED_PROXIES=count."""
    return seen(trusted_proxies.wrap(echo, settings(TRUSTED_PROXIES=str(count))), **environ)


# --- client and scheme --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "header", "client"),
    [
        (0, None, "127.0.0.1"),
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 7.7.7.7,203.0.113.9", "203.0.113.9"),
        (2, "203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "6.6.6.6, 7.7.7.7, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, None, "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_client_is_counted_from_the_right(count, header, client):
    """The client's address is the one that the outermost trusted proxy saw; addresses that a client adds are
    ignored.
    """
    assert behind(count, HTTP_X_FORWARDED_FOR=header)["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ('"[2001:db8::7]:51234"', "2001:db8::7"),
        ('"203.0.113.7"', "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("6.6.6.6,203.0.113.7:80", "203.0.113.7"),
        ("203.0.113.7\t", "203.0.113.7"),
        *(
            (value, "")
            for value in ("unknown", "_hidden", "203.0.113.7:80:90", "203.0.113.256", "", " ", "<b>", "[::1")
        ),
        *((value, "") for value in ("for=203.0.113.7", "203.0.113.7 6.6.6.6", "fe80::1%eth0", "1.2.3", "١.٢.٣.٤")),
    ],
)
@pytest.mark.parametrize("port", ["", "8000"])
def test_client_is_an_ip_address(forwarded, client, port):
    """REMOTE_ADDR is the forwarded address without port, brackets and quotes, or else that of the connection, which
    Nginx has appended; without Nginx the server knows it.
    """
    header = f"{forwarded}, 198.51.100.1" if not port else forwarded
    app = trusted_proxies.wrap(echo, settings(TRUSTED_PROXIES="1" if port else "2", PORT=port))
    environ = {"HTTP_X_FORWARDED_FOR": header} | ({"REMOTE_ADDR": "198.51.100.1"} if port else {})
    assert seen(app, **environ)["REMOTE_ADDR"] == (client or "198.51.100.1")


def test_address_of_a_tcp_connection_stays():
    """If the server knows the peer and no proxy is trusted, the peer is the client."""
    assert behind(0, REMOTE_ADDR="198.51.100.1", HTTP_X_FORWARDED_FOR="6.6.6.6")["REMOTE_ADDR"] == "198.51.100.1"


@pytest.mark.parametrize("scheme_of_the_server", ["http", "https"])
@pytest.mark.parametrize(
    ("count", "header", "scheme"),
    [
        (0, None, "http"),
        (0, "https", "http"),
        (1, None, "http"),
        (1, "https", "https"),
        (1, "http", "http"),
        (2, "https", "https"),
        (1, "HTTPS", "https"),
        (1, '"https"', "https"),
        (1, "http, https", "https"),
        (1, "https,http", "http"),
        (2, "https, http", "https"),
        (2, "http, https, http", "https"),
        (3, "https, http", "https"),
        (1, "wss", "http"),
        (1, "", "http"),
    ],
)
def test_scheme(count, header, scheme, scheme_of_the_server):
    """The scheme is that of the trusted proxy, never the one that the WSGI server takes from a client's header."""
    app = trusted_proxies.wrap(scheme_app, settings(TRUSTED_PROXIES=str(count)))
    more = {"HTTP_X_FORWARDED_PROTO": header, "wsgi.url_scheme": scheme_of_the_server}
    assert ask(app, **more).body.decode() == scheme


def scheme_app(environ, start_response):
    """An app that answers with the scheme."""
    start_response("200 OK", [])
    return [environ["wsgi.url_scheme"].encode()]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_prefix_and_host_headers_are_ignored(count):
    """SCRIPT_NAME, which Gunicorn takes from a header, and the forwarded host, port and prefix are ignored."""
    passed_environ = behind(
        count,
        SCRIPT_NAME="/admin",
        HTTP_SCRIPT_NAME="/admin",
        HTTP_X_FORWARDED_HOST="evil.test",
        HTTP_X_FORWARDED_PORT="666",
        HTTP_X_FORWARDED_PREFIX="/evil",
    )
    assert (passed_environ["SCRIPT_NAME"], passed_environ["HTTP_HOST"], passed_environ["PATH_INFO"]) == (
        "",
        "example.com",
        "/",
    )
    assert (passed_environ["SERVER_NAME"], passed_environ["SERVER_PORT"]) == ("example.com", "80")


@pytest.mark.parametrize(
    ("host", "proto", "name", "port"),
    [
        ("example.com", None, "example.com", "80"),
        ("example.com", "https", "example.com", "443"),
        ("example.com:8080", None, "example.com", "8080"),
        ("example.com:8443", "https", "example.com", "8443"),
        ("127.0.0.1:80", None, "127.0.0.1", "80"),
        ("[::1]", None, "[::1]", "80"),
        ("[::1]:8080", "https", "[::1]", "8080"),
        ("[2001:db8::1]", "https", "[2001:db8::1]", "443"),
        ("", None, "localhost", "80"),
        (None, "https", "localhost", "443"),
        ("example.com:", "https", "example.com", "443"),
    ],
)
def test_server_name_and_port(host, proto, name, port):
    """SERVER_NAME and SERVER_PORT are those of the address in the browser, not a socket's or a machine's."""
    passed_environ = behind(1, HTTP_HOST=host, HTTP_X_FORWARDED_PROTO=proto, SERVER_NAME="/run/x.sock", SERVER_PORT="")
    assert (passed_environ["SERVER_NAME"], passed_environ["SERVER_PORT"]) == (name, port)


# --- hosts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "host", "served"),
    [
        ("*", "any.test", True),
        ("*", None, True),
        ("a.test,*", "any.test", True),
        ("example.com", "example.com", True),
        ("example.com", "example.com:8080", True),
        ("example.com", "EXAMPLE.com", True),
        ("Example.COM", "example.com", True),
        ("example.com", "www.example.com", False),
        ("example.com", "example.com.evil.test", False),
        ("example.com", "evil.test", False),
        ("example.com", "", False),
        ("example.com", None, False),
        ("example.com", "evilexample.com", False),
        ("example.com", "example.com:80@evil.test", False),
        (".example.com", "example.com", True),
        (".example.com", "a.b.example.com", True),
        (".example.com", "evilexample.com", False),
        ("a.test, b.test c.test", "b.test", True),
        ("a.test, b.test c.test", "c.test", True),
        ("a.test", "a.test, b.test", False),
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("example.com:8443", "example.com:8443", True),
        ("example.com:8443", "example.com:4444", False),
        ("example.com:8443", "example.com", False),
        ("example.com:8443", "evil.test:8443", False),
        (".example.com:8443", "www.example.com:8443", True),
        ("example.com:8443,example.com", "example.com", True),
    ],
)
def test_only_allowed_hosts_are_served(allowed, host, served):
    """Requests for the hosts of ALLOWED_HOSTS reach the app; all others get 400."""
    answer = ask(allowed_hosts.wrap(text(), settings(ALLOWED_HOSTS=allowed)), HTTP_HOST=host)
    assert answer.status == ("200 OK" if served else "400 Bad Request")


@pytest.mark.parametrize("path", ["/", "/readyz"])
def test_no_path_is_exempt_from_allowed_hosts(path):
    """READY_PATH is not exempt: a custom app's is often `/`, whose links would follow a forged host."""
    app = allowed_hosts.wrap(text(), settings(ALLOWED_HOSTS="example.com", READY_PATH=path))
    assert ask(app, path, HTTP_HOST="evil.test").status == "400 Bad Request"


# --- static files without Nginx -----------------------------------------------------------------------------

CSS = b"body { color: black }\n" * 100


@pytest.fixture
def built(tmp_path):
    """The assets of a folder of static files."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "site.css").write_bytes(CSS)
    assets.build(tmp_path / "source", tmp_path / "built")
    return tmp_path / "built"


def fetch(built, path, port="8000", **more):
    """The response for a static file; the app behind the middleware answers 404."""
    app = static_files.wrap(text("404 Not Found"), settings(STATIC_ROOT=str(built), PORT=port))
    return ask(app, path, **{"wsgi.file_wrapper": FileWrapper}, **more)


def test_files_are_served_only_with_port(built):
    """The app serves static files only with PORT; otherwise Nginx does."""
    assert fetch(built, "/static/site.css", port="").status == "404 Not Found"
    answer = fetch(built, "/static/site.css")
    assert (answer.status, answer.body) == ("200 OK", CSS)
    assert answer["Content-Type"].startswith("text/css")
    assert answer.all("Access-Control-Allow-Origin") == []


@pytest.mark.parametrize("path", [".manifest.json", "/.manifest.json", "docs/.hidden.js", ".well-known/x.txt"])
def test_hidden_files_are_not_served(built, path):
    """Hidden files are 404, as on Nginx and Apache: for example the list of all files."""
    (built / "docs").mkdir()
    (built / "docs/.hidden.js").write_text("x")
    (built / ".well-known").mkdir()
    (built / ".well-known/x.txt").write_text("x")
    assert fetch(built, f"/static/{path}").status == "404 Not Found"


def test_app_without_static_files(tmp_path):
    """A custom app may have no folder of static files."""
    assert fetch(tmp_path / "none", "/static/site.css").status == "404 Not Found"


def directives(value: str) -> set[str]:
    """The directives of a Cache-Control header."""
    return {part.strip() for part in value.split(",")}


def test_hashed_name_is_cached_for_a_year(built):
    """A hashed name may be cached for a year without revalidation; a plain name is revalidated each time."""
    hashed = directives(fetch(built, "/static/" + assets.hashed_name("site.css", CSS))["Cache-Control"])
    assert "immutable" in hashed and "public" in hashed
    (age,) = [int(part[8:]) for part in hashed if part.startswith("max-age=")]
    assert age >= 31536000
    plain = directives(fetch(built, "/static/site.css")["Cache-Control"])
    assert plain & {"no-cache", "max-age=0"} and "immutable" not in plain


@pytest.mark.parametrize("name", ["site.css", assets.hashed_name("site.css", CSS)])
def test_headers_are_those_of_nginx(built, name):
    """Each name has the same headers with and without Nginx."""
    conf = (ROOT / "nginx/conf.d/static-cache.conf").read_text()
    immutable, plain = re.search(r'"([^"]*immutable)"', conf)[1], re.search(r'default +"([^"]*)"', conf)[1]
    answer = fetch(built, f"/static/{name}")
    assert directives(answer["Cache-Control"]) == directives(plain if name == "site.css" else immutable)
    assert answer.all("X-Content-Type-Options") == ["nosniff"]


def test_unchanged_file_is_304(built):
    """A conditional request with the current ETag gets 304."""
    tag = fetch(built, "/static/site.css")["ETag"]
    assert fetch(built, "/static/site.css", HTTP_IF_NONE_MATCH=tag).status[:3] == "304"


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_precompressed_siblings_are_sent(built, coding):
    """Clients that accept compression get the compressed sibling, with Vary for caches."""
    answer = fetch(built, "/static/site.css", HTTP_ACCEPT_ENCODING=coding)
    assert (answer["Content-Encoding"], answer["Vary"]) == (coding, "Accept-Encoding")
    assert len(answer.body) == int(answer["Content-Length"]) < len(CSS)


@pytest.mark.parametrize(
    "path", ["/static/../source/site.css", "/static/..%2fsource/site.css", "/static/", "/static/none"]
)
def test_nothing_else_is_served(built, path):
    """Only files of the folder are served; other paths get 404."""
    assert fetch(built, path).status == "404 Not Found"
