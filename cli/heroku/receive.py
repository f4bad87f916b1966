"""The receiving end of the push: builds the commit, packs the slug, runs the release phase. Any of them can refuse it.

git's pre-receive hook  →  python3 -m cli.heroku.receive WORK
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


def receive(work: Path, commit: str) -> None:
    """Leaves the slug in `work`/slug. Raises StackError."""
    order = json.loads((work / "order.json").read_text())
    folder = work / "slug"
    folder.mkdir()
    source.export(Path.cwd(), commit, folder)
    # git tells its hooks where its repository is; a git that a build runs must not believe that.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    Path(environment.APP).mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", folder, environment.APP], check=True)
    os.umask(0o022)
    build.compile_app(commit, order["config"], Path(order["cache"]), work / "pip")
    types = procfile.read((folder / "Procfile").read_text())
    output.step("Discovering process types")
    output.detail(f"Procfile declares types -> {', '.join(types)}")
    output.step("Compressing...")
    slug.ignore(folder)
    output.detail(slug.judge(folder))
    subprocess.run(["chown", "-R", f"{dyno.USER}:{dyno.USER}", folder], check=True)
    if "release" in types:
        release(folder, types["release"], order["config"])


def release(folder: Path, command: str, config: Mapping[str, str]) -> None:
    """The release phase, in a one-off dyno. Raises StackError if it fails."""
    output.step(f"Running release command: {command}")
    with dyno.start(folder, "release.1", command, config) as one_off:
        status = one_off.wait()
        output.detail(one_off.tail())
    if status:
        raise StackError(
            f"Release command failed with exit status {status}.",
            "The new release takes no traffic; the one before stays.",
            "mend what it says, and push again",
        )


def main() -> int:
    """Every line of standard input is one ref: old commit, new commit, name."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` blocks stop what they started
    try:
        for _, commit, _ in map(str.split, sys.stdin):
            receive(Path(sys.argv[1]), commit)
    except StackError as refusal:
        output.error(refusal)
        print(f"\n{output.ERROR_MARK}Push rejected.", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
