"""The levers: each line of the stack that a promise hangs on, how to break it, and the check that must go red then.

`old` stands exactly once in `file`; with `new` in its place the lever is broken. `check` is what pytest is given: the
cheapest check that sees it. A lever whose breaking stays green gets a sharper check, or goes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lever:
    file: str
    old: str
    new: str
    check: str


LEVELLING = "deploy/middleware/levelling.py"
DEADLINE = "deploy/middleware/deadline.py"
UNIT = "tests/unit/test_deploy_"
STOP = "tests/live/test_stop.py"
CLI_ROLLOUT = "deploy/cli/rollout.py"
ROLLOUT = "tests/live/reliability/test_rollout.py"
PAGES = "nginx/conf.d/page-cache.conf"
CACHE = "tests/live/test_cache.py"

LEVERS = (
    # --- requests and responses are the same on every server ---
    Lever(LEVELLING, '"411 Length Required"', '""', UNIT + "levelling.py"),
    Lever(LEVELLING, "if length > most", "if length > most + 1", UNIT + "levelling.py"),
    Lever(LEVELLING, "if length is None or not _clean(environ):", "if length is None:", UNIT + "levelling.py"),
    Lever(LEVELLING, "environ[name] = value.strip(", "environ[name] = value.rstrip(", UNIT + "levelling.py"),
    Lever(LEVELLING, "environ.pop(name, None)", "pass", UNIT + "levelling.py"),
    Lever(LEVELLING, "            self._stream.drain()", "            pass", UNIT + "levelling.py"),
    Lever(LEVELLING, "part = part[: response.left]", "pass", UNIT + "levelling.py"),
    Lever(LEVELLING, 'self._head or status[:3] in ("204", "304")', "self._head", UNIT + "levelling.py"),
    Lever(LEVELLING, "if _IN_VALUE(value) or _ANY_CONTROL(name):", "if _ANY_CONTROL(name):", UNIT + "levelling.py"),
    Lever(LEVELLING, "raise ShortBody(", "print(", UNIT + "levelling.py"),
    Lever("deploy/middleware/errors.py", 'return answer(start_response, "500', 'raise  # (start_response, "500',
          UNIT + "chain.py"),
    Lever("deploy/middleware/request_id.py", "given if ACCEPTED(given) else", "given or", UNIT + "chain.py"),
    Lever("deploy/middleware/proxy.py", 'environ["SCRIPT_NAME"] = ""', "pass", UNIT + "proxy.py"),
    Lever("deploy/middleware/proxy.py", 'environ["wsgi.url_scheme"] = "http"', "pass", UNIT + "proxy.py"),
    Lever("deploy/middleware/proxy.py", "x_for=count", "x_for=count + 1", UNIT + "proxy.py"),
    Lever("deploy/middleware/hosts.py", 'return answer(start_response, "400 Bad Request")',
          "return app(environ, start_response)", UNIT + "proxy.py"),
    Lever("deploy/middleware/__init__.py", "levelling, errors, health", "errors, levelling, health", UNIT + "chain.py"),
    Lever(LEVELLING, "                return\n", "                continue\n", UNIT + "levelling.py"),
    Lever(LEVELLING, "environ.update(concurrency)", "pass", UNIT + "levelling.py"),
    Lever("deploy/assets.py", "_touch(draft, file)", "pass", UNIT + "assets.py"),
    # --- nothing stays stuck, nothing is cut ---
    Lever(DEADLINE, "class DeadlineExceeded(BaseException)", "class DeadlineExceeded(Exception)", UNIT + "deadline.py"),
    Lever(DEADLINE, "                os._exit(1)", "                pass", UNIT + "deadline.py"),
    Lever(DEADLINE, "exit=True", "exit=False", UNIT + "deadline.py"),
    Lever(DEADLINE, "before=self._before_fork, ", "before=self._lock.acquire, ", UNIT + "deadline.py"),
    Lever("deploy/servers/uwsgi/uwsgi.ini", "hook-master-start = unix_signal:15 gracefully_kill_them_all",
          "", STOP + " -k flight"),
    Lever("deploy/servers/uwsgi/uwsgi.ini", "py-call-uwsgi-fork-hooks = true", "", "tests/unit/test_preload.py"),
    Lever("deploy/wsgi.py", "gc.freeze()", "", "tests/unit/test_preload.py"),
    Lever("deploy/servers/mod_wsgi/run", "kill -WINCH", "kill -TERM", STOP + " -k flight"),
    Lever("Dockerfile", "STOPSIGNAL SIGQUIT", "STOPSIGNAL SIGTERM", STOP + " -k nginx"),
    Lever("nginx/start", 'int(settings["REQUEST_TIMEOUT"]) + 5', 'int(settings["REQUEST_TIMEOUT"])', "tests/config"),
    Lever("docker-compose.yml", "stop_grace_period: 65s # more than the longest SHUTDOWN_GRACE; default: 10s\n    mem",
          "mem", "tests/config"),
    Lever("deploy/servers/gunicorn/gunicorn.conf.py", 'else "deploy.servers.gunicorn.worker.Worker"', 'else "gthread"',
          "tests/config/test_servers.py -k one_place"),
    Lever("deploy/pulse.py", "> int(settings[\"REQUEST_TIMEOUT\"]) + BEYOND", "> int(settings[\"REQUEST_TIMEOUT\"])",
          UNIT + "pulse.py"),
    Lever(DEADLINE, "                descriptors.leave_without()\n", "",
          "tests/live/reliability/test_watchdogs.py -k descriptors"),
    Lever("nginx/snippets/errors.conf", "passes.\nerror_page 500 =503", "passes.\nerror_page 500",
          "tests/live/reliability/test_full_disk.py -k nginx"),
    Lever("app/database.py", "lock_timeout=1500", "lock_timeout=0", "tests/live/reliability -k locked"),
    # --- the handover and what it needs ---
    Lever("deploy/handover.py", "fresh.replace(own.with_name(LINK))",
          "own.with_name(LINK).unlink(missing_ok=True); fresh.replace(own.with_name(LINK))", UNIT + "handover.py"),
    Lever("deploy/handover.py", "== 200", ">= 200", UNIT + "handover.py"),
    Lever("deploy/assets.py", "draft.replace(target)", "pass", UNIT + "assets.py"),
    Lever("deploy/assets.py", "    _touch_last(Path(dest))\n", "", UNIT + "assets.py"),
    Lever("deploy/state.py", "os.link(draft.name, path)", "path.write_text(secrets.token_hex(32))", UNIT + "state.py"),
    Lever("deploy/handover.py", "target is None or target != own and not _listens(target)", "True",
          UNIT + "handover.py"),
    Lever("deploy/handover.py", "    if target is None or target", "    if target is not None and target",
          UNIT + "handover.py"),
    Lever("deploy/trial.py", "else status < 500", "else True", UNIT + "trial.py"),
    Lever("deploy/migrations.py", "if MARK in names and", "if False and", UNIT + "migrations.py"),
    # --- a switch and a release ---
    Lever(CLI_ROLLOUT, "        _try_out(stack, new, change.paths)\n        _hand_over(stack, new)\n",
          "        _hand_over(stack, new)\n        _try_out(stack, new, change.paths)\n", ROLLOUT + " -k bad"),
    Lever(CLI_ROLLOUT, "            _drain(front, one, step)\n", "            pass\n", ROLLOUT + " -k waits"),
    Lever(CLI_ROLLOUT, '"--no-recreate", ', "", "tests/live/reliability/test_rollout_interrupted.py -k ctrl_c"),
    Lever(CLI_ROLLOUT, "    keep_only(stack, one)\n    return one\n", "    return one\n",
          "tests/live/reliability/test_rollout_interrupted.py -k kill_9_at"),
    Lever("Dockerfile", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", STOP + " -k flight"),
    # --- the contract ---
    Lever("deploy/contract.py", "problems.append(problem)", "pass", UNIT + "contract.py"),
    Lever("deploy/wsgi.py", "os._exit(contract.EXIT_CONFIG)", "os._exit(1)", UNIT + "start.py"),
    Lever("deploy/resources.py", "min(available, max(1,", "max(available, max(1,", UNIT + "resources.py"),
    # --- Nginx ---
    Lever("nginx/snippets/static.conf", "gzip_vary on;", "gzip_vary off;", "tests/live/test_switch.py -k gunicorn"),
    Lever("nginx/conf.d/static-cache.conf", "{12}", "{8}", "tests/config/test_shared_facts.py"),
    Lever("nginx/conf.d/limits.conf", "absolute_redirect off;", "absolute_redirect on;",
          "tests/live/test_switch.py -k gunicorn"),
    Lever("nginx/snippets/proxy.conf", "proxy_hide_header X-Request-ID;", "", "tests/live/test_switch.py -k gunicorn"),
    Lever("nginx/snippets/errors.conf",
          "json;\n    add_header Cache-Control no-store always;\n    add_header Retry-After",
          "json;\n    add_header Cache-Control no-store always;\n    #", "tests/live/test_switch.py"),
    # --- the cache of pages ---
    Lever(PAGES, "$http_cookie$http_auth", "$http_auth", CACHE + " -k credentials"),
    Lever(PAGES, "$http_authorization", "", CACHE + " -k credentials"),
    Lever(PAGES, "$content_length$http_transfer_encoding", "", CACHE + " -k body"),
    Lever(PAGES, "(?=.*\\bpublic\\b)", "", CACHE + " -k other_page"),
    Lever(PAGES, '    EXPIRED "";\n    default $http_if_none_match;', "    default $http_if_none_match;",
          CACHE + " -k condition"),
    Lever("nginx/snippets/page-cache.conf", " $host$host_port ", " ", CACHE + " -k 'key or another'"),
    Lever("nginx/snippets/page-cache.conf", '$args $uri"', '$uri?$args"', CACHE + " -k key"),
    Lever("nginx/snippets/page-cache.conf", "proxy_ignore_headers X-Accel-Expires Expires;", "", CACHE + " -k other"),
    Lever("nginx/snippets/page-cache.conf", "proxy_cache_convert_head off;", "", CACHE + " -k kept"),
    Lever("nginx/snippets/page-cache.conf", "proxy_cache_background_update on;", "", CACHE + " -k refreshes"),
    Lever("nginx/snippets/page-cache.conf", " $disk_is_full;", ";",
          "tests/live/reliability/test_full_disk.py -k nginx"),
    Lever("app/blog/views.py", " and not session and", " and", "tests/unit/test_blog.py -k message"),
    Lever("app/blog/views.py", " and not session.modified", "", "tests/unit/test_blog.py -k message"),
    Lever("app/errors.py", "    g._login_user = AnonymousUserMixin()\n", "", "tests/unit/test_errors.py -k full"),
    # --- the containers ---
    Lever("docker-compose.yml", "  read_only: true\n", "", "tests/config/test_containers.py"),
    Lever("docker-compose.yml", "  cap_drop: [ALL]\n", "", "tests/config/test_containers.py"),
    # --- other targets ---
    Lever("deploy/targets/apache/front.conf", "RequestHeader unset X-Forwarded-Host\n", "",
          "tests/config/test_targets.py"),
    Lever("deploy/targets/native/run", "manager.KILL_WAIT = 65", "manager.KILL_WAIT = 5",
          "tests/config/test_targets.py"),
    Lever("deploy/targets/native/systemd/tripod-web.service", "KillMode=mixed", "KillMode=control-group",
          "tests/config/test_targets.py"),
    # --- the app's data ---
    Lever("app/database.py", "synchronous = FULL", "synchronous = NORMAL", "tests/unit/test_database.py"),
    Lever("app/database.py", 'else "BEGIN IMMEDIATE"', 'else "BEGIN"', "tests/unit/test_database.py"),
)
