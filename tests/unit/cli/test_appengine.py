"""./stack appengine: the files that it writes for the upload."""

import os

import pytest

from cli import console, main, requirements, venv
from cli.commands import appengine
from deploy.errors import EXIT_CONFIG


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder of the project; the commands that build static files are recorded in the file `commands`."""

    def run(title, argv, *, env, fix):
        assert "STATIC_ROOT" not in env and fix == "./stack appengine"
        with (tmp_path / "commands").open("a") as file:
            print(" ".join(argv).replace(f"{tmp_path}/", ""), file=file)

    monkeypatch.setattr(appengine, "ROOT", tmp_path)
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    monkeypatch.setattr(console, "run", run)
    monkeypatch.setattr(venv, "ensure", lambda folder, requirements, fix: folder)
    monkeypatch.setenv("STATIC_ROOT", "/srv/other")
    return tmp_path


def test_missing_database_url_is_a_configuration_error(folder, capsys):
    """Without .appengine/database_url, the command exits with 78 and shows how to write the file."""
    assert main.main(["appengine"]) == EXIT_CONFIG
    printed = capsys.readouterr().err
    assert printed.startswith("error: The file .appengine/database_url does not exist.\ncause: ")
    assert "fix:   (umask 077; echo 'postgresql://" in printed and not (folder / "commands").exists()


def test_secrets_are_private(folder):
    """Whatever the umask, other users can read neither the secret key nor what is put beside it."""
    before = os.umask(0)
    try:
        main.main(["appengine"])
    finally:
        os.umask(before)
    modes = [(folder / name).stat().st_mode & 0o777 for name in (".appengine", ".appengine/secret_key")]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize(("options", "uwsgi"), [([], False), (["--server", "uwsgi"], True)])
def test_files_of_the_upload_are_written(folder, options, uwsgi):
    """requirements.txt is for the chosen server; static files are built in a virtual environment of ./stack."""
    (folder / ".appengine").mkdir()
    (folder / ".appengine/database_url").write_text("postgresql://example/name")
    assert main.main(["appengine", *options]) == 0
    assert (folder / "requirements.txt").read_text() == requirements.locked(uwsgi=uwsgi)
    assert (folder / "commands").read_text().splitlines() == [
        ".stack/appengine/venv/bin/flask --app app.wsgi assets .stack/appengine/static-source",
        ".stack/appengine/venv/bin/python3 -m deploy.assets .stack/appengine/static-source static",
    ]


def test_secret_key_is_made_once(folder):
    """The secret key is private, and the same for all uploads."""
    (folder / ".appengine").mkdir()
    (folder / ".appengine/database_url").write_text("postgresql://example/name")
    main.main(["appengine"])
    key = folder / ".appengine/secret_key"
    first = key.read_text()
    assert len(first) == 64 and key.stat().st_mode & 0o777 == 0o600
    main.main(["appengine"])
    assert key.read_text() == first


def test_unknown_server_is_refused(folder, capsys):
    """App Engine has no Apache: mod_wsgi exits with 2."""
    assert main.main(["appengine", "--server", "mod_wsgi"]) == 2
    assert "'mod_wsgi'" in capsys.readouterr().err
