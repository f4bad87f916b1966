"""Static files: copied at build time, served under hashed names, and served without a build in development."""

import json
import re

from flask import url_for

from app import create_app
from app.bundles import VENDORED


def static_urls(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


def test_development_needs_no_build(client):
    """Without a build, every file that a page refers to is served with the right content type."""
    urls = static_urls(client.get("/").text)
    assert "/static/vendor/bootstrap.min.css" in urls
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200
        assert response.mimetype in {"text/css", "text/javascript", "image/svg+xml"}
        response.close()


def test_other_files_of_the_packages_are_not_served(client):
    """Only the files in VENDORED are served from installed packages."""
    assert client.get("/static/vendor/nothing.css").status_code == 404
    assert client.get("/static/vendor/..%2f__init__.py").status_code == 404


def test_command_copies_all_files(app, tmp_path):
    """`flask assets DEST` copies the app's own and vendored files under their source names. It is idempotent."""
    for _ in range(2):
        result = app.test_cli_runner().invoke(args=["assets", str(tmp_path / "built")])
        assert result.exit_code == 0, result.output
    built = {str(file.relative_to(tmp_path / "built")) for file in (tmp_path / "built").rglob("*.*")}
    assert built == {"css/site.css", "js/forms.js", "js/theme.js", "img/icon.svg", *VENDORED}


def test_vendored_files_have_no_source_map(app, tmp_path):
    """Vendored files have no source map comment, because the build and browsers would look for the missing file."""
    app.test_cli_runner().invoke(args=["assets", str(tmp_path)])
    for name in VENDORED:
        text = (tmp_path / name).read_text()
        assert "sourceMappingURL" not in text
        assert text.startswith('@charset "UTF-8";/*!\n * Bootstrap')


def test_pages_use_hashed_names(make_app, database, tmp_path):
    """With a manifest in STATIC_ROOT, url_for() returns hashed names, and the app can serve them without Nginx."""
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.1a2b3c4d.css").write_text("body {}")
    (tmp_path / ".manifest.json").write_text(json.dumps({"css/site.css": "css/site.1a2b3c4d.css"}))
    client = make_app(database, STATIC_ROOT=str(tmp_path)).test_client()
    assert "/static/css/site.1a2b3c4d.css" in static_urls(client.get("/").text)
    with client.get("/static/css/site.1a2b3c4d.css") as response:
        assert (response.status_code, response.text) == (200, "body {}")


def test_names_without_manifest(make_app, database, tmp_path):
    """Without a manifest in STATIC_ROOT, url_for() returns the source names."""
    app = make_app(database, STATIC_ROOT=str(tmp_path))
    with app.test_request_context():
        assert url_for("static", filename="css/site.css") == "/static/css/site.css"


def test_build_needs_no_secret(monkeypatch, tmp_path):
    """The command works without SECRET_KEY and without a database, because image builds have neither."""
    from click.testing import CliRunner
    from flask.cli import FlaskGroup

    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgres://nowhere.invalid/x")
    result = CliRunner().invoke(FlaskGroup(create_app=create_app), ["assets", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "css" / "site.css").exists()
