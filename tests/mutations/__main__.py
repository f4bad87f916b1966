"""Breaks each mutation in turn, in a scratch copy with images of its own, and shows that its check sees it.

    python3 -m tests.mutations [WORD ...]     all mutations, or those whose file or text has a WORD

Run by `./stack mutate`. Exit status 1 when a broken mutation stays green or could not be broken.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.configuration import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".stack"  # the engine, outside of this container, has to see the copy too
IMAGE_TAG = "mutant"
LEFT_OUT = shutil.ignore_patterns(".git", ".stack", "__pycache__", ".env")
CAUGHT, STAYED_GREEN, NOT_BROKEN = "caught", "STAYED GREEN", "NOT BROKEN"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    tagged = os.environ | {"IMAGE_TAG": IMAGE_TAG}
    return subprocess.run(command, cwd=folder, env=tagged, text=True, capture_output=True)


def is_green(folder: Path, check: str, needs_images: bool) -> bool:
    """Whether the check passes on the copy as it is; AssertionError when it judged nothing."""
    if needs_images and run(folder, "docker", "compose", "build", "--quiet", "web", "nginx", "postgres").returncode:
        return False
    done = run(folder, "pytest", "-q", "-x", *shlex.split(check))
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr  # 2: an error while the tests were read
    return done.returncode == 0


def is_live(mutation: Mutation) -> bool:
    return "tests/live" in mutation.check


def outcome(mutation: Mutation, folder: Path) -> str:
    """Breaks the mutation in the scratch copy, runs its check, mends it again."""
    path = folder / mutation.file
    whole = path.read_text()
    if mutation.old not in whole:
        return NOT_BROKEN
    path.write_text(whole.replace(mutation.old, mutation.new, 1))
    try:
        return STAYED_GREEN if is_green(folder, mutation.check, is_live(mutation)) else CAUGHT
    finally:
        path.write_text(whole)


def prove(mutations: list[Mutation], folder: Path) -> int:
    """Prints one line for each mutation and returns how many were caught."""
    # A check that is red anyway would catch everything.
    for check, live in sorted({(mutation.check, is_live(mutation)) for mutation in mutations}):
        if not is_green(folder, check, live):
            sys.exit(f"{check} is red although nothing is broken: mend that first.")
    caught = 0
    for mutation in mutations:
        began = time.monotonic()
        result = outcome(mutation, folder)
        caught += result == CAUGHT
        what = mutation.old.strip().splitlines()[0][:60]
        print(f"{result:<12} {time.monotonic() - began:5.1f} s  {mutation.file}: {what}", flush=True)
    return caught


def main(words: list[str]) -> int:
    chosen = [
        mutation for mutation in MUTATIONS if not words or any(word in mutation.file + mutation.old for word in words)
    ]
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as scratch:
        folder = Path(scratch) / "tripod"
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        run(folder, "git", "init", "--quiet")  # the checks ask git which files there are
        caught = prove(chosen, folder)
    print(f"{caught} of {len(chosen)} broken mutations caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
