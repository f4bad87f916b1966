"""A new folder in deploy/servers adds a server: nothing else has to be edited."""

import os
import secrets
import shutil
import subprocess

import pytest

from tests.live.stack import ROOT, check, docker, image_name

LEFT_OUT = shutil.ignore_patterns(".git", ".stack", "__pycache__", ".env")


@pytest.fixture(scope="module")
def copy():
    """A copy of the project with a fourth server: Gunicorn's folder under another name."""
    folder = (
        ROOT / ".stack" / f"fourth-{secrets.token_hex(4)}"
    )  # inside ROOT, because the engine must see the folder too
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    shutil.copytree(folder / "deploy/servers/gunicorn", folder / "deploy/servers/fourth")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tag(copy):
    """The tag of the copy's images."""
    tag = copy.name
    build = ["docker", "compose", "build", "--quiet", "web"]
    subprocess.run(build, cwd=copy, env=os.environ | {"IMAGE_TAG": tag}, check=True, capture_output=True, timeout=300)
    docker("tag", image_name("nginx"), f"tripod-nginx:{tag}")
    yield tag
    docker("rmi", f"tripod-web:{tag}", f"tripod-nginx:{tag}", check=False)


def test_fourth_server_runs(make_stack, tag):
    """WSGI_SERVER accepts the folder's name, and that server answers: pages, posts and static files."""
    stack = make_stack(WSGI_SERVER="fourth", IMAGE_TAG=tag)
    stack.up()
    check(stack.url, "fourth")
    stack.down()


def test_tests_and_errors_include_the_fourth_server(copy):
    """The tests for every server run on it too, and the error for a wrong WSGI_SERVER lists it."""
    collect = ["pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/live"]
    listed = subprocess.run(collect, cwd=copy, capture_output=True, text=True).stdout
    for test in ("test_switch.py::test_switch", "test_in_flight.py::test_stop_finishes_in_flight_requests"):
        assert f"{test}[fourth" in listed
    fleet = "from tests.live.conformance.fleet import Fleet; print(*(server.name for server in Fleet().servers))"
    assert "fourth" in subprocess.run(["python3", "-c", fleet], cwd=copy, capture_output=True, text=True).stdout
    load = "from deploy.settings import load_settings; load_settings({'WSGI_SERVER': 'x'})"
    assert (
        "fourth, gunicorn" in subprocess.run(["python3", "-c", load], cwd=copy, capture_output=True, text=True).stderr
    )
