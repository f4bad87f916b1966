"""deploy/assets.py: hashed names, compressed siblings, publishing beside earlier releases."""

import gzip
import hashlib
import json
import os
import threading
import time

import brotli
import pytest

from deploy import assets
from tests.support.wsgi import python

CSS = b"body { color: black }\n" * 100
FILES = {
    "css/site.css": CSS,
    "css/small.css": b"a { }\n",
    "img/photo.png": bytes(range(256)) * 8,
    "noise.txt": os.urandom(2000),
    "LICENSE": b"free\n",
}


@pytest.fixture
def source(tmp_path):
    """A folder of static files."""
    for name, content in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def built(source, tmp_path):
    """The assets of `source`."""
    assets.build(source, tmp_path / "built")
    return tmp_path / "built"


def names(folder) -> set[str]:
    """The paths of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_a_hashed_and_a_plain_name(source, tmp_path, name):
    """Each file is written unchanged under its plain name and under a name with a hash of its content."""
    manifest = assets.build(source, tmp_path / "built")
    digest = hashlib.sha256(FILES[name]).hexdigest()[:12]
    stem, dot, suffix = name.partition(".")
    assert manifest[name] == f"{stem}.{digest}{dot}{suffix}"
    assert (tmp_path / "built" / name).read_bytes() == FILES[name]
    assert (tmp_path / "built" / manifest[name]).read_bytes() == FILES[name]


def test_manifest_maps_plain_names_to_hashed_names(source, tmp_path):
    """.manifest.json contains the return value of build(), and only files that exist."""
    manifest = assets.build(source, tmp_path)
    assert json.loads((tmp_path / assets.MANIFEST).read_text()) == manifest
    assert set(manifest) == set(FILES)
    assert set(manifest.values()) <= names(tmp_path)


def test_compressed_siblings_unpack_to_the_same_bytes(built):
    """Compressible files have a .gz and a .br sibling for both names, which unpack to exactly the file."""
    packed = {name for name in names(built) if name.endswith((".gz", ".br"))}
    plain = "css/site.css"
    hashed = assets.hashed_name(plain, CSS)
    assert packed == {f"{name}.{kind}" for name in (plain, hashed) for kind in ("gz", "br")}
    for name in (plain, hashed):
        assert gzip.decompress((built / f"{name}.gz").read_bytes()) == CSS
        assert brotli.decompress((built / f"{name}.br").read_bytes()) == CSS
        assert (built / f"{name}.br").stat().st_size < len(CSS)


def test_builds_are_reproducible(source, built, tmp_path, monkeypatch):
    """Builds are reproducible: the same files result in the same bytes at any time."""
    later = time.time() + 1000
    monkeypatch.setattr(time, "time", lambda: later)
    assets.build(source, tmp_path / "again")
    again = tmp_path / "again"
    assert names(again) == names(built)
    assert all((again / name).read_bytes() == (built / name).read_bytes() for name in names(built))


def test_different_contents_have_different_names():
    """Different contents have different hashed names."""
    assert assets.hashed_name("a/b.min.js", b"1") != assets.hashed_name("a/b.min.js", b"2")
    assert assets.hashed_name("a/b.min.js", b"1").startswith("a/b.min.")
    assert assets.hashed_name("a/b.min.js", b"1").endswith(".js")


def test_manifest_json_of_the_app_is_not_replaced(tmp_path):
    """An app's own manifest.json (web apps have one) is published unchanged, beside the manifest of the assets."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "manifest.json").write_text('{"name": "my app"}')
    manifest = assets.build(tmp_path / "source", tmp_path / "built")
    assert (tmp_path / "built" / "manifest.json").read_text() == '{"name": "my app"}'
    assert (tmp_path / "built" / manifest["manifest.json"]).read_text() == '{"name": "my app"}'
    assert list(manifest) == ["manifest.json"]


def test_publish_copies_everything(built, tmp_path):
    """All assets reach the folder that Nginx serves, and no temporary file remains."""
    assets.publish(str(built), str(tmp_path / "published"))
    assert names(tmp_path / "published") == names(built)
    assert all((tmp_path / "published" / name).read_bytes() == (built / name).read_bytes() for name in names(built))


