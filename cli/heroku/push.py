"""A real `git push` to a bare repository whose receiving hook builds and releases, as the platform's does."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cli import git
from deploy.settings import ROOT


def push(repository: Path, commit: str, work: Path, config: Mapping[str, str], cache: Path) -> int:
    """Pushes the commit as the remote's main and returns git's exit status; then the slug is in `work`/slug.

    `config` are the app's config vars. What a build keeps for the next one goes to `cache`.
    """
    remote = work / "heroku.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", remote], check=True)
    (work / "order.json").write_text(json.dumps({"config": dict(config), "cache": str(cache)}))
    hook = remote / "hooks" / "pre-receive"
    # A mount namespace of its own: the folder that is built is /app there, and nowhere else.
    receive = [sys.executable, "-m", "cli.heroku.receive", str(work)]
    hook.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec unshare --mount {shlex.join(receive)} 2>&1\n")
    hook.chmod(0o755)
    command = git.command("push", "--quiet", str(remote), f"{commit}:refs/heads/main", folder=repository)
    pushing = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return pushing.wait()
    except BaseException:  # Ctrl-C: the hook and all that it has started end before their files go
        os.killpg(pushing.pid, signal.SIGTERM)
        pushing.wait()
        raise
