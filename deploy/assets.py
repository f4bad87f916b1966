"""Static files: hashed names and compressed siblings at build time, publishing and pruning at start.

    python3 -m deploy.assets SOURCE DEST

writes each file of SOURCE to DEST three ways: under a name that holds a hash of its content
(css/site.4f0c2a91b3d5.css), which may be cached for ever; as .gz and .br beside it where that is smaller; and under
its plain name, for apps that know nothing of hashed names. DEST/.manifest.json maps plain names to hashed ones.

A file's content may name other files of the folder (a style sheet its fonts): this tool does not rewrite it, so such
references lead to the plain names, which are served too.
"""

import gzip
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

HASH_DIGITS = 12  # nginx/conf.d/static-cache.conf and deploy/middleware/static_files.py know the pattern
COMPRESSIBLE = {".css", ".js", ".json", ".svg", ".txt", ".html", ".xml", ".map", ".ico", ".webmanifest", ".wasm"}
SMALLEST = 500  # bytes; below this a compressed file saves no packet
KEEP = 30 * 24 * 3600  # seconds that files of earlier releases stay, for pages still open or cached somewhere
MANIFEST = ".manifest.json"  # hidden: apps have a manifest.json of their own, and Nginx serves no dotfiles


def hashed_name(name: str, content: bytes) -> str:
    """css/site.css → css/site.<hash>.css"""
    stem, suffix = os.path.splitext(name)
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}{suffix}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_with_siblings(path: Path, content: bytes) -> None:
    import brotli  # only where files are built: ./stack imports this module on bare hosts

    _write(path, content)
    if path.suffix not in COMPRESSIBLE or len(content) < SMALLEST:
        return
    packed = {".gz": gzip.compress(content, 9, mtime=0), ".br": brotli.compress(content, quality=11)}
    for suffix, smaller in packed.items():
        if len(smaller) < len(content):
            _write(path.with_name(path.name + suffix), smaller)


def build(source: Path, dest: Path) -> dict[str, str]:
    """Writes all of `source` to `dest` and returns the manifest: plain name → hashed name."""
    manifest = {}
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name, content = file.relative_to(source).as_posix(), file.read_bytes()
        manifest[name] = hashed_name(name, content)
        _write_with_siblings(dest / manifest[name], content)
        _write_with_siblings(dest / name, content)
    _write(dest / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def publish(source: str, dest: str) -> None:
    """Copies the built files to where Nginx reads them, before any page that needs them is served.

    Hashed names never collide, so files of the old release stay beside those of the new one; what no start has named
    for KEEP seconds is removed.
    """
    if not Path(source).is_dir():
        return  # a brought app without static files
    _touch_last(Path(dest))
    for file in (path for path in Path(source).rglob("*") if path.is_file()):
        _publish_file(file, Path(dest) / file.relative_to(source))
    _prune(Path(dest), time.time() - KEEP)


def _touch_last(dest: Path) -> None:
    """The release that was published last still serves its pages, perhaps for longer than KEEP: nothing of it goes."""
    if (dest / MANIFEST).is_file():
        for name in json.loads((dest / MANIFEST).read_bytes()).values():
            for path in dest.glob(f"{name}*"):  # and its compressed siblings
                _touch(path, path)


def _touch(path: Path, as_old_as: Path) -> None:
    """Marks the file as in use now, by its time of access. Its time of change makes Last-Modified and ETag, which must
    be the same after each start and on each host, else no browser's copy is good for longer than a restart.
    """
    os.utime(path, ns=(time.time_ns(), as_old_as.stat().st_mtime_ns))


def _publish_file(file: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == file.stat().st_size and target.read_bytes() == file.read_bytes():
        _touch(target, target)  # still in use: not to be pruned
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.uname().nodename}")
    shutil.copyfile(file, draft)
    _touch(draft, file)
    draft.replace(target)


def _prune(folder: Path, before: float) -> None:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_atime < before:
                path.unlink()
        except FileNotFoundError:
            pass  # another container that starts at the same time was first


if __name__ == "__main__":
    if len(sys.argv) != 3 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python3 -m deploy.assets SOURCE DEST   (SOURCE: a folder of static files)")
    print(f"{len(build(Path(sys.argv[1]), Path(sys.argv[2])))} static files built in {sys.argv[2]}")