def test_publish_keeps_the_modification_time(built, tmp_path):
    """Last-Modified and ETag depend on the image alone: they are the same after each start and on each host."""
    os.utime(built / "css/site.css", (5, 1234567890))
    assets.publish(str(built), str(tmp_path / "published"))
    assert (tmp_path / "published/css/site.css").stat().st_mtime == 1234567890


def test_publish_keeps_the_previous_release(source, built, tmp_path):
    """Pages of the previous release still find their files."""
    published = tmp_path / "published"
    assets.publish(str(built), str(published))
    (source / "css/site.css").write_bytes(b"new" * 1000)
    assets.build(source, tmp_path / "newer")
    assets.publish(str(tmp_path / "newer"), str(published))
    assert names(published) == names(built) | names(tmp_path / "newer")
    assert (published / assets.hashed_name("css/site.css", CSS)).read_bytes() == CSS
    assert (published / "css/site.css").read_bytes() == b"new" * 1000


def test_publish_does_not_rewrite_unchanged_files(built, tmp_path):
    """An unchanged file is not written again; only its access time is updated."""
    published = tmp_path / "published"
    assets.publish(str(built), str(published))
    inode = (published / "css/site.css").stat().st_ino
    os.utime(published / "css/site.css", (0, 0))
    assets.publish(str(built), str(published))
    assert (published / "css/site.css").stat().st_ino == inode
    assert (published / "css/site.css").stat().st_atime > time.time() - 60
    assert (published / "css/site.css").stat().st_mtime == 0, "its ETag would change with each start"


def test_publish_replaces_files_atomically(built, tmp_path):
    """Files are replaced by renaming: Nginx reads the old file or the new one, never a part."""
    published = tmp_path / "published"
    assets.publish(str(built), str(published))
    with open(published / "css/site.css", "rb") as reading:
        (built / "css/site.css").write_bytes(CSS[::-1])
        assets.publish(str(built), str(published))
        assert reading.read() == CSS
    assert (published / "css/site.css").read_bytes() == CSS[::-1]


def test_publish_prunes_unused_files(built, tmp_path):
    """Files that no start has published for RETENTION seconds are removed; younger files stay."""
    published = tmp_path / "published"
    published.mkdir()
    now = time.time()
    for name, age in (("old.css", assets.RETENTION + 60), ("young.css", assets.RETENTION - 60)):
        (published / name).write_text("")
        os.utime(published / name, (now - age, now - age))
    assets.publish(str(built), str(published))
    assert names(published) == names(built) | {"young.css"}


def test_containers_can_publish_concurrently(built, tmp_path, monkeypatch):
    """Containers can publish concurrently."""
    published, errors = tmp_path / "published", []
    hosts = threading.local()
    monkeypatch.setattr(os, "uname", lambda: type("Name", (), {"nodename": hosts.name}))

    def publish(name):
        hosts.name = name
        try:
            for _ in range(5):
                assets.publish(str(built), str(published))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=publish, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(published) == names(built)


def test_app_without_static_files_publishes_nothing(tmp_path):
    """A custom app may have no static files."""
    assets.publish(str(tmp_path / "none"), str(tmp_path / "published"))
    assert not (tmp_path / "published").exists()


def test_command_line(source, tmp_path):
    """`python3 -m deploy.assets` builds a folder, and prints its usage if the arguments are wrong."""
    code = "import runpy, sys; sys.argv[0] = 'assets'; runpy.run_module('deploy.assets', run_name='__main__')"
    done = python(code, str(source), str(tmp_path / "built"))
    assert (done.returncode, done.stdout.split()[0]) == (0, str(len(FILES))), done.stderr
    assert "usage:" in python(code, str(tmp_path / "none"), str(tmp_path)).stderr


