"""Facts that several files must repeat, because no tool can read them from one place, are the same everywhere."""

import base64
import hashlib
import re

import pytest

from deploy import assets, handover, heartbeat, own_requests
from deploy.errors import EXIT_CONFIG
from deploy.middleware import request_id, static_files
from deploy.settings import APP_UID, KILL_AFTER, MAX_SHUTDOWN_GRACE, ROOT, load_settings, socket_path
from tests.live.conformance.known import DIFFERENCES
from tests.support.wsgi import script

ASSETS = (ROOT / "deploy/assets.py").read_text()
APACHE_FRONT = (ROOT / "deploy/targets/apache/front.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STATIC_CACHE = (ROOT / "nginx/conf.d/static-cache.conf").read_text()
REQUEST_ID = (ROOT / "nginx/conf.d/request-id.conf").read_text()


def test_error_page_style_matches_its_hash():
    """The Content-Security-Policy of the error page contains exactly the hash of its style."""
    (style,) = re.findall(r"<style>(.*?)</style>", (ROOT / "nginx/errors/page.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert re.findall(r"'sha256-([^']+)'", (ROOT / "nginx/snippets/error-pages.conf").read_text()) == [digest]


def test_error_page_complies_with_its_policy():
    """The error page has one style and nothing that its policy blocks: no script, no image, no style attribute."""
    page = (ROOT / "nginx/errors/page.html").read_text()
    assert not re.search(r"<script|<img|<link|\sstyle=|\son\w+=", page)


def nginx_hashed_name() -> re.Pattern:
    """Nginx's pattern of a hashed name."""
    (pattern,) = re.findall(r'"~(\S+)" +"[^"]*immutable"', STATIC_CACHE)
    return re.compile(pattern)


@pytest.mark.parametrize(
    "name",
    [
        "css/site.css",
        "a.min.js",
        "fonts/x.woff2",
        "img/a-b_c.svg",
        "deep/er/file.webmanifest",
        "x.tar.gz",
        "LICENSE",
        "IMG.PNG",
        "a/x.c++",
    ],
)
def test_hashed_names_match_the_patterns(name, tmp_path):
    """The hashed name of an asset matches the patterns of Nginx and of the middleware, and its plain name matches
    neither.
    """
    (tmp_path / "source" / name).parent.mkdir(parents=True)
    (tmp_path / "source" / name).write_text("content")
    hashed = assets.build(tmp_path / "source", tmp_path / "built")[name]
    for pattern in (nginx_hashed_name(), assets.HASHED_NAME):
        assert pattern.search(f"/static/{hashed}")
        assert not pattern.search(f"/static/{name}")


def test_patterns_of_hashed_names_are_the_same():
    """Nginx, Apache as the front and the middleware have the same pattern of a hashed name."""
    (apache,) = re.findall(r"%\{REQUEST_URI\} =~ m#(\S*\[0-9a-f\]\S*)#\"", APACHE_FRONT)
    assert assets.HASHED_NAME.pattern == nginx_hashed_name().pattern == apache
    assert static_files.HASHED_NAME is assets.HASHED_NAME


def test_comment_names_the_files_with_the_same_pattern():
    """The comment beside the pattern of hashed names names the files that repeat it."""
    names = re.findall(r"^# (\S+\.conf) and (\S+\.conf) have the same pattern", ASSETS, re.MULTILINE)
    assert names == [("nginx/conf.d/static-cache.conf", "deploy/targets/apache/front.conf")]


def test_request_ids_are_the_same():
    """Nginx, Apache as the front and the middleware accept the same request ids."""
    (nginx,) = re.findall(r'"~\^(\S+)\$" +\$http_x_request_id', REQUEST_ID)
    (apache,) = re.findall(r'^SetEnvIf X-Request-ID "\^\((\S+)\)\$"', APACHE_FRONT, re.MULTILINE)
    assert request_id.ACCEPTED.__self__.pattern == nginx == apache


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("docker-compose.yml", r"stop_grace_period: (\d+)s"),
        ("deploy/targets/native/systemd/tripod-web.service", r"^TimeoutStopSec=(\d+)$"),
        ("deploy/targets/native/systemd/tripod-nginx.service", r"^TimeoutStopSec=(\d+)$"),
    ],
)
def test_processes_are_killed_after_the_shutdown_grace(file, pattern):
    """Compose and systemd kill processes after KILL_AFTER, which is longer than any SHUTDOWN_GRACE."""
    seconds = re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert set(seconds) == {str(KILL_AFTER)}
    assert KILL_AFTER > MAX_SHUTDOWN_GRACE


