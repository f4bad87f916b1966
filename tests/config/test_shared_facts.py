"""Facts that two tools must know are the same in both files."""

import base64
import hashlib
import re

import pytest

from deploy import assets
from deploy.middleware import request_id
from deploy.settings import ROOT
from tests.live.conformance.known import DIFFERENCES

ROOT = ROOT
STATIC_CACHE = (ROOT / "nginx/conf.d/static-cache.conf").read_text()
REQUEST_ID = (ROOT / "nginx/conf.d/request-id.conf").read_text()


def test_style_of_the_error_page_has_its_hash():
    """The Content-Security-Policy of the error page names exactly the style that is in it."""
    (style,) = re.findall(r"<style>(.*?)</style>", (ROOT / "nginx/errors/page.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert re.findall(r"'sha256-([^']+)'", (ROOT / "nginx/snippets/error-pages.conf").read_text()) == [digest]


def test_error_page_has_nothing_that_its_policy_forbids():
    """The page has one style and neither script nor style attribute, which would be blocked."""
    page = (ROOT / "nginx/errors/page.html").read_text()
    assert not re.search(r"<script|<img|<link|\sstyle=|\son\w+=", page)


def nginx_hashed() -> re.Pattern:
    """Nginx's idea of a hashed name."""
    (pattern,) = re.findall(r'"~(\S+)" +"[^"]*immutable"', STATIC_CACHE)
    return re.compile(pattern)


@pytest.mark.parametrize(
    "name",
    ["css/site.css", "a.min.js", "fonts/x.woff2", "img/a-b_c.svg", "deep/er/file.webmanifest", "x.tar.gz"],
)
def test_hashed_names_are_known_to_all(name, tmp_path):
    """A name that the build makes is known as hashed to Nginx and to the middleware, and its plain name to
    neither.
    """
    (tmp_path / "source" / name).parent.mkdir(parents=True)
    (tmp_path / "source" / name).write_text("content")
    hashed = assets.build(tmp_path / "source", tmp_path / "built")[name]
    for known in (nginx_hashed(), assets.HASHED_NAME):
        assert known.search(f"/static/{hashed}")
        assert not known.search(f"/static/{name}")


def test_hashed_patterns_are_the_same():
    """Nginx and the middleware have the same pattern, to the character, with the build's number of digits."""
    assert nginx_hashed().pattern == assets.HASHED_NAME.pattern
    assert f"{{{assets.HASH_DIGITS}}}" in assets.HASHED_NAME.pattern


@pytest.mark.parametrize("file", ["deploy/assets.py", "deploy/middleware/static_files.py"])
def test_files_that_share_the_pattern_name_each_other(file):
    """The comment that names the neighbour names a file that is there."""
    named = re.findall(r"nginx/conf\.d/[\w-]+\.conf", (ROOT / file).read_text())
    assert named and all((ROOT / name).is_file() for name in named), named


def test_request_ids_are_the_same():
    """Nginx and the middleware accept the same request ids."""
    (pattern,) = re.findall(r'"~\^(\S+)\$" +\$http_x_request_id', REQUEST_ID)
    assert request_id.ACCEPTED.__self__.pattern == pattern


def test_limits_of_nginx_are_below_the_servers():
    """Nginx decides about headers: every server takes at least what Nginx lets through."""
    limits = (ROOT / "nginx/conf.d/limits.conf").read_text()
    number, size = map(int, re.search(r"large_client_header_buffers (\d+) (\d+)k;", limits).groups())
    fields = int(re.search(r"max_headers (\d+);", limits)[1])
    uwsgi = dict(re.findall(r"^([\w-]+) = (\d+)$", (ROOT / "deploy/servers/uwsgi/uwsgi.ini").read_text(), re.M))
    assert int(uwsgi["buffer-size"]) > number * size * 1024
    assert int(uwsgi["max-vars"]) > fields + 50
    httpd = (ROOT / "deploy/servers/mod_wsgi/httpd.conf").read_text()
    assert int(re.search(r"^LimitRequestFields (\d+)", httpd, re.M)[1]) > fields + 20


def test_names_of_files_in_comments_exist():
    """A comment in deploy/ and nginx/ that names one of our files names one that is there."""
    missing = {}
    for folder in ("deploy", "nginx"):
        for path in (ROOT / folder).rglob("*"):
            if not path.is_file() or "__pycache__" in path.parts or path.suffix in {".pyc", ".html"}:
                continue
            for name in re.findall(r"\b(?:deploy|nginx)/[\w./-]+\.(?:py|conf|ini|c|template)\b", path.read_text()):
                if not (ROOT / name).exists() and not name.startswith("nginx/modules/"):
                    missing.setdefault(path.relative_to(ROOT).as_posix(), []).append(name)
    assert missing == {}


def test_readme_tells_the_proofs_result():
    """README's one line about the proof is what the last ./stack prove wrote, and the list has no other length."""
    [result] = re.findall(r"0 differences outside the list of (\d+)", (ROOT / "docs/conformance.md").read_text())
    assert f"0 differences outside a list of {result}]" in (ROOT / "README.md").read_text().replace("\n", " ")
    assert int(result) == len(DIFFERENCES)