def test_files_of_the_active_release_are_not_pruned(tmp_path):
    """The start of a new release prunes no files of the previous one, even if that has run for longer than
    RETENTION.
    """
    first, second, dest = tmp_path / "first", tmp_path / "second", tmp_path / "dest"
    for folder, content in ((first, b"old" * 500), (second, b"new" * 500)):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / "a.css").write_bytes(content)
        assets.build(tmp_path / "source", folder)
    assets.publish(str(first), str(dest))
    long_ago = time.time() - assets.RETENTION - 60
    published = [path for path in dest.rglob("a.*.css*")]
    for path in published:
        os.utime(path, (long_ago, long_ago))
    assets.publish(str(second), str(dest))
    assert [path for path in published if not path.exists()] == []


def test_compressed_siblings_of_the_source_are_not_used(tmp_path):
    """A .gz or .br file in the source never replaces the file it was made of: siblings are always made anew."""
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.mkdir()
    for name, content in (("app.css", CSS), ("data.tar", b"tar"), ("only.tar.gz", b"archive")):
        (source / name).write_bytes(content)
    for name in ("app.css.gz", "app.css.br", "data.tar.gz"):
        (source / name).write_bytes(b"outdated")
    manifest = assets.build(source, dest)
    assert set(manifest) == {"app.css", "data.tar", "only.tar.gz"}
    assert gzip.decompress((dest / "app.css.gz").read_bytes()) == CSS
    assert brotli.decompress((dest / "app.css.br").read_bytes()) == CSS
    assert gzip.decompress((dest / "data.tar.gz").read_bytes()) == b"tar", "the download is gone"
    assert (dest / "only.tar.gz").read_bytes() == b"archive"


def test_outdated_siblings_are_removed(source, built, tmp_path):
    """If a file has become too small for siblings, those of the earlier release are removed: Nginx would serve them."""
    published = tmp_path / "published"
    assets.publish(str(built), str(published))
    (source / "css/site.css").write_bytes(b"a { }")
    assets.build(source, tmp_path / "newer")
    assets.publish(str(tmp_path / "newer"), str(published))
    assert (published / "css/site.css").read_bytes() == b"a { }"
    assert not (published / "css/site.css.gz").exists() and not (published / "css/site.css.br").exists()


@pytest.mark.parametrize("suffix", ["mjs", "map", "webmanifest", "wasm", "svg", "ttf", "geojson", "md", "csv", "JS"])
def test_compressible_types(suffix, tmp_path):
    """Texts, JSON, XML, WebAssembly and uncompressed fonts have compressed siblings, whatever their case."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / f"a.{suffix}").write_bytes(CSS)
    assets.build(tmp_path / "source", tmp_path / "built")
    assert (tmp_path / "built" / f"a.{suffix}.gz").exists()


@pytest.mark.parametrize(
    "name, type_",
    [
        ("viewer.mjs", "text/javascript; charset=utf-8"),
        ("A.MJS", "text/javascript; charset=utf-8"),
        ("app.webmanifest", "application/manifest+json"),
        ("a.js.map", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.geojson", "application/geo+json"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_media_types(name, type_):
    """Files have the types that browsers require with nosniff, and texts are UTF-8."""
    assert assets.media_type(name) == type_


def test_no_suffix_has_two_media_types():
    """Each suffix of mime.types is listed once, in small letters."""
    lines = [line for line in assets.MIME_TYPES.read_text().splitlines() if line and not line.startswith("#")]
    suffixes = [suffix for line in lines for suffix in line.rpartition('"')[2].split() if "/" not in suffix]
    assert sorted(suffixes) == sorted(suffix[1:] for suffix in assets.media_types())
    assert all(suffix == suffix.lower() for suffix in suffixes)


def test_active_release_keeps_names_with_brackets(tmp_path):
    """Files such as [slug].js, as JavaScript frameworks name them, are kept like others."""
    dest = tmp_path / "dest"
    for folder, content in (("first", CSS), ("second", CSS[::-1])):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / "[slug].js").write_bytes(content)
        assets.build(tmp_path / "source", tmp_path / folder)
    assets.publish(str(tmp_path / "first"), str(dest))
    kept = list(dest.glob("*slug*"))
    for path in kept:
        os.utime(path, (0, 0))
    assets.publish(str(tmp_path / "second"), str(dest))
    assert all(path.exists() for path in kept) and len(kept) == 6
