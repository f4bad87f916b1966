"""Build assets from static files, and publish them for Nginx.

    python3 -m deploy.assets SOURCE DEST

writes each file of SOURCE to DEST under two names, with compressed siblings (.gz and .br) where these are smaller:

- css/site.4f0c2a91b3d5.css, a hashed name, which contains a hash of the content and may be cached forever;
- css/site.css, the plain name, for apps that do not use hashed names.

DEST/.manifest.json maps plain names to hashed names. The content of files is not rewritten: a style sheet that refers
to a font by its plain name gets the file of that name.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

HASH_DIGITS = 12
# nginx/conf.d/static-cache.conf and deploy/targets/apache/front.conf have the same pattern.
HASHED_NAME = re.compile(rf"\.[0-9a-f]{{{HASH_DIGITS}}}\.[a-z0-9]+$")
COMPRESSIBLE = {".css", ".js", ".json", ".svg", ".txt", ".html", ".xml", ".map", ".ico", ".webmanifest", ".wasm"}
MIN_COMPRESSED = 500  # bytes; compressing a smaller file saves no packet
RETENTION = 30 * 24 * 3600  # seconds that files of earlier releases stay, for open pages and for cached pages
MANIFEST = ".manifest.json"  # hidden: web apps have a manifest.json of their own, and Nginx serves no dotfiles


def hashed_name(name: str, content: bytes) -> str:
    """css/site.css → css/site.<hash>.css"""
    stem, suffix = os.path.splitext(name)
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}{suffix}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_with_siblings(path: Path, content: bytes) -> None:
    import brotli  # only needed for builds: ./stack imports this module on hosts without packages

    _write(path, content)
    if path.suffix not in COMPRESSIBLE or len(content) < MIN_COMPRESSED:
        return
    siblings = {".gz": gzip.compress(content, 9, mtime=0), ".br": brotli.compress(content, quality=11)}
    for suffix, compressed in siblings.items():
        if len(compressed) < len(content):
            _write(path.with_name(path.name + suffix), compressed)


def build(source: Path, dest: Path) -> dict[str, str]:
    """Write the assets of `source` to `dest`, and return the manifest: plain name → hashed name."""
    manifest = {}
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name, content = file.relative_to(source).as_posix(), file.read_bytes()
        manifest[name] = hashed_name(name, content)
        _write_with_siblings(dest / manifest[name], content)
        _write_with_siblings(dest / name, content)
    _write(dest / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def publish(source: str, dest: str) -> None:
    """Copy the assets to the folder that Nginx serves, before the release answers requests.

    Files of earlier releases stay, since hashed names never collide. Files that no release has published for RETENTION
    seconds are removed.
    """
    if not Path(source).is_dir():
        return  # a custom app without static files
    _mark_last_release_in_use(Path(dest))
    for file in (path for path in Path(source).rglob("*") if path.is_file()):
        _publish_file(file, Path(dest) / file.relative_to(source))
    _prune(Path(dest), time.time() - RETENTION)


def _mark_last_release_in_use(dest: Path) -> None:
    """Keep the files of the release that was published last: it may be active, even for longer than RETENTION."""
    if (dest / MANIFEST).is_file():
        for name in json.loads((dest / MANIFEST).read_bytes()).values():
            for path in dest.glob(f"{name}*"):  # with its compressed siblings
                _mark_in_use(path, modified_as=path)


def _mark_in_use(path: Path, modified_as: Path) -> None:
    """Set the access time to now, and the modification time to that of `modified_as`.

    _prune() goes by the access time. Nginx makes Last-Modified and ETag from the modification time, which must be the
    same after each start and on each host; otherwise a restart would invalidate the copies in browsers.
    """
    os.utime(path, ns=(time.time_ns(), modified_as.stat().st_mtime_ns))


def _publish_file(file: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == file.stat().st_size and target.read_bytes() == file.read_bytes():
        _mark_in_use(target, modified_as=target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.uname().nodename}")
    shutil.copyfile(file, draft)
    _mark_in_use(draft, modified_as=file)
    draft.replace(target)


def _prune(folder: Path, unused_since: float) -> None:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_atime < unused_since:
                path.unlink()
        except FileNotFoundError:
            pass  # another container that starts at the same time removed it first


if __name__ == "__main__":
    if len(sys.argv) != 3 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python3 -m deploy.assets SOURCE DEST   (SOURCE: a folder of static files)")
    print(f"{len(build(Path(sys.argv[1]), Path(sys.argv[2])))} static files built in {sys.argv[2]}")
