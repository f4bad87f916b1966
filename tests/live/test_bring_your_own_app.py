"""Three foreign apps run on every server as docs/guides/bring-your-own-app.md says, by settings alone."""

import itertools
import os
import re
import subprocess
from dataclasses import dataclass

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import ROOT, docker, run_image

APPS = "tests/live/apps"
DOCUMENT = (ROOT / "docs/guides/bring-your-own-app.md").read_text()
IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Brought:
    """An app's folder, the lines of `.env` that the document gives for it, and what its page has to show."""

    folder: str
    env: dict[str, str]
    shows: str
    sheet: str  # the plain name of a style sheet
    styled: str = "/"  # the page that asks for it
    hashed: bool = True  # … by the name with a hash in it


ONE_FILE = Brought(
    "one_file", {"WSGI_APP": "hello:app", "READY_PATH": "/"}, "Hello from one file", "hello.css", hashed=False
)
FACTORY = Brought(
    "factory",
    {
        "WSGI_APP": "app:create_app()",
        "READY_PATH": "/ready",
        "STATIC_SOURCE": "app/static",
        "RELEASE_COMMAND": "echo released >> $STATE_DIRECTORY/releases",
    },
    "Price: 1,234,567",
    "css/shop.css",
)
DJANGO = Brought(
    "django_project",
    {
        "WSGI_APP": "project.wsgi:application",
        "READY_PATH": "/",
        "BUILD_COMMAND": "python manage.py collectstatic --noinput",
        "STATIC_SOURCE": "staticfiles",
        "RELEASE_COMMAND": "python manage.py migrate --noinput",
    },
    "Notes",
    "admin/css/base.css",
    styled="/admin/login/",
)
EACH = [ONE_FILE, FACTORY, DJANGO]


def settings(app: Brought) -> dict[str, str]:
    tag = f"{os.environ.get('IMAGE_TAG') or 'latest'}-{app.folder}-{os.getpid()}"
    return {"APP_DIR": f"./{APPS}/{app.folder}", "IMAGE_TAG": tag, **app.env}


@pytest.fixture(scope="module")
def stacks(make_stack):
    """Returns a function that gives an app's stack, not started; each app's images are built once."""
    made = {}

    def get(app: Brought):
        if app.folder not in made:
            made[app.folder] = make_stack(**settings(app))
            made[app.folder].compose("build", "--quiet", "web", "nginx")
        return made[app.folder]

    yield get
    for stack in made.values():
        stack.down()
    for app in EACH:
        names = [f"tripod-{service}:{settings(app)['IMAGE_TAG']}" for service in ("web", "nginx")]
        docker("image", "rm", "--force", *names, check=False)


@pytest.fixture(
    scope="module", params=itertools.product(EACH, server_names()), ids=lambda pair: f"{pair[0].folder}-{pair[1]}"
)
def running(request, stacks):
    """Each app on each server: the app, the server's name, the stack."""
    app, server = request.param
    stack = stacks(app)
    stack.up(WSGI_SERVER=server)
    return app, server, stack


