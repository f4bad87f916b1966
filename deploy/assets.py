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
import shlex
import shutil
import sys
import time
from pathlib import Path

HASH_DIGITS = 12
# nginx/conf.d/static-cache.conf and deploy/targets/apache/front.conf have the same pattern.
HASHED_NAME = re.compile(rf"\.[0-9a-f]{{{HASH_DIGITS}}}(\.[^./]+)?$")
MIME_TYPES = Path(__file__).with_name("mime.types")
DEFAULT_TYPE = "application/octet-stream"
# The types that compression makes smaller; images, WOFF fonts and videos are compressed already.
_COMPRESSIBLE = re.compile(
    r"text/|.*[/+](json|xml|wasm|yaml|ttf|otf|x-icon|bmp|rtf|vnd.ms-fontobject|vnd.apple.mpegurl)\b"
)
SIBLINGS = (".gz", ".br")  # suffixes of the compressed siblings
MIN_COMPRESSED = 500  # bytes; compressing a smaller file saves no packet
RETENTION = 30 * 24 * 3600  # seconds that files of earlier releases stay, for open pages and for cached pages
MANIFEST = ".manifest.json"  # hidden: web apps have a manifest.json of their own, and Nginx serves no dotfiles


def media_types() -> dict[str, str]:
    """Suffix with its dot → media type, of the file mime.types."""
    lines = (shlex.split(line, comments=True) for line in MIME_TYPES.read_text().splitlines())
    return {f".{suffix}": line[0] for line in lines if line for suffix in line[1:]}


def media_type(name: str) -> str:
    """The media type of a file, by the suffix of its name."""
    return _TYPES.get(os.path.splitext(name)[1].lower(), DEFAULT_TYPE)


def hashed_name(name: str, content: bytes) -> str:
    """css/site.css → css/site.<hash>.css"""
    stem, suffix = os.path.splitext(name)
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}{suffix}"


_TYPES = media_types()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_with_siblings(path: Path, content: bytes, always: bool = False) -> None:
    import brotli  # only installed where images are built

    _write(path, content)
    if not always and (len(content) < MIN_COMPRESSED or not _COMPRESSIBLE.match(media_type(path.name))):
        return
    for suffix, compressed in zip(
        SIBLINGS, (gzip.compress(content, 9, mtime=0), brotli.compress(content, quality=11)), strict=True
    ):
        if always or len(compressed) < len(content):
            _write(path.with_name(path.name + suffix), compressed)


def _is_sibling(file: Path) -> bool:
    """Whether the file has the name of another file's compressed sibling."""
    return file.suffix in SIBLINGS and file.with_suffix("").is_file()


def build(source: Path, dest: Path) -> dict[str, str]:
    """Write the assets of `source` to `dest`, and return the manifest: plain name → hashed name.

    Compressed siblings in `source` are replaced by new ones, since they may be outdated: Nginx would serve them instead
    of the file.
    """
    manifest = {}
    for file in sorted(path for path in source.rglob("*") if path.is_file() and not _is_sibling(path)):
        name, content = file.relative_to(source).as_posix(), file.read_bytes()
        manifest[name] = hashed_name(name, content)
        has_siblings = any(file.with_name(file.name + suffix).is_file() for suffix in SIBLINGS)
        _write_with_siblings(dest / manifest[name], content)
        _write_with_siblings(dest / name, content, always=has_siblings)
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
        target = Path(dest) / file.relative_to(source)
        _publish_file(file, target)
        _remove_outdated_siblings(file, target)
    _prune(Path(dest), time.time() - RETENTION)


def _mark_last_release_in_use(dest: Path) -> None:
    """Keep the files of the release that was published last: it may be active, even for longer than RETENTION."""
    if (dest / MANIFEST).is_file():
        for name in json.loads((dest / MANIFEST).read_bytes()).values():
            for path in (dest / f"{name}{suffix}" for suffix in ("", *SIBLINGS)):
                if path.exists():
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


def _remove_outdated_siblings(file: Path, target: Path) -> None:
    """Remove siblings that an earlier release has published for the plain name and this one has not: Nginx would serve
    them instead of the file.
    """
    for suffix in SIBLINGS:
        if not file.with_name(file.name + suffix).exists():
            target.with_name(target.name + suffix).unlink(missing_ok=True)


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