@pytest.mark.parametrize("unit", ["tripod-web", "tripod-nginx"])
def test_systemd_does_not_restart_after_an_invalid_setting(unit):
    """systemd knows the exit status of an invalid setting, after which a restart is useless."""
    text = (ROOT / f"deploy/targets/native/systemd/{unit}.service").read_text()
    assert re.findall(r"^RestartPreventExitStatus=(\d+)$", text, re.MULTILINE) == [str(EXIT_CONFIG)]


def test_user_of_the_app_is_the_same():
    """The Dockerfile creates the user and the group of APP_UID."""
    assert f"groupadd --gid {APP_UID} tripod " in DOCKERFILE
    assert re.findall(r"(\d+):tripod[ ;]", DOCKERFILE) == [str(APP_UID)]


def test_folders_of_the_images_are_the_defaults():
    """The Dockerfile creates the folders that are the defaults of the settings, and systemd uses the same sockets."""
    created = set(re.findall(r" (/\S+)(?= |\n)", "\n".join(re.findall(r"install -d .*\n?", DOCKERFILE))))
    defaults = load_settings({})
    for name in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "ASSETS_DIRECTORY", "CACHE_DIRECTORY"):
        assert defaults[name] in created, name
    unit = (ROOT / "deploy/targets/native/systemd/tripod-nginx.service").read_text()
    assert f"Environment=RUNTIME_DIRECTORY={defaults['RUNTIME_DIRECTORY']}\n" in unit


def test_health_check_has_time_for_its_work():
    """Docker waits longer for deploy/health than that waits for a response, and runs it often enough."""
    (check,) = re.findall(r'^HEALTHCHECK (.*) CMD \["deploy/health"\]', DOCKERFILE, re.MULTILINE)
    interval, timeout = (int(re.search(rf"--{name}=(\d+)s", check)[1]) for name in ("interval", "timeout"))
    assert timeout > own_requests.RESPONSE_TIMEOUT
    assert heartbeat.ALLOWED_SILENCE > interval


def test_health_check_knows_the_files_of_its_server():
    """deploy/health, which imports the settings only when the server listens, looks for the same files as they do."""
    own_files = script("deploy/health").OWN_FILES
    values = load_settings({})
    assert f"{own_files}.sock" == socket_path(values)
    assert f"{own_files}.ready" == str(handover.ready_marker(values))


def test_limits_of_nginx_are_the_lowest():
    """Nginx's limits for headers apply: every server accepts at least what Nginx accepts."""
    limits = (ROOT / "nginx/conf.d/limits.conf").read_text()
    number, size = map(int, re.search(r"large_client_header_buffers (\d+) (\d+)k;", limits).groups())
    fields = int(re.search(r"max_headers (\d+);", limits)[1])
    uwsgi = dict(re.findall(r"^([\w-]+) = (\d+)$", (ROOT / "deploy/servers/uwsgi/uwsgi.ini").read_text(), re.M))
    assert int(uwsgi["buffer-size"]) > number * size * 1024
    assert int(uwsgi["max-vars"]) > fields + 50
    httpd = (ROOT / "deploy/servers/mod_wsgi/httpd.conf").read_text()
    assert int(re.search(r"^LimitRequestFields (\d+)", httpd, re.M)[1]) > fields + 20


def test_names_of_files_in_comments_exist():
    """The files of deploy/ and nginx/ that comments name exist."""
    missing = {}
    for folder in ("deploy", "nginx"):
        for path in (ROOT / folder).rglob("*"):
            if not path.is_file() or "__pycache__" in path.parts or path.suffix in {".pyc", ".html"}:
                continue
            for name in re.findall(r"\b(?:deploy|nginx)/[\w./-]+\.(?:py|conf|ini|c|template)\b", path.read_text()):
                if not (ROOT / name).exists() and not name.startswith("nginx/modules/"):
                    missing.setdefault(path.relative_to(ROOT).as_posix(), []).append(name)
    assert missing == {}


def test_interchangeability_page_lists_every_difference():
    """The page that ./stack prove wrote last has as many differences as the tests allow."""
    [result] = re.findall(
        r"0 differences except for the (\d+) listed", (ROOT / "docs/explanation/interchangeability.md").read_text()
    )
    assert int(result) == len(DIFFERENCES)