def page(stack, path: str = "/", session=requests) -> str:
    answer = session.get(stack.url + path, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def token(html: str) -> str:
    return re.search(r'name="(?:csrfmiddleware)?token" value="(\w+)"', html)[1]


def test_page(running):
    """The app's page comes through Nginx, and /healthz names the server that serves it."""
    app, server, stack = running
    assert app.shows in page(stack)
    assert requests.get(f"{stack.url}/healthz", timeout=10).json()["wsgi_server"] == server


def test_static_file(running):
    """Nginx serves the app's static files: plain names to be asked for again, hashed ones for a year, compressed."""
    app, _, stack = running
    plain = requests.get(f"{stack.url}/static/{app.sheet}", timeout=10)
    assert (plain.status_code, plain.headers["Content-Type"]) == (200, "text/css")
    assert plain.headers["Cache-Control"] == "no-cache"
    linked = re.search(r'href="(/static/[^"]+\.css)"', page(stack, app.styled))[1]
    answer = requests.get(stack.url + linked, headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert (answer.status_code, answer.headers["Cache-Control"] == IMMUTABLE) == (200, app.hashed)
    assert ("Content-Encoding" in answer.headers) == app.hashed  # the one file's sheet is too small for it


def test_readiness(running):
    """The container is healthy, which is to say that the app's own READY_PATH answers 200."""
    app, _, stack = running
    assert stack.inspect("web", "{{.State.Health.Status}}") == "healthy"
    assert requests.get(stack.url + app.env["READY_PATH"], timeout=10).status_code == 200


def test_form(running):
    """A form works as it did before: with cookies and token through Nginx, and refused without its token."""
    app, server, stack = running
    {"one_file": greet, "factory": order, "django_project": administer}[app.folder](stack, server)


def greet(stack, server):
    answer = requests.post(f"{stack.url}/greet", data={"name": "Zoë"}, timeout=10)
    assert answer.json() == {"greeting": "Hello Zoë"}


def order(stack, server):
    browser = requests.Session()
    form = {"token": token(page(stack, session=browser)), "what": "a lamp"}
    assert "Ordered: a lamp" in browser.post(f"{stack.url}/order", data=form, timeout=10).text
    assert browser.post(f"{stack.url}/order", data={"what": "a lamp"}, timeout=10).status_code == 400


def administer(stack, server):
    """Makes a user as the document says, logs in to Django's admin, whose CSRF check looks at host and port, writes."""
    browser, user, add = requests.Session(), f"admin-{server}", "/admin/notes/note/add/"
    create = f"python manage.py createsuperuser --noinput --username {user} --email a@example.com"
    stack.compose(
        "run",
        "--rm",
        "--env",
        "DJANGO_SUPERUSER_PASSWORD=only-for-the-test",
        "--env",
        f"RELEASE_COMMAND={create}",
        "migrate",
    )

    def post(path, **form):
        form["csrfmiddlewaretoken"] = token(page(stack, path, browser))
        return browser.post(stack.url + path, data=form, headers={"Origin": stack.url}, timeout=10)

    login = post("/admin/login/?next=/admin/", username=user, password="only-for-the-test")
    assert "Log out" in login.text
    assert "was added successfully" in post(add, text="written in the admin").text
    assert browser.post(stack.url + add, data={"text": "no token"}, timeout=10).status_code == 403


def test_release_command_runs_once(stacks):
    """RELEASE_COMMAND runs once for each release, however many workers there are."""
    stack = stacks(FACTORY)
    stack.up()
    before = int(re.search(r"Released (\d+) times", page(stack))[1])
    stack.up(WEB_CONCURRENCY="3")
    assert f"Released {before + 1} times" in page(stack)


def test_the_stack_keeps_its_own_packages(stacks):
    """An app that pins a Gunicorn of its own is served by the stack's, beside the app's other packages."""
    stack = stacks(FACTORY)
    stack.up()
    code = "from importlib.metadata import version as v; print(v('humanize'), v('gunicorn') == '23.0.0')"
    assert docker("exec", stack.container("web"), "python3", "-c", code).stdout.split() == ["4.15.0", "False"]


def test_a_name_that_is_taken(tmp_path, make_stack):
    """An app with a folder `deploy`, the stack's own name, is refused when it is built, with what to do about it."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/notes.txt").write_text("the app's own")
    stack = make_stack(APP_DIR=str(tmp_path), IMAGE_TAG=f"never-{os.getpid()}")
    done = stack.compose("build", "web", check=False)
    assert done.returncode != 0
    assert "rename it, or name it in .dockerignore" in done.stdout + done.stderr


def test_what_is_private_stays_behind(tmp_path, make_stack):
    """What stands in an app's folder beside the app (.env, .git, a virtual environment) does not enter the image."""
    tag = f"private-{os.getpid()}"
    for name in (".env", ".git/config", ".venv/secret", "venv/secret", "excluded.txt", "wanted.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".dockerignore").write_text("excluded.txt\n.dockerignore\n")
    make_stack(APP_DIR=str(tmp_path), IMAGE_TAG=tag).compose("build", "--quiet", "web")
    found = run_image(f"tripod-web:{tag}", "ls", "-A", "/srv").stdout.split()
    docker("image", "rm", "--force", f"tripod-web:{tag}")
    assert sorted(found) == ["deploy", "static", "wanted.txt"]


def test_nothing_of_the_stack_knows_these_apps():
    """No code of deploy/, nginx/, the Dockerfile or Compose's file names the foreign apps or imports any app."""
    words = r"hello:|create_app|humanize|project\.wsgi|django|^\s*(from|import) app(\.|\s|$)"
    found = subprocess.run(
        [
            "grep",
            "-rniE",
            "--exclude=*.md",
            "--exclude-dir=__pycache__",
            words,
            "deploy",
            "nginx",
            "Dockerfile",
            "docker-compose.yml",
        ],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert found.stdout == ""


@pytest.mark.parametrize("app", EACH, ids=lambda app: app.folder)
def test_the_document_says_the_same(app):
    """Each setting that these tests use for an app stands in the document, to the letter."""
    lines = DOCUMENT.splitlines()
    assert [line for line in (f"{name}={value}" for name, value in app.env.items()) if line not in lines] == []
