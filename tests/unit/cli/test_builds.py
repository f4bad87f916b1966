"""What builds take from the host, and what is written beside the compose file."""

import pytest

from cli import build_inputs, console, dotenv


def test_pip_settings_merge_as_pip_does(tmp_path):
    """A later file wins over an earlier one, [install] over [global], the environment over all."""
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


def test_pip_settings_of_the_host_alone_are_dropped(tmp_path):
    """Files and folders of the host, which no container has, are left out; addresses beside them are kept."""
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\ncert = /etc/ssl/own.crt\nfind-links = /opt/wheels\nindex-url = file:///opt/simple\n"
        "extra-index-url = file:///opt/more\n    https://kept.example/simple\n"
    )
    assert build_inputs.pip_settings([conf], {}) == {"extra-index-url": "https://kept.example/simple"}


def test_pip_conf_names_the_bundle_inside_the_build():
    """pip is told where a build finds the host's certificates; with nothing to say there is no file."""
    assert build_inputs.pip_conf({"timeout": "9"}, "/host/ca.crt") == (
        "[global]\ntimeout = 9\ncert = /run/secrets/ca_bundle\n"
    )
    assert build_inputs.pip_conf({}) == ""


def test_pip_conf_is_for_its_owner_only(monkeypatch, tmp_path):
    """The kept file may hold a password: nobody else can read it, and git does not see it."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    kept = build_inputs._save("pip.conf", "[global]\n")
    assert (tmp_path / ".stack/pip.conf").stat().st_mode & 0o777 == 0o600
    assert kept == str(tmp_path / ".stack/pip.conf")
    assert (tmp_path / ".stack/.gitignore").read_text() == "*\n"


def test_what_somebody_has_set_is_left_alone(monkeypatch, tmp_path):
    """RELEASE, PIP_CONF and CA_BUNDLE of the shell or of .env are not replaced."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    (tmp_path / ".env").write_text("PIP_CONF=/mine/pip.conf\n")
    found = build_inputs.environment({"RELEASE": "v1", "CA_BUNDLE": "/mine/ca.crt", "PIP_CONFIG_FILE": "/dev/null"})
    assert not {"RELEASE", "CA_BUNDLE", "PIP_CONF"} & set(found)


def test_proxies_get_both_spellings(monkeypatch, tmp_path):
    """apt reads http_proxy and other tools HTTP_PROXY: builds get both, whichever the host has."""
    monkeypatch.setattr(console, "STATE", tmp_path / ".stack")
    found = build_inputs.environment({"HTTPS_PROXY": "http://proxy.example:3128", "PIP_CONFIG_FILE": "/dev/null"})
    assert found["https_proxy"] == "http://proxy.example:3128"
    assert "http_proxy" not in found and "HTTP_PROXY" not in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "WSGI_SERVER=uwsgi\n"),
        ("A=1", "A=1\nWSGI_SERVER=uwsgi\n"),
        ("A=1\nWSGI_SERVER=gunicorn\nB=2\n", "A=1\nWSGI_SERVER=uwsgi\nB=2\n"),
        ("export WSGI_SERVER = 'gunicorn' # old\n", "export WSGI_SERVER =uwsgi\n"),
        (
            "# WSGI_SERVER=gunicorn\nMY_WSGI_SERVER=x\n",
            "# WSGI_SERVER=gunicorn\nMY_WSGI_SERVER=x\nWSGI_SERVER=uwsgi\n",
        ),
    ],
)
def test_one_line_of_dotenv_is_set(old, new):
    """A line is replaced where it stands or added at the end; every other one stays."""
    assert dotenv.set_line(old, "WSGI_SERVER", "uwsgi") == new


def test_dotenv_is_replaced_safely(monkeypatch, tmp_path):
    """The file keeps its mode, a link stays a link, and the same value writes nothing."""
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


def test_ambiguous_dotenv_is_not_touched(monkeypatch, tmp_path):
    """With two lines for one variable nobody can know which is meant: nothing is written."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    (tmp_path / ".env").write_text("WSGI_SERVER=a\nWSGI_SERVER=b\n")
    assert not dotenv.set_value("WSGI_SERVER", "uwsgi")
    assert (tmp_path / ".env").read_text() == "WSGI_SERVER=a\nWSGI_SERVER=b\n"
