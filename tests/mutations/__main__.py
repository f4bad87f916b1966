"""Mutation-test the stack: apply each mutation to a scratch copy and show that a test fails.

    python3 -m tests.mutations [WORD ...]     all mutations, or those with a WORD in their file or text

Run by `./stack mutate`. The scratch copy has images of its own. The exit status is 1 if a mutation survives (no test
fails) or cannot be applied.
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
STATE = ROOT / ".stack"  # the scratch copy is below it: the engine, outside this container, must see the same path
IMAGE_TAG = "mutant"
NOT_COPIED = shutil.ignore_patterns(".git", ".stack", "__pycache__", ".env")
CAUGHT, SURVIVED, NOT_APPLIED = "caught", "SURVIVED", "NOT APPLIED"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder. Stacks that it starts use the images of the scratch copy."""
    environment = os.environ | {"IMAGE_TAG": IMAGE_TAG}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)


def passes(folder: Path, check: str, with_images: bool) -> bool:
    """Whether the check passes on the copy. A failed build counts as a failed check.

    Raises AssertionError if pytest ran no test, for example because no test matches the check's `-k`.
    """
    if with_images and run(folder, "docker", "compose", "build", "--quiet", "web", "nginx", "postgres").returncode:
        return False
    done = run(folder, "pytest", "-q", "-x", *shlex.split(check))
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr  # 2: a test file could not be imported
    return done.returncode == 0


def needs_images(mutation: Mutation) -> bool:
    """Whether the check starts containers."""
    return "tests/live" in mutation.check


def outcome(mutation: Mutation, folder: Path) -> str:
    """Apply the mutation to the scratch copy, run its check and restore the file."""
    path = folder / mutation.file
    original = path.read_text()
    if mutation.old not in original:
        return NOT_APPLIED
    path.write_text(original.replace(mutation.old, mutation.new, 1))
    try:
        return SURVIVED if passes(folder, mutation.check, needs_images(mutation)) else CAUGHT
    finally:
        path.write_text(original)


def run_all(mutations: list[Mutation], folder: Path) -> int:
    """Print one line for each mutation. Return the number of mutations that were caught."""
    # A check that already fails on the original would seem to catch every mutation.
    for check, with_images in sorted({(mutation.check, needs_images(mutation)) for mutation in mutations}):
        if not passes(folder, check, with_images):
            sys.exit(f"{check} fails without any mutation: fix that first.")
    caught = 0
    for mutation in mutations:
        began = time.monotonic()
        result = outcome(mutation, folder)
        caught += result == CAUGHT
        first_line = mutation.old.strip().splitlines()[0][:60]
        print(f"{result:<12} {time.monotonic() - began:5.1f} s  {mutation.file}: {first_line}", flush=True)
    return caught


def make_copy(folder: Path) -> Path:
    """Copy the repository to a new folder and return it."""
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    # Some tests list the repository's files with git, or need a commit.
    author = ["-c", "user.name=mutate", "-c", "user.email=mutate@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "copy"]):
        done = run(folder, "git", *command)
        assert done.returncode == 0, done.stderr
    return folder


def select(words: list[str]) -> list[Mutation]:
    """The mutations with one of the words in their file or text; all mutations if there are no words."""
    return [
        mutation for mutation in MUTATIONS if not words or any(word in mutation.file + mutation.old for word in words)
    ]


def main(words: list[str]) -> int:
    """Test the selected mutations and return the exit status."""
    mutations = select(words)
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as scratch:
        caught = run_all(mutations, make_copy(Path(scratch) / "tripod"))
    print(f"{caught} of {len(mutations)} mutations were caught")
    return 0 if caught == len(mutations) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
