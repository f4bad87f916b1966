"""Calling git on a repository that may belong to another user."""

from cli.console import ROOT


def command(*words, folder=ROOT):
    """The command line of a git call in `folder`.

    Git refuses to work in a repository of another user, because it might execute hooks or programs that the
    repository's configuration names. ./stack only reads there. https://git-scm.com/docs/git-config (safe.directory)
    """
    return ["git", "-c", "safe.directory=*", "-C", str(folder), *words]
