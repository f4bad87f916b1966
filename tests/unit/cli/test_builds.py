"""What builds take from the host, and how .env is written."""

import hashlib

import pytest

from cli import build_inputs, console, dotenv


def test_pip_settings_are_merged_as_by_pip(tmp_path):
    """A later file overrides an earlier one, [install] overrides [global], the environment overrides both."""
    system, user = tmp_path / "system", tmp_path / "user"
    system.write_text("[global]\nindex-url = https://old.example/simple\ntimeout = 9\n")
    user.write_text("[global]\nindex-url = https://u:p%40s@new.example/simple\n[install]\ntrusted-host = new.example\n")
    settings = build_inputs.pip_settings([system, user], {"PIP_EXTRA_INDEX_URL": "https://more.example/simple"})
    assert settings == {
        "index-url": "https://u:p%40s@new.example/simple",
        "extra-index-url": "https://more.example/simple",
        "trusted-host": "new.example",
        "timeout": "9",
    }


def test_pip_settings_with_paths_of_the_host_are_dropped(tmp_path):
    """Files and folders of the host, which containers do not have, are left out; URLs beside them are kept."""
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\ncert = /etc/ssl/own.crt\nfind-links = /opt/wheels\nindex-url = file:///opt/simple\n"
        "extra-index-url = file:///opt/more\n    https://kept.example/simple\n"
    )
    assert build_inputs.pip_settings([conf], {}) == {"extra-index-url": "https://kept.example/simple"}


def test_pip_conf_names_the_certificates_in_the_build():
    """pip.conf names the path of the host's certificates in a build; without settings it is empty."""
    assert build_inputs.pip_conf({"timeout": "9"}, "/host/ca.crt") == (
        "[global]\ntimeout = 9\ncert = /run/secrets/ca_bundle\n"
    )
    assert build_inputs.pip_conf({}) == ""


def test_pip_conf_is_private(monkeypatch, tmp_path):
    """The saved file may contain a password: only its owner can read it, and git ignores it."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    saved = build_inputs._save("pip.conf", "[global]\n")
    assert (tmp_path / ".stack/pip.conf").stat().st_mode & 0o777 == 0o600
    assert saved == str(tmp_path / ".stack/pip.conf")
    assert (tmp_path / ".stack/.gitignore").read_text() == "*\n"


def test_variables_that_are_set_are_not_replaced(monkeypatch, tmp_path):
    """RELEASE, PIP_CONF and CA_BUNDLE of the shell or of .env are not replaced."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    (tmp_path / ".env").write_text("PIP_CONF=/mine/pip.conf\n")
    inputs = build_inputs.environment({"RELEASE": "v1", "CA_BUNDLE": "/mine/ca.crt", "PIP_CONFIG_FILE": "/dev/null"})
    assert not {"RELEASE", "CA_BUNDLE", "PIP_CONF"} & set(inputs)


def test_digest_belongs_to_the_bundle(monkeypatch, tmp_path):
    """The digest of the CA certificates is that of CA_BUNDLE, even if the environment has the digest of another one."""
    monkeypatch.setattr(build_inputs.console, "STATE", tmp_path)
    (tmp_path / "ca.pem").write_text("ca")
    environ = {"CA_BUNDLE": str(tmp_path / "ca.pem"), "CA_BUNDLE_DIGEST": "old", "PIP_CONFIG_FILE": "/dev/null"}
    assert build_inputs.environment(environ)["CA_BUNDLE_DIGEST"] == hashlib.sha256(b"ca").hexdigest()


def test_proxies_get_both_spellings(monkeypatch, tmp_path):
    """Builds get http_proxy, which apt reads, and HTTP_PROXY, which other tools read, if the host sets one of them."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    inputs = build_inputs.environment({"HTTPS_PROXY": "http://proxy.example:3128", "PIP_CONFIG_FILE": "/dev/null"})
    assert inputs["https_proxy"] == "http://proxy.example:3128"
    assert "http_proxy" not in inputs and "HTTP_PROXY" not in inputs


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "WSGI_SERVER=uwsgi\n"),
        ("A=1", "A=1\nWSGI_SERVER=uwsgi\n"),
        ("A=1\nWSGI_SERVER=gunicorn\nB=2\n", "A=1\nWSGI_SERVER=uwsgi\nB=2\n"),
        ("export WSGI_SERVER = 'gunicorn' # old\n", "export WSGI_SERVER =uwsgi\n"),
        ("A=1\r\nWSGI_SERVER=gunicorn\r\nB=2\r\n", "A=1\r\nWSGI_SERVER=uwsgi\r\nB=2\r\n"),
        ("\ufeffWSGI_SERVER=gunicorn\n", "\ufeffWSGI_SERVER=uwsgi\n"),
        (
            "# WSGI_SERVER=gunicorn\nMY_WSGI_SERVER=x\n",
            "# WSGI_SERVER=gunicorn\nMY_WSGI_SERVER=x\nWSGI_SERVER=uwsgi\n",
        ),
    ],
)
def test_one_line_of_dotenv_is_set(old, new):
    """A line is replaced in its place or added at the end; all others are kept."""
    assert dotenv.set_line(old, "WSGI_SERVER", "uwsgi") == new


def test_dotenv_is_replaced_safely(monkeypatch, tmp_path):
    """The file keeps its mode, a symbolic link is kept, and the same value writes nothing."""
    real, link = tmp_path / "real", tmp_path / ".env"
    real.write_text("A=1\n")
    real.chmod(0o640)
    link.symlink_to(real)
    monkeypatch.setattr(dotenv, "PATH", link)
    assert dotenv.set_value("WSGI_SERVER", "uwsgi")
    assert link.is_symlink() and real.read_text() == "A=1\nWSGI_SERVER=uwsgi\n"
    assert real.stat().st_mode & 0o777 == 0o640
    before = real.stat().st_mtime_ns
    assert dotenv.set_value("WSGI_SERVER", "uwsgi") and real.stat().st_mtime_ns == before


def test_dotenv_keeps_every_other_byte(monkeypatch, tmp_path):
    """Windows line ends and bytes that are not UTF-8 are kept, and are no error."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_bytes(b"# caf\xe9\r\nWSGI_SERVER=gunicorn\r\nB=2\r\n")
    assert dotenv.values() == {"WSGI_SERVER": "gunicorn", "B": "2"}
    assert dotenv.set_value("WSGI_SERVER", "uwsgi")
    assert dotenv.PATH.read_bytes() == b"# caf\xe9\r\nWSGI_SERVER=uwsgi\r\nB=2\r\n"


def test_ambiguous_dotenv_is_not_changed(monkeypatch, tmp_path):
    """If two lines set one variable, nothing is written."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    (tmp_path / ".env").write_text("WSGI_SERVER=a\nWSGI_SERVER=b\n")
    assert not dotenv.set_value("WSGI_SERVER", "uwsgi")
    assert (tmp_path / ".env").read_text() == "WSGI_SERVER=a\nWSGI_SERVER=b\n"
