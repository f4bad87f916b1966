"""Static files."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

FOR_EVER = {"public", "max-age=31536000", "immutable"}
REFUSED = {400, 403, 404}
KINDS = {".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}
# What lies one level or a few above the folder of static files, where a careless `location` or `alias` leads.
BEHIND = ["app/wsgi.py", "srv/app/wsgi.py", "wsgi.py", "dpkg/status", "lib/dpkg/status", "etc/passwd"]
WAYS_OUT = [
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
    """The style sheet as it is, not compressed."""
    return site.get(sheet, headers={"Accept-Encoding": "identity"})


def test_files_of_the_page(site, files):
    """Every static file that the page names is there, with its type, and may be kept for ever."""
    for file in files:
        headers = site.get(file).headers
        kind, keep = headers.get("Content-Type", ""), headers.get("Cache-Control", "")
        assert KINDS.get(PurePosixPath(urlsplit(file).path).suffix, "") in kind, f"the type of {file} is {kind!r}"
        assert set(keep.split(", ")) == FOR_EVER, f"Cache-Control of {file} is {keep!r}"


def test_names_change_with_content(files):
    """Every static file that the page names has a hash in its name."""
    for file in files:
        assert re.search(r"\.[0-9a-f]{8,}\.\w+$", file), f"{file} has none"


def test_not_compressed(plain):
    """Who asks for no compression gets none."""
    assert "Content-Encoding" not in plain.headers, f"it is {plain.headers['Content-Encoding']}"


def test_gzip(site, sheet, plain):
    """Who takes gzip gets gzip, of the same content, marked for caches (Vary)."""
    packed = site.get(sheet, headers={"Accept-Encoding": "gzip"})
    _expect_packed(packed, "gzip", plain)
    assert packed.content == plain.content, "unpacked, it differs from the plain file"


def test_brotli(site, sheet, plain):
    """Who takes br gets br, smaller than gzip, marked for caches (Vary)."""
    packed = site.get(sheet, headers={"Accept-Encoding": "br"})
    _expect_packed(packed, "br", plain)
    gzipped = site.get(sheet, headers={"Accept-Encoding": "gzip"})
    assert _sent(packed) < _sent(gzipped), f"{_sent(packed)} bytes, with gzip {_sent(gzipped)}"


def _expect_packed(packed, encoding: str, plain) -> None:
    found = packed.headers.get("Content-Encoding")
    assert found == encoding, f"Content-Encoding is {found!r}"
    for answer in (packed, plain):
        vary = answer.headers.get("Vary", "")
        assert "accept-encoding" in vary.lower(), f"Vary is {vary!r}"
    assert _sent(packed) < len(plain.content), f"{_sent(packed)} bytes, and {len(plain.content)} without"


def _sent(answer) -> int:
    """How many bytes of body came over the network, before they were unpacked."""
    return answer.raw.tell()


def test_not_modified(site, sheet, plain):
    """Who has the file already gets 304 and no content."""
    tag = plain.headers.get("ETag", "")
    assert tag, "the file has no ETag"
    answer = site.get(sheet, 304, headers={"If-None-Match": tag, "Accept-Encoding": "identity"})
    assert not answer.content, "it has content"


def test_range(site, sheet, plain):
    """Who asks for a part of the file gets that part (206)."""
    answer = site.get(sheet, 206, headers={"Range": "bytes=10-19", "Accept-Encoding": "identity"})
    assert answer.content == plain.content[10:20], "it is another part"
    found = answer.headers.get("Content-Range")
    assert found == f"bytes 10-19/{len(plain.content)}", f"Content-Range is {found!r}"


def test_missing_file(site):
    """A missing static file gets a 404 that no cache keeps."""
    keep = site.get("/static/css/missing.0123456789ab.css", 404).headers.get("Cache-Control", "")
    assert "no-store" in keep and "immutable" not in keep, f"Cache-Control is {keep!r}"


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_out(site, way):
    """No spelling of .. leads out of /static/ to source or system files."""
    for file in BEHIND:
        site.get(f"{way}/{file}", {301, 308, *REFUSED}, exactly=True)  # redirects clean the path


@pytest.mark.parametrize("path", ["/.env", "/.git/config", "/app/wsgi.py", "/Dockerfile", "/static/.env"])
def test_no_source(site, path):
    """The repository's own files are not served."""
    site.get(path, REFUSED)
