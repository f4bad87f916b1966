"""Static files."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

IMMUTABLE = {"public", "max-age=31536000", "immutable"}
NOT_SERVED = {400, 403, 404}
CONTENT_TYPES = {".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}
# Files above the folder of static files, which a wrong `location` or `alias` would expose.
OUTSIDE = ["app/wsgi.py", "srv/app/wsgi.py", "wsgi.py", "dpkg/status", "lib/dpkg/status", "etc/passwd"]
TRAVERSALS = [
    "/static..",
    "/static%2f..",
    "/static/..",
    "/static/../..",
    "/static//..",
    "/static/%2e%2e",
    "/static/%2e%2e%2f%2e%2e",
    "/static/..%2f..",
    "/static/..%2f..%2f..",
    "/static/..%252f..",
    "/static/..%5c..",
]


@pytest.fixture
def plain(site, sheet):
    """Return the response with the uncompressed style sheet."""
    return site.get(sheet, headers={"Accept-Encoding": "identity"})


def test_files_of_the_page(site, files):
    """Every static file of the home page exists, has the right content type, and can be cached forever."""
    for file in files:
        headers = site.get(file).headers
        content_type, cache_control = headers.get("Content-Type", ""), headers.get("Cache-Control", "")
        expected = CONTENT_TYPES.get(PurePosixPath(urlsplit(file).path).suffix, "")
        assert expected in content_type, f"Content-Type of {file} is {content_type!r}"
        assert set(cache_control.split(", ")) == IMMUTABLE, f"Cache-Control of {file} is {cache_control!r}"


def test_names_change_with_content(files):
    """Every static file of the home page has a hash in its name."""
    for file in files:
        assert re.search(r"\.[0-9a-f]{8,}\.\w+$", file), f"{file} has no hash"


def test_not_compressed(plain):
    """Clients that don't accept compression get the identity encoding."""
    assert "Content-Encoding" not in plain.headers, f"Content-Encoding is {plain.headers['Content-Encoding']}"


def test_gzip(site, sheet, plain):
    """Clients that accept gzip get the same content with gzip, and Vary."""
    compressed = site.get(sheet, headers={"Accept-Encoding": "gzip"})
    _expect_compressed(compressed, "gzip", plain)
    assert compressed.content == plain.content, "the decompressed content differs from the uncompressed file"


def test_brotli(site, sheet, plain):
    """Clients that accept br get Brotli, which is smaller than gzip, and Vary."""
    compressed = site.get(sheet, headers={"Accept-Encoding": "br"})
    _expect_compressed(compressed, "br", plain)
    gzipped = site.get(sheet, headers={"Accept-Encoding": "gzip"})
    assert _transferred(compressed) < _transferred(gzipped), (
        f"{_transferred(compressed)} bytes, with gzip {_transferred(gzipped)}"
    )


def _expect_compressed(compressed, encoding: str, plain) -> None:
    content_encoding = compressed.headers.get("Content-Encoding")
    assert content_encoding == encoding, f"Content-Encoding is {content_encoding!r}"
    for response in (compressed, plain):
        vary = response.headers.get("Vary", "")
        assert "accept-encoding" in vary.lower(), f"Vary is {vary!r}"
    assert _transferred(compressed) < len(plain.content), (
        f"{_transferred(compressed)} bytes, uncompressed {len(plain.content)}"
    )


def _transferred(response) -> int:
    """Return the size of the body as it was transferred."""
    return response.raw.tell()


def test_not_modified(site, sheet, plain):
    """If-None-Match with the current ETag gets 304 without content."""
    tag = plain.headers.get("ETag", "")
    assert tag, "the file has no ETag"
    response = site.get(sheet, 304, headers={"If-None-Match": tag, "Accept-Encoding": "identity"})
    assert not response.content, "the response has content"


def test_range(site, sheet, plain):
    """Range requests get the requested part of a file (206)."""
    response = site.get(sheet, 206, headers={"Range": "bytes=10-19", "Accept-Encoding": "identity"})
    assert response.content == plain.content[10:20], "the content is a different part"
    content_range = response.headers.get("Content-Range")
    assert content_range == f"bytes 10-19/{len(plain.content)}", f"Content-Range is {content_range!r}"


def test_missing_file(site):
    """A missing static file gets a 404 that is not cached."""
    cache_control = site.get("/static/css/missing.0123456789ab.css", 404).headers.get("Cache-Control", "")
    assert "no-store" in cache_control and "immutable" not in cache_control, f"Cache-Control is {cache_control!r}"


@pytest.mark.parametrize("traversal", TRAVERSALS)
def test_path_traversal(site, traversal):
    """No encoding of .. below /static/ reaches source or system files."""
    for file in OUTSIDE:
        site.get(f"{traversal}/{file}", {301, 308, *NOT_SERVED}, exactly=True)  # redirects normalize the path


@pytest.mark.parametrize("path", ["/.env", "/.git/config", "/app/wsgi.py", "/Dockerfile", "/static/.env"])
def test_no_source(site, path):
    """Files of the repository are not served."""
    site.get(path, NOT_SERVED)
