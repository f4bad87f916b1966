"""A real `git push` to a bare repository whose hook builds and releases the app, as the platform's does."""

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


def push_commit(repository: Path, commit: str, work: Path, config: Mapping[str, str], cache: Path) -> int:
    """Push a commit to the branch main of the remote; return git's exit status. The slug is then in `work`/slug.

    config: the app's config vars. cache: the folder that is kept for the next build.
    """
    remote = work / "heroku.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", remote], check=True)
    (work / "push.json").write_text(json.dumps({"config": dict(config), "cache": str(cache)}))
    hook = remote / "hooks" / "pre-receive"
    # In its own mount namespace, since the slug is mounted at /app there.
    receive_command = [sys.executable, "-m", "cli.heroku.receive", str(work)]
    hook.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec unshare --mount {shlex.join(receive_command)} 2>&1\n"
    )
    hook.chmod(0o755)
    command = git.command("push", "--quiet", str(remote), f"{commit}:refs/heads/main", folder=repository)
    pushing = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return pushing.wait()
    except BaseException:  # Ctrl-C: the hook and its processes must end before their files are removed
        os.killpg(pushing.pid, signal.SIGTERM)
        pushing.wait()
        raise
