"""What ./stack reads of a machine: its system, the sources of apt, its ports."""

import os
import socket

import pytest

from cli import apt, base_image, engine, ports
from cli.apt import Source

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
Types: deb deb-src
# a comment between fields
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: https://disabled.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: https://source.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = f"""\
# deb https://comment.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/other.asc] https://other.example/linux/debian bookworm main
deb https://tools.example bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb-src https://source.example/debian bookworm main
deb [signed-by={KEYRING}] https://mirror.example/archive bookworm main contrib # a comment
"""


def test_deb822_sources_are_read():
    """A paragraph gives one source for each URI and suite; disabled and source-only ones give none."""
    found = apt.parse_deb822(DEB822)
    assert [(source.uri, source.suite) for source in found] == [
        ("https://mirror.example/debian", "bookworm"),
        ("https://mirror.example/debian", "bookworm-updates"),
        ("https://mirror.example/debian-security", "bookworm-security"),
    ]
    assert found[0].components == ("main", "contrib") and found[0].signed_by == KEYRING


def test_one_line_sources_are_read_and_other_archives_skipped():
    """In a *.list file, Debian's own archive is found among other archives."""
    found = apt.find_debian(apt.parse_one_line(ONE_LINE), "bookworm")
    assert found == Source("https://mirror.example/archive", "bookworm", ("main", "contrib"), KEYRING)


def test_source_with_an_inline_key_is_not_debian():
    """A source that contains its own key is not Debian's, whatever its URI."""
    text = "Types: deb\nURIs: https://x.example/debian\nSuites: bookworm\nComponents: main\n"
    (source,) = apt.parse_deb822(f"{text}Signed-By:\n -----BEGIN\n .\n AAAA\n")
    assert not source.is_debian()


def test_mirror_list_of_a_cloud_image_is_resolved(tmp_path):
    """`mirror+file:` names a file of the host, which images do not have; its first address is used."""
    (tmp_path / "list").write_text("# mirrors\nhttps://near.example/debian\tpriority:1\nhttps://far.example/debian\n")
    source = Source(f"mirror+file:{tmp_path}/list", "bookworm", ("main",), KEYRING)
    assert apt.find_debian([source], "bookworm").uri == "https://near.example/debian"


def test_both_formats_of_sources_are_read(tmp_path):
    """sources.list, *.list and *.sources are all read; a file with another suffix is not."""
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text("deb https://one.example/debian bookworm main\n")
    (folder / "a.list").write_text("deb https://two.example/debian bookworm main\n")
    (folder / "b.sources").write_text(DEB822)
    (folder / "c.list.disabled").write_text("deb https://never.example/debian bookworm main\n")
    uris = {source.uri for source in apt.read_sources(tmp_path)}
    assert uris == {
        "https://one.example/debian",
        "https://two.example/debian",
        "https://mirror.example/debian",
        "https://mirror.example/debian-security",
    }


def test_newer_suite_comes_from_the_same_mirror_with_the_same_key():
    """The source that is added for Docker has the machine's own mirror and keyring, and a pin below everything else."""
    source = apt.find_debian(apt.parse_deb822(DEB822), "bookworm")
    added = engine.newer_source(source, "trixie")
    assert apt.parse_deb822(added) == [Source("https://mirror.example/debian", "trixie", ("main",), KEYRING)]
    assert "Pin: release n=trixie\nPin-Priority: 100\n" in engine.newer_pin("trixie")


def test_base_image_is_made_from_the_hosts_mirrors():
    """The three suites of the image come from the host's mirrors; without a mirror of Debian, there are none."""
    lines = base_image.mirror_lines(apt.parse_deb822(DEB822), {"VERSION_CODENAME": "bookworm"})
    assert lines == [
        "deb https://mirror.example/debian trixie main",
        "deb https://mirror.example/debian trixie-updates main",
        "deb https://mirror.example/debian-security trixie-security main",
    ]
    assert base_image.mirror_lines([], {"VERSION_CODENAME": "noble"}) == []


@pytest.mark.parametrize(
    ("system", "version", "packages"),
    [
        (
            "debian",
            "12",
            "docker.io/trixie docker-cli/trixie iptables docker-compose/trixie docker-buildx/trixie",
        ),
        ("debian", "13", "docker.io docker-cli iptables docker-compose docker-buildx"),
        ("ubuntu", "22.04", "docker.io docker-compose-v2 docker-buildx"),
        ("ubuntu", "24.04", "docker.io docker-compose-v2 docker-buildx"),
    ],
)
def test_supported_systems_get_their_own_packages(system, version, packages):
    """Each supported system gets the packages of its own distribution."""
    recipe = engine.recipe({"ID": system, "VERSION_ID": version})
    assert recipe.packages(["engine", "compose", "buildx"]) == packages.split()


@pytest.mark.parametrize(
    "os_release",
    [
        {},
        {"ID": "debian", "VERSION_ID": "11"},
        {"ID": "ubuntu", "VERSION_ID": "20.04"},
        {"ID": "fedora", "VERSION_ID": "43"},
    ],
)
def test_other_systems_are_not_supported(os_release):
    """On any other system ./stack installs nothing."""
    assert engine.recipe(os_release) is None


def test_only_what_is_missing_is_installed():
    """An installed engine is not upgraded, because that would stop its containers."""
    recipe = engine.recipe({"ID": "debian", "VERSION_ID": "12"})
    assert recipe.packages(["compose"]) == ["docker-compose/trixie"]


def test_os_release_is_unquoted(tmp_path):
    """Quoted and unquoted values of os-release are read; a machine without the file has none."""
    (tmp_path / "os").write_text('# comment\nID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n')
    read = engine.read_os_release(tmp_path / "os")
    assert read == {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian GNU/Linux 12"}
    assert engine.read_os_release(tmp_path / "none") == {}


def test_process_that_listens_on_a_port_is_found():
    """A taken port is recognized, and its process is found with id and name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port, "127.0.0.1")
        pid, name = ports.listening_process(port)
        assert pid == os.getpid() and name
    assert ports.is_free(port, "127.0.0.1")
    assert ports.listening_process(port) is None
