"""Static files of every kind and name are the same on Nginx, on Apache alone and on a PORT."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from deploy.assets import hashed_name, media_types
from tests.live.stack import ROOT, Stack, docker

APP = ROOT / "tests/live/apps/one_file/hello.py"
TEXT = "text of a file that is large enough for compression\n" * 40
IMMUTABLE = "public, max-age=31536000, immutable"
# The types that browsers are strict about, and those that were application/octet-stream on a target.
# https://www.iana.org/assignments/media-types
TYPES = {
    "viewer.mjs": "text/javascript; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "UPPER.JS": "text/javascript; charset=utf-8",
    "app.webmanifest": "application/manifest+json",
    "a.wasm": "application/wasm",
    "a.js.map": "application/json",
    "a.json": "application/json",
    "a.geojson": "application/geo+json",
    "a.md": "text/markdown; charset=utf-8",
    "a.csv": "text/csv; charset=utf-8",
    "a.txt": "text/plain; charset=utf-8",
    "a.ttf": "font/ttf",
    "a.woff2": "font/woff2",
    "a.PNG": "image/png",
    "a.avif": "image/avif",
    "a.svg": "image/svg+xml",
    "a.unknown": "application/octet-stream",
    "no-suffix": "application/octet-stream",
}
ODD_NAMES = ("with space.js", "plus+plus.js", "per%41cent.js", "\u00fcn\u00efcode.js", "docs/index.html", "a.b.c.js")
NOT_SERVED = (".well-known/x.txt", "docs/", "docs", "", "none.css", "docs/.hidden.js")
COMPARED = ("Content-Type", "Content-Encoding", "Content-Length", "Cache-Control", "Vary", "X-Content-Type-Options")


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict[str, Path]:
    """The names of all files, with a file for each suffix of mime.types, and the app's folder that has them."""
    folder = tmp_path_factory.mktemp("types")
    shutil.copy(APP, folder)
    every = [*TYPES, *ODD_NAMES, ".well-known/x.txt", "docs/.hidden.js", *(f"b{suffix}" for suffix in media_types())]
    for name in every:
        file = folder / "static" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEXT)
    return {name: folder for name in every if not name.startswith(".") and "/." not in name}


@pytest.fixture(scope="module")
def stacks(make_stack, names):
    """The app on each target, by the target's name. The images are built once."""
    tag = f"{os.environ.get('IMAGE_TAG') or 'latest'}-types-{os.getpid()}"
    settings = {
        "APP_DIR": str(next(iter(names.values()))),
        "IMAGE_TAG": tag,
        "WSGI_APP": "hello:app",
        "READY_PATH": "/",
    }
    made = {
        "Nginx": make_stack(**settings),
        "Apache": make_stack("../../deploy/targets/apache/compose.yml", **settings),
        "PORT": make_stack("without-nginx.yml", **settings),
    }
    made["Nginx"].compose("build", "--quiet", "web", "nginx")
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.up, made.values()))
    yield made
    with ThreadPoolExecutor() as pool:
        list(pool.map(Stack.down, made.values()))
    docker("image", "rm", "--force", *(f"tripod-{service}:{tag}" for service in ("web", "nginx")), check=False)


def get(stack: Stack, name: str, encoding: str = "identity") -> tuple[int, dict[str, str | None], bytes]:
    """Return status, headers and body, as sent."""
    headers = {"Accept-Encoding": encoding}
    url = f"{stack.url}/static/{quote(name)}"
    with requests.get(url, headers=headers, stream=True, allow_redirects=False, timeout=10) as answer:
        body = answer.raw.read(decode_content=False)
        return answer.status_code, {header: answer.headers.get(header) for header in COMPARED}, body


@pytest.mark.parametrize("name", TYPES)
def test_media_type(stacks, name):
    """A file has the media type of its suffix, in capital letters too."""
    for target, stack in stacks.items():
        status, headers, body = get(stack, name)
        assert (status, headers["Content-Type"], body.decode()) == (200, TYPES[name], TEXT), target
        assert headers["X-Content-Type-Options"] == "nosniff", target


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_every_file_is_the_same(stacks, names, encoding):
    """Every file, by its plain name and by its hashed name, has the same headers and bytes on all targets."""
    for plain in names:
        for name in (plain, hashed_name(plain, TEXT.encode())):
            answers = {target: get(stack, name, encoding) for target, stack in stacks.items()}
            status, headers, _ = answers["Nginx"]
            assert status == 200, name
            assert headers["Cache-Control"] == ("no-cache" if name == plain else IMMUTABLE), name
            assert answers == dict.fromkeys(answers, answers["Nginx"]), name


@pytest.mark.parametrize("name", ["viewer.mjs", "a.wasm", "a.csv", "a.js.map"])
def test_new_types_are_compressed(stacks, name):
    """Files of these types are compressed for clients that accept it."""
    for target, stack in stacks.items():
        assert get(stack, name, "br")[1]["Content-Encoding"] == "br", target


@pytest.mark.parametrize("name", NOT_SERVED)
def test_what_is_no_file_is_not_found(stacks, name):
    """Hidden files, folders and missing files are 404 on all targets."""
    assert {target: get(stack, name)[0] for target, stack in stacks.items()} == dict.fromkeys(stacks, 404)
