"""Three custom apps run on every server with settings alone, as docs/guides/bring-your-own-app.md describes."""

import itertools
import json
import os
import re
import subprocess
from dataclasses import dataclass

import pytest
import requests

from deploy.settings import server_names
from tests.live.stack import ROOT, docker, run_image

FOLDER = "tests/live/apps"
DOCUMENT = (ROOT / "docs/guides/bring-your-own-app.md").read_text()
IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class CustomApp:
    """An app's folder, its lines of `.env` in the document, and what its page must contain."""

    folder: str
    env: dict[str, str]
    shows: str
    style_sheet: str  # without a hash in its name
    styled_page: str = "/"  # links the style sheet
    hashed: bool = True  # whether the link contains the hashed name


ONE_FILE = CustomApp(
    "one_file", {"WSGI_APP": "hello:app", "READY_PATH": "/"}, "Hello from one file", "hello.css", hashed=False
)
FACTORY = CustomApp(
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
DJANGO = CustomApp(
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
    styled_page="/admin/login/",
)
APPS = [ONE_FILE, FACTORY, DJANGO]


def settings(app: CustomApp) -> dict[str, str]:
    tag = f"{os.environ.get('IMAGE_TAG') or 'latest'}-{app.folder}-{os.getpid()}"
    return {"APP_DIR": f"./{FOLDER}/{app.folder}", "IMAGE_TAG": tag, **app.env}


@pytest.fixture(scope="module")
def stacks(make_stack):
    """Return a function that returns an app's stack, not started yet. Each app's images are built once."""
    made = {}

    def get(app: CustomApp):
        if app.folder not in made:
            made[app.folder] = make_stack(**settings(app))
            made[app.folder].compose("build", "--quiet", "web", "nginx")
        return made[app.folder]

    yield get
    for stack in made.values():
        stack.down()
    for app in APPS:
        names = [f"tripod-{service}:{settings(app)['IMAGE_TAG']}" for service in ("web", "nginx")]
        docker("image", "rm", "--force", *names, check=False)


@pytest.fixture(
    scope="module", params=itertools.product(APPS, server_names()), ids=lambda pair: f"{pair[0].folder}-{pair[1]}"
)
def running(request, stacks):
    """Each app on each server: the app, the server's name and the running stack."""
    app, server = request.param
    stack = stacks(app)
    stack.up(WSGI_SERVER=server)
    return app, server, stack


def test_log(running):
    """A line of the app's own logging, as Django's and Flask's manuals configure it, appears once and with its id."""
    app, server, stack = running
    method, path = {"one_file": ("GET", "/log"), "factory": ("POST", "/order")}.get(app.folder, ("GET", "/missing"))
    identity = f"log-{app.folder}-{server}"
    for _ in range(12):  # more than there are threads: none is lost
        answer = requests.request(method, stack.url + path, headers={"X-Request-ID": identity}, timeout=10)
        assert answer.status_code in (200, 400, 404)
    done = docker("logs", stack.container("web"))
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line]
    shown = [line["message"] for line in lines if line.get("request_id") == identity]
    assert len(shown) == 12 and all(path in message for message in shown), shown


def page(stack, path: str = "/", session=requests) -> str:
    answer = session.get(stack.url + path, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def token(html: str) -> str:
    return re.search(r'name="(?:csrfmiddleware)?token" value="(\w+)"', html)[1]


def test_page(running):
    """The app's page is served through Nginx, and /healthz names the server."""
    app, server, stack = running
    assert app.shows in page(stack)
    assert requests.get(f"{stack.url}/healthz", timeout=10).json()["wsgi_server"] == server


def test_static_file(running):
    """Nginx serves the app's static files: plain names are revalidated, hashed ones are compressed and cached."""
    app, _, stack = running
    plain = requests.get(f"{stack.url}/static/{app.style_sheet}", timeout=10)
    assert (plain.status_code, plain.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert plain.headers["Cache-Control"] == "no-cache"
    linked = re.search(r'href="(/static/[^"]+\.css)"', page(stack, app.styled_page))[1]
    answer = requests.get(stack.url + linked, headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert (answer.status_code, answer.headers["Cache-Control"] == IMMUTABLE) == (200, app.hashed)
    assert ("Content-Encoding" in answer.headers) == app.hashed  # hello.css is too small to be compressed


def test_readiness(running):
    """The container is healthy because the app's own READY_PATH answers 200."""
    app, _, stack = running
    assert stack.inspect("web", "{{.State.Health.Status}}") == "healthy"
    assert requests.get(stack.url + app.env["READY_PATH"], timeout=10).status_code == 200


def test_form(running):
    """Forms work through Nginx: cookies and CSRF tokens are accepted, and a form without its token is refused."""
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
    """Create a user as in the document, log in to Django's admin and add a note.

    Django's CSRF check compares the Origin header with host and port.
    """
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
    """RELEASE_COMMAND runs once for each release, regardless of the number of workers."""
    stack = stacks(FACTORY)
    stack.up()
    before = int(re.search(r"Released (\d+) times", page(stack))[1])
    stack.up(WEB_CONCURRENCY="3")
    assert f"Released {before + 1} times" in page(stack)


def test_stack_keeps_its_own_packages(stacks):
    """An app that pins another version of Gunicorn is served by the stack's version; its other packages are kept."""
    stack = stacks(FACTORY)
    stack.up()
    code = "from importlib.metadata import version as v; print(v('humanize'), v('gunicorn') == '23.0.0')"
    assert docker("exec", stack.container("web"), "python3", "-c", code).stdout.split() == ["4.15.0", "False"]


def test_app_with_a_deploy_folder_is_refused(tmp_path, make_stack):
    """The build refuses an app with a folder `deploy`, which is the stack's own name, and prints how to fix it."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/notes.txt").write_text("the app's own")
    stack = make_stack(APP_DIR=str(tmp_path), IMAGE_TAG=f"never-{os.getpid()}")
    done = stack.compose("build", "web", check=False)
    assert done.returncode != 0
    assert "rename it, or list it in the app's .dockerignore" in done.stdout + done.stderr


def test_image_has_no_private_files(tmp_path, make_stack):
    """Private files in an app's folder (.env, .git, a virtual environment) are not copied into the image."""
    tag = f"private-{os.getpid()}"
    for name in (".env", ".git/config", ".venv/secret", "venv/secret", "excluded.txt", "wanted.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".dockerignore").write_text("excluded.txt\n.dockerignore\n")
    make_stack(APP_DIR=str(tmp_path), IMAGE_TAG=tag).compose("build", "--quiet", "web")
    found = run_image(f"tripod-web:{tag}", "ls", "-A", "/srv").stdout.split()
    docker("image", "rm", "--force", f"tripod-web:{tag}")
    assert sorted(found) == ["deploy", "static", "wanted.txt"]


def test_stack_does_not_depend_on_any_app():
    """No code in deploy/, nginx/, the Dockerfile or docker-compose.yml names a custom app or imports an app."""
    words = r"hello:|create_app|humanize|project\.wsgi|django|^\s*(from|import) app(\.|\s|$)"
    found = subprocess.run(
        [
            "grep",
            "-rniE",
            "--exclude=*.md",
            "--exclude=breaking_migrations.py",  # it knows the migrations of Alembic and Django, whatever the app is
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


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.folder)
def test_document_lists_the_same_settings(app):
    """Each setting that these tests use for an app is a line of the document, with `$` written as .env needs it."""
    expected = [f"{name}={value.replace('$', '$$')}" for name, value in app.env.items()]
    assert set(expected) <= set(DOCUMENT.splitlines())
