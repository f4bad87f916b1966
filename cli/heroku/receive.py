"""Receive the push: build the commit, pack the slug, run the release phase. Each of them can reject the push.

The pre-receive hook of the repository calls: python3 -m cli.heroku.receive WORK
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cli.heroku import build, dyno, environment, output, procfile, slug, source
from deploy.errors import StackError


def build_and_release(work: Path, commit: str) -> None:
    """Build the slug in `work`/slug, and run the release phase. Raise StackError to reject the push."""
    push = json.loads((work / "push.json").read_text())
    folder = work / "slug"
    folder.mkdir()
    source.export(Path.cwd(), commit, folder)
    # Git sets GIT_DIR and others for its hooks; the git calls of a build must not use that repository.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    Path(environment.APP).mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", folder, environment.APP], check=True)
    os.umask(0o022)
    build.compile_app(commit, push["config"], Path(push["cache"]), work / "pip")
    types = procfile.read((folder / "Procfile").read_text())
    output.step("Discovering process types")
    output.detail(f"Procfile declares types -> {', '.join(types)}")
    output.step("Compressing...")
    slug.ignore(folder)
    output.detail(slug.check_size(folder))
    subprocess.run(["chown", "-R", f"{dyno.USER}:{dyno.USER}", folder], check=True)
    if "release" in types:
        run_release_phase(folder, types["release"], push["config"])


def run_release_phase(folder: Path, command: str, config: Mapping[str, str]) -> None:
    """Run the release command in a one-off dyno. Raise StackError if it fails."""
    output.step(f"Running release command: {command}")
    with dyno.start(folder, "release.1", command, config) as one_off:
        status = one_off.wait()
        output.detail(one_off.tail())
    if status:
        raise StackError(
            f"Release command failed with exit status {status}.",
            "The new release gets no requests; the previous release stays active.",
            "correct the error that its output above shows, commit, and push again",
        )


def main() -> int:
    """Read the pushed refs from standard input, one a line: old commit, new commit, name."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs `finally` blocks, which stop the dynos
    try:
        for _, commit, _ in map(str.split, sys.stdin):
            build_and_release(Path(sys.argv[1]), commit)
    except StackError as error:
        output.error(error)
        print(f"\n{output.ERROR_MARK}Push rejected.", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
