"""Deliberate changes to the stack, each with the test that must fail because of it.

A mutation replaces `old`, which occurs exactly once in `file`, with `new`. `check` holds the arguments of pytest that
select the fastest test that catches the mutation. If a mutation survives, its check needs a stricter test, or the
mutation does not matter and is removed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    file: str
    old: str
    new: str
    check: str


FRAMING = "deploy/middleware/framing.py"
NORMALIZE = "deploy/middleware/normalize.py"
LOGS = "deploy/logs.py"
RAW_OUTPUT = "deploy/raw_output.py"
REQUEST_TIMEOUT = "deploy/middleware/request_timeout.py"
TRUSTED_PROXIES = "deploy/middleware/trusted_proxies.py"
UNIT = "tests/unit/deploy/test_"
COMMITS = "tests/unit/app/test_commits.py"
MIGRATIONS = "tests/unit/app/test_migrations.py"
STOP = "tests/live/reliability/test_in_flight.py"
APP_LOGGING = UNIT + "app_logging.py"
CLI_ROLLOUT = "cli/rollout.py"
_SMOKE_CHECK = '        _smoke_check(stack, old, new, plan.smoke_paths, int(settings["SMOKE_CHECK_DURATION"]))\n'
_HAND_OVER = "        _hand_over(new)\n"
DOCTOR = "cli/doctor/checks.py"
THRESHOLDS = "tests/unit/cli/test_doctor.py -k thresholds"
WATCH = "tests/unit/cli/test_rollout.py"
UNITS = [f"deploy/targets/native/systemd/tripod-{stage}.service" for stage in ("web", "nginx")]
RESTRICTIONS = "tests/config/test_targets.py -k each_restriction"
PAGES = "nginx/conf.d/page-cache-rules.conf"
CACHE = "tests/live/test_cache.py"
DOTENV = "tests/unit/cli/test_dotenv.py"
ROOT = "tests/unit/cli/test_native_privileges.py"
CERTIFICATES = "tests/unit/deploy/test_certificates.py"
REPOSITORY = "tests/config/test_repository.py"
PROCESS = "tests/live/conformance/test_app_process.py"
SETTINGS = "tests/live/conformance/test_settings.py"
WEBSOCKETS = "tests/live/test_websockets.py"
SESSIONS = "app/account/sessions.py"
SESSION_TESTS = "tests/unit/app/test_sessions.py"
ACCOUNT_TESTS = "tests/unit/app/test_accounts.py"
ATTACKER = ACCOUNT_TESTS + " -k attacker"
LAST_ADMIN = "tests/unit/app/test_admin.py -k concurrent_removal"
EQUAL_WORK = "tests/unit/app/test_security_events.py -k logins_take"
PARSING = "app/request_parsing.py"
INPUT = "tests/unit/app/test_"
FRONT = "tests/config/test_front.py"
APACHE_LIMITS = "tests/config/test_apache_limits.py"
ONE_ADDRESS = "tests/live/reliability/test_one_address.py"

MUTATIONS = (
    # --- requests and responses are the same on every server ---
    Mutation(NORMALIZE, '"411 Length Required"', '""', UNIT + "normalize.py"),
    Mutation(NORMALIZE, "if length > max_length", "if length > max_length + 1", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "or not _clean(environ, is_websocket) or", "or", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "environ[name] = value.strip(", "environ[name] = value.rstrip(", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "environ.pop(name, None)", "pass", UNIT + "normalize.py"),
    Mutation("nginx/snippets/refuse.conf", "if ($websocket = refused)", "if ($websocket = never)", WEBSOCKETS),
    Mutation("nginx/snippets/websocket.conf", "proxy_read_timeout 1h;", "proxy_read_timeout 1s;", WEBSOCKETS),
    Mutation(REQUEST_TIMEOUT, 'if "HTTP_UPGRADE" in environ:', 'if "HTTP_NEVER" in environ:', WEBSOCKETS),
    Mutation(
        "deploy/middleware/websocket.py",
        "            if not is_taken(environ):\n",
        "            if True:\n",
        WEBSOCKETS,
    ),
    Mutation("deploy/websocket_paths.py", '"(?:/|$)"', '""', UNIT + "websocket.py"),
    Mutation(NORMALIZE, "            self._request_body.drain()", "            pass", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "part = part[: response.left]", "pass", UNIT + "normalize.py"),
    Mutation(NORMALIZE, 'is_upgrade or status[:3] in ("204", "304")', "is_upgrade", UNIT + "normalize.py"),
    Mutation(
        NORMALIZE, "if not _NAME(name) or _INVALID_IN_VALUE(value):", "if not _NAME(name):", UNIT + "normalize.py"
    ),
    Mutation(
        NORMALIZE, "                raise IncompleteResponse\n", "                return\n", UNIT + "normalize.py"
    ),
    Mutation(NORMALIZE, "elif key not in _RESPONSE_HOP_BY_HOP:", "else:", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "        if named:\n", "        if False:\n", UNIT + "normalize.py"),
    Mutation(NORMALIZE, "len(set(lengths)) > 1 or", "", UNIT + "normalize.py"),
    Mutation(NORMALIZE, 'if lengths and status[:3] != "204":', "if lengths:", UNIT + "normalize.py"),
    Mutation(NORMALIZE, 'and value[:1] == "/" and', "and False and", UNIT + "normalize.py"),
    Mutation(FRAMING, "            yield _LAST_CHUNK", "            pass", UNIT + "framing.py"),
    Mutation(
        FRAMING,
        "            return\n        if is_chunked",
        "            pass\n        if is_chunked",
        UNIT + "framing.py",
    ),
    Mutation(FRAMING, "int(length) > available", "False", UNIT + "framing.py"),
    Mutation(FRAMING, 'self._environ["SERVER_PROTOCOL"] == "HTTP/1.1"', "True", UNIT + "framing.py"),
    Mutation(
        "deploy/middleware/errors.py",
        '            except BaseException:\n                log.exception("the app raised an exception in the middle',
        '            except Exception:\n                log.exception("the app raised an exception in the middle',
        UNIT + "chain.py",
    ),
    Mutation(
        "deploy/middleware/errors.py",
        "        except BaseException as error:\n",
        "        except Exception as error:\n",
        UNIT + "chain.py",
    ),
    Mutation("deploy/middleware/errors.py", "    _check_type(part)\n        yield", "    yield", UNIT + "chain.py"),
    Mutation(
        "deploy/middleware/errors.py",
        'return plain_response(start_response, "500',
        'raise  # (start_response, "500',
        UNIT + "chain.py",
    ),
    Mutation(
        "deploy/middleware/request_id.py", "received if ACCEPTED(received) else", "received or", UNIT + "chain.py"
    ),
    Mutation(TRUSTED_PROXIES, 'environ["SCRIPT_NAME"] = ""', "pass", UNIT + "proxy.py"),
    Mutation(TRUSTED_PROXIES, 'if count else "http"', "", UNIT + "proxy.py"),
    Mutation(TRUSTED_PROXIES, "elements[-count] if", "elements[-count - 1] if", UNIT + "proxy.py"),
    Mutation(TRUSTED_PROXIES, "if match := _without_port(text):", "if False:", UNIT + "proxy.py"),
    Mutation(TRUSTED_PROXIES, " or nginx_client or ", " or ", UNIT + "proxy.py"),
    Mutation("deploy/host_header.py", "(?::(?:{_PORT})?)?", "(?::.*)?", UNIT + "host_header.py"),
    Mutation("deploy/own_requests.py", "200 <= self.status < 400", "self.status == 200", UNIT + "handover.py"),
    Mutation("deploy/own_requests.py", '"https"', '"http"', UNIT + "own_requests.py"),
    Mutation(
        "deploy/servers/gunicorn/gunicorn.conf.py",
        "{joined[name]}, {value}",
        "{joined[name]},{value}",
        "tests/live/conformance/test_requests.py -k 'three times'",
    ),
    Mutation(
        "nginx/snippets/refuse.conf",
        "(?:${HOST_PATTERN})?$",
        "(?:[^/]*)?$",
        "tests/live/conformance/test_requests.py -k Host",
    ),
    Mutation(
        "nginx/conf.d/forwarded.conf",
        "$of_target;\n    default $http_host;",
        "$http_host;\n    default $http_host;",
        "tests/live/conformance/test_requests.py -k 'absolute and Host'",
    ),
    Mutation(
        "deploy/middleware/allowed_hosts.py",
        'return plain_response(start_response, "400 Bad Request")',
        "return app(environ, start_response)",
        UNIT + "proxy.py",
    ),
    Mutation(
        "deploy/middleware/__init__.py",
        "    normalize,\n    errors,\n    liveness,\n    t",
        "    errors,\n    normalize,\n    liveness,\n    t",
        UNIT + "chain.py",
    ),
    Mutation(
        NORMALIZE, "                break  # the app", "                continue  # the app", UNIT + "normalize.py"
    ),
    Mutation(NORMALIZE, "environ.update(concurrency)", "pass", UNIT + "normalize.py"),
    Mutation("deploy/assets.py", "_mark_in_use(draft, modified_as=file)", "pass", UNIT + "assets.py"),
    # --- logging ---
    Mutation(LOGS, "            _writer.handle(record)", "            _Handler().handle(record)", APP_LOGGING),
    Mutation(LOGS, "get_logger = root.manager.getLogger", "get_logger = logging.getLogger", APP_LOGGING),
    Mutation(LOGS, "in self._consoles and bool(handler.filter(record))", "in self._consoles", APP_LOGGING),
    Mutation(LOGS, "if stream is None or record.levelno < handler.level:", "if stream is None:", APP_LOGGING),
    Mutation(LOGS, "_file(stream.fileno()) in self._consoles", "False", APP_LOGGING),
    Mutation(LOGS, "                    logger.disabled = False\n", "                    pass\n", APP_LOGGING),
    Mutation(LOGS, "    logging.lastResort = handler", "    pass", APP_LOGGING),
    Mutation(LOGS, "        self._log.setLevel(level)", "        pass", APP_LOGGING),
    Mutation(LOGS, "is_intact = _file(self._descriptor) == self._log", "is_intact = True", APP_LOGGING),
    Mutation(LOGS, 'if text.endswith(b"\\n") or', 'if b"\\n" in text or', UNIT + "logs.py"),
    Mutation(RAW_OUTPUT, "fcntl.LOCK_EX)", "fcntl.LOCK_SH)", UNIT + "raw_output.py"),
    Mutation(RAW_OUTPUT, "        last.end()", "        pass", UNIT + "raw_output.py"),
    Mutation(
        RAW_OUTPUT,
        "        while data := os.read(reader, MAX_LINE):",
        "        while data := b'':",
        UNIT + "raw_output.py",
    ),
    Mutation(RAW_OUTPUT, "signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)", "pass", UNIT + "raw_output.py"),
    Mutation(
        RAW_OUTPUT, "text if text.isascii() and text.isprintable() else", "text if text else", UNIT + "raw_output.py"
    ),
    Mutation(RAW_OUTPUT, ", parse_constant=_no_constant", "", UNIT + "raw_output.py"),
    Mutation(
        "deploy/servers/gunicorn/worker.py",
        "            self.alive = False\n            raise  # threading",
        "            raise  # threading",
        UNIT + "gunicorn_worker.py",
    ),
    Mutation(
        "deploy/servers/gunicorn/gunicorn.conf.py",
        'self.error_log = logs.get_logger("gunicorn.error")',
        "pass",
        UNIT + "gunicorn_worker.py",
    ),
    Mutation(
        "deploy/start",
        '    raw_output.capture(settings["WSGI_SERVER"], 1, 2)\n',
        "",
        "tests/live/conformance/test_logging.py",
    ),
    Mutation("nginx/start", "    capture_output()\n", "", "tests/live/conformance/test_logging.py"),
    Mutation(
        "nginx/conf.d/logging.conf",
        '"user_agent":"$logged_agent"',
        '"user_agent":"$http_user_agent"',
        "tests/live/conformance/test_logging.py",
    ),
    # --- request timeouts and graceful shutdown ---
    Mutation(
        REQUEST_TIMEOUT,
        "class RequestTimeout(BaseException)",
        "class RequestTimeout(Exception)",
        UNIT + "request_timeout.py",
    ),
    Mutation(REQUEST_TIMEOUT, "            os._exit(1)", "            pass", UNIT + "request_timeout.py"),
    Mutation(REQUEST_TIMEOUT, "exit=True", "exit=False", UNIT + "request_timeout.py"),
    Mutation(
        REQUEST_TIMEOUT,
        "return seconds > ACCEPT_DELAY and self.in_flight <= stuck.keys()",
        "return True",
        "tests/live/reliability/test_stuck_requests.py",
    ),
    Mutation(
        REQUEST_TIMEOUT,
        "if has_progressed or self._is_sending_only():",
        "if has_progressed:",
        UNIT + "request_timeout.py -k sending",
    ),
    Mutation(
        REQUEST_TIMEOUT,
        "            self.timeout, self.is_event_stream = self._stream_timeout, True\n",
        "            pass\n",
        UNIT + "request_timeout.py -k event_stream",
    ),
    Mutation(
        "deploy/servers/uwsgi/run",
        "${socket_timeout:-86400}",
        "${socket_timeout:-4}",
        "tests/live/reliability/test_large_downloads.py -k whole",
    ),
    Mutation(
        "deploy/servers/mod_wsgi/run",
        '[ "$PORT" ] || APACHE_TIMEOUT=86400\n',
        "",
        "tests/live/reliability/test_large_downloads.py -k whole",
    ),
    Mutation(
        "nginx/conf.d/limits.conf",
        "proxy_max_temp_file_size 2048m",
        "proxy_max_temp_file_size 256m",
        "tests/live/reliability/test_large_downloads.py -k served",
    ),
    Mutation(REQUEST_TIMEOUT, "before=self._before_fork, ", "before=self._lock.acquire, ", UNIT + "request_timeout.py"),
    Mutation(
        "deploy/servers/uwsgi/uwsgi.ini",
        "hook-master-start = unix_signal:15 gracefully_kill_them_all",
        "",
        STOP + " -k stop_finishes",
    ),
    Mutation(
        "deploy/servers/uwsgi/uwsgi.ini", "py-call-uwsgi-fork-hooks = true", "", "tests/unit/deploy/test_preload.py"
    ),
    Mutation("deploy/wsgi.py", "gc.freeze()", "", "tests/unit/deploy/test_preload.py"),
    Mutation("deploy/servers/mod_wsgi/run", "kill -WINCH", "kill -TERM", STOP + " -k stop_finishes"),
    Mutation("Dockerfile", "STOPSIGNAL SIGQUIT", "STOPSIGNAL SIGTERM", STOP + " -k nginx_stops"),
    Mutation("nginx/start", '["STREAM_TIMEOUT"])) + 5', '["STREAM_TIMEOUT"]))', "tests/config"),
    Mutation(
        "docker-compose.yml",
        "stop_grace_period: 65s # KILL_AFTER of deploy/settings.py. Default: 10s.\n    mem",
        "mem",
        "tests/config",
    ),
    Mutation(
        "deploy/servers/gunicorn/gunicorn.conf.py",
        'else "deploy.servers.gunicorn.worker.Worker"',
        'else "gthread"',
        "tests/config/test_servers.py -k one_place",
    ),
    Mutation(
        "deploy/heartbeat.py",
        '> int(settings["REQUEST_TIMEOUT"]) + ALLOWED_SILENCE',
        '> int(settings["REQUEST_TIMEOUT"])',
        UNIT + "heartbeat.py",
    ),
    Mutation(
        REQUEST_TIMEOUT,
        "                descriptors.restart_when_exhausted()\n",
        "",
        "tests/live/reliability/test_exhausted_workers.py -k descriptors",
    ),
    Mutation(
        "nginx/snippets/error-pages.conf",
        "condition.\nerror_page 500 =503",
        "condition.\nerror_page 500",
        "tests/live/reliability/test_full_disk.py -k nginx",
    ),
    Mutation("app/database.py", "lock_timeout=1500", "lock_timeout=0", "tests/live/reliability -k locked"),
    # --- the handover, published assets and state ---
    Mutation(
        "deploy/handover.py",
        "new_link.replace(own_socket.with_name(LINK))",
        "own_socket.with_name(LINK).unlink(missing_ok=True); new_link.replace(own_socket.with_name(LINK))",
        UNIT + "handover.py",
    ),
    Mutation("deploy/own_requests.py", "< 400", "< 500", UNIT + "handover.py"),
    Mutation("deploy/assets.py", "draft.replace(target)", "pass", UNIT + "assets.py"),
    Mutation("deploy/assets.py", "    _mark_last_release_in_use(Path(dest))\n", "", UNIT + "assets.py"),
    Mutation("deploy/state.py", "if not path.exists():  # no other", "if True:  # no other", UNIT + "state.py"),
    Mutation("deploy/server_process.py", "== start_time and", "and", UNIT + "server_process.py"),
    Mutation("deploy/server_process.py", ".st_uid == owner", ".st_uid >= 0", UNIT + "server_process.py"),
    Mutation("deploy/release", "lambda number, frame: _stop(child.pid, number)", "signal.SIG_IGN", UNIT + "release.py"),
    Mutation(CLI_ROLLOUT, '_lock_file("rollout.lock")', '(ROOT / "Dockerfile").open("a+")', WATCH),
    Mutation(
        "deploy/handover.py",
        "active is None or active != own_socket and not _has_listener(active)",
        "True",
        UNIT + "handover.py",
    ),
    Mutation(
        "deploy/handover.py",
        "    if active is None or active",
        "    if active is not None and active",
        UNIT + "handover.py",
    ),
    Mutation("deploy/smoke_check.py", "else answer.status < 500", "else True", UNIT + "smoke_check.py"),
    Mutation("deploy/breaking_migrations.py", "if MARKER in [", "if False and [", UNIT + "breaking_migrations.py"),
    Mutation(
        "deploy/breaking_migrations.py",
        "_found(tree) if mark is None else mark",
        "mark",
        UNIT + "breaking_migrations.py",
    ),
    # --- rollouts: ./stack switch and ./stack release ---
    Mutation(
        CLI_ROLLOUT,
        _SMOKE_CHECK + _HAND_OVER,
        _HAND_OVER + _SMOKE_CHECK,
        "tests/live/reliability/test_bad_releases.py",
    ),
    Mutation(
        CLI_ROLLOUT,
        "            _drain(nginx, container, step)\n",
        "            pass\n",
        "tests/live/reliability/test_queued_requests.py",
    ),
    Mutation(CLI_ROLLOUT, '"--no-recreate", ', "", "tests/live/reliability/test_rollout_interrupted.py -k ctrl_c"),
    Mutation(
        CLI_ROLLOUT,
        "    retire_others(stack, active)\n    return active\n",
        "    return active\n",
        "tests/live/reliability/test_rollout_interrupted.py -k kill_9_at",
    ),
    Mutation("Dockerfile", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", STOP + " -k stop_finishes"),
    Mutation(CLI_ROLLOUT, "if not is_same or", "if", WATCH),
    Mutation(CLI_ROLLOUT, "old_failed.returncode < failed.returncode", "False", WATCH),
    Mutation("nginx/start", "if can_pass_connections():", "if False:", ONE_ADDRESS),
    Mutation("nginx/snippets/proxy.conf", "limit_conn client_requests", "#", ONE_ADDRESS),
    Mutation("nginx/snippets/error-pages.conf", "494 501 503 504 505", "494 503 504", FRONT),
    Mutation("nginx/nginx.conf", "        include snippets/security-headers.conf;\n", "", FRONT),
    Mutation("deploy/targets/apache/front.conf", "    QS_ClientSerialize\n", "", APACHE_LIMITS),
    Mutation("deploy/targets/apache/front.conf", "QS_SrvMaxConnPerIP 64", "QS_SrvMaxConnPerIP 64000", APACHE_LIMITS),
    Mutation("deploy/targets/apache/front.conf", "Header always set X-Frame-Options", "#", FRONT),
    Mutation("deploy/targets/apache/front.conf", "[E=LOG_PATH:${escape:%1}***]", "[E=X:1]", FRONT),
    Mutation(RAW_OUTPUT, "mask(text, queries=True)", "text", UNIT + "raw_output.py"),
    Mutation(RAW_OUTPUT, "_SECRET_IN_PATH.sub(", "re.compile('(x)').sub(", UNIT + "raw_output.py"),
    Mutation(
        "nginx/conf.d/logging.conf",
        "$before_secret***",
        "$request_uri",
        FRONT,
    ),
    Mutation("deploy/smoke_check.py", "or failed[0] == BUSY", "", UNIT + "smoke_check.py"),
    Mutation("deploy/smoke_check.py", ">= PATIENCE", ">= 0", UNIT + "smoke_check.py"),
    # --- thresholds of ./stack doctor ---
    Mutation(DOCTOR, "MIN_CERTIFICATE_DAYS = 14", "MIN_CERTIFICATE_DAYS = 4", THRESHOLDS),
    Mutation(DOCTOR, "MIN_OPEN_FILES = 8192", "MIN_OPEN_FILES = 1024", THRESHOLDS),
    Mutation(DOCTOR, "POSTGRES_MAX_CONNECTIONS = 100", "POSTGRES_MAX_CONNECTIONS = 200", THRESHOLDS),
    Mutation(DOCTOR, "MIN_REQUESTS = 20", "MIN_REQUESTS = 21", THRESHOLDS),
    Mutation(DOCTOR, "limit < wanted", "limit < wanted - 1", THRESHOLDS),
    Mutation(DOCTOR, "used > 0.9 * limit", "used > 0.99 * limit", THRESHOLDS),
    Mutation(DOCTOR, "max(2**30, size // 20)", "min(2**30, size // 20)", THRESHOLDS),
    Mutation(DOCTOR, 'folder["size"] // 2', 'folder["size"] // 3', THRESHOLDS),
    Mutation(DOCTOR, "length < 16", "length < 15", THRESHOLDS),
    Mutation("deploy/resources.py", "MEMORY_PER_WORKER = 128", "MEMORY_PER_WORKER = 64", THRESHOLDS),
    # --- settings ---
    Mutation("deploy/settings.py", "self[name] = value or (", "self[name] = (", UNIT + "settings.py"),
    Mutation("deploy/wsgi.py", "os._exit(error.status)", "os._exit(1)", UNIT + "start.py"),
    Mutation("deploy/resources.py", "min(available, max(1,", "max(available, max(1,", UNIT + "resources.py"),
    # --- the path, the method and static files ---
    Mutation(NORMALIZE, "not _set_path(environ) or ", "", UNIT + "request_target.py"),
    Mutation(NORMALIZE, "            kept.pop()\n", "", UNIT + "request_target.py"),
    Mutation(NORMALIZE, 'if environ["REQUEST_METHOD"] not in methods:', "if False:", UNIT + "request_target.py"),
    Mutation("nginx/nginx.conf", "merge_slashes off;", "", "tests/live/conformance/test_requests.py -k path"),
    Mutation("deploy/network.py", "except OSError:", "except KeyError:", UNIT + "request_target.py"),
    Mutation("nginx/snippets/refuse.conf", "^(${METHOD_PATTERN})$", "^(GET|POST)$", SETTINGS + " -k methods"),
    Mutation("nginx/settings.conf.template", "keepalive_timeout ${KEEP_ALIVE}s;", "", SETTINGS + " -k keep_alive"),
    Mutation("nginx/start", 'addresses.append("[::]")', "pass", SETTINGS + " -k ipv6"),
    Mutation(
        "nginx/conf.d/limits.conf", "send_timeout 60s;", "send_timeout 10s;", "tests/config/test_servers.py -k pause"
    ),
    Mutation(
        "deploy/servers/mod_wsgi/httpd.conf",
        "KeepAliveTimeout ${KEEP_ALIVE}",
        "",
        "tests/live/conformance/test_without_nginx.py -k keep_alive",
    ),
    Mutation(
        "nginx/nginx.conf",
        "            proxy_max_temp_file_size 0;\n",
        "",
        "tests/live/reliability/test_full_disk.py -k downloads",
    ),
    Mutation("app/mail.py", "daemon=False", "daemon=True", "tests/live/test_mail_at_stop.py"),
    Mutation("deploy/mime.types", " json map", " json", "tests/live/test_static_types.py -k media_type"),
    Mutation("deploy/assets.py", " and not _is_sibling(path)", "", UNIT + "assets.py"),
    Mutation("deploy/assets.py", "        _remove_outdated_siblings(file, target)\n", "", UNIT + "assets.py"),
    Mutation("deploy/mime.types", " js mjs", " js", UNIT + "assets.py"),
    # --- Nginx ---
    Mutation("nginx/snippets/static.conf", "gzip_vary on;", "gzip_vary off;", "tests/live/test_switch.py -k gunicorn"),
    Mutation("nginx/conf.d/static-cache.conf", "{12}", "{8}", "tests/config/test_shared_facts.py"),
    Mutation(
        "nginx/conf.d/limits.conf",
        "absolute_redirect off;",
        "absolute_redirect on;",
        "tests/live/test_switch.py -k gunicorn",
    ),
    Mutation(
        "nginx/snippets/proxy.conf", "proxy_hide_header X-Request-ID;", "", "tests/live/test_switch.py -k gunicorn"
    ),
    Mutation(
        "nginx/snippets/error-pages.conf",
        "always;\n    add_header Retry-After $retry_after always;\n}\n\nlocation @plain_error",
        "always;\n}\n\nlocation @plain_error",
        "tests/live/test_without_web.py -k error_page",
    ),
    # --- the page cache ---
    Mutation(
        "nginx/conf.d/files.conf", "sendfile on;", "sendfile on; tcp_nopush on;", CACHE + " -k wait_for_its_refresh"
    ),
    Mutation(PAGES, "$http_cookie$http_auth", "$http_auth", CACHE + " -k credentials"),
    Mutation(PAGES, "$http_authorization", "", CACHE + " -k credentials"),
    Mutation(PAGES, "$content_length$http_transfer_encoding", "", CACHE + " -k body"),
    Mutation(PAGES, "(?=.*\\bpublic\\b)", "", CACHE + " -k unmarked_page"),
    Mutation(
        PAGES,
        '    EXPIRED "";\n    default $http_if_none_match;',
        "    default $http_if_none_match;",
        CACHE + " -k condition",
    ),
    Mutation("nginx/snippets/page-cache.conf", " $host$host_port ", " ", CACHE + " -k 'key or another'"),
    Mutation("nginx/snippets/page-cache.conf", '$args $uri"', '$uri?$args"', CACHE + " -k key"),
    Mutation(
        "nginx/snippets/page-cache.conf",
        "proxy_ignore_headers X-Accel-Expires Expires;",
        "",
        CACHE + " -k unmarked_page",
    ),
    Mutation(
        "nginx/snippets/page-cache.conf", "proxy_cache_convert_head off;", "", CACHE + " -k marked_page_is_cached"
    ),
    Mutation("nginx/snippets/page-cache.conf", "proxy_cache_background_update on;", "", CACHE + " -k refreshes"),
    Mutation(
        "nginx/snippets/page-cache.conf", " $disk_is_full;", ";", "tests/live/reliability/test_full_disk.py -k nginx"
    ),
    Mutation("app/blog/views.py", " and not session and", " and", "tests/unit/app/test_blog.py -k message"),
    Mutation("app/blog/views.py", " and not session.modified", "", "tests/unit/app/test_blog.py -k message"),
    Mutation("app/errors.py", "    g._login_user = AnonymousUserMixin()\n", "", COMMITS + " -k locked_database"),
    # --- container hardening ---
    Mutation("docker-compose.yml", "  read_only: true\n", "", "tests/config/test_containers.py"),
    Mutation("docker-compose.yml", "  cap_drop: [ALL]\n", "", "tests/config/test_containers.py"),
    # --- other targets ---
    Mutation(
        "deploy/targets/apache/front.conf", "RequestHeader unset X-Forwarded-Host\n", "", "tests/config/test_targets.py"
    ),
    Mutation(
        "deploy/targets/native/run",
        "manager.KILL_WAIT = KILL_AFTER",
        "manager.KILL_WAIT = 5",
        "tests/config/test_targets.py",
    ),
    Mutation(
        "deploy/targets/native/systemd/tripod-web.service",
        "KillMode=mixed",
        "KillMode=control-group",
        "tests/config/test_targets.py",
    ),
    *(
        Mutation(unit, f"\n{line}\n", "\n", RESTRICTIONS)
        for unit in UNITS
        for line in (
            "UMask=0027",
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "PrivateUsers=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "ProtectClock=yes",
            "ProtectControlGroups=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
            "ProtectProc=invisible",
            "LockPersonality=yes",
            "RemoveIPC=yes",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@privileged",
        )
    ),
    Mutation(UNITS[0], "StateDirectoryMode=0750", "StateDirectoryMode=0755", RESTRICTIONS),
    Mutation(UNITS[1], "CacheDirectoryMode=0700", "CacheDirectoryMode=0755", RESTRICTIONS),
    Mutation(UNITS[1], "\nProcSubset=pid\n", "\n", RESTRICTIONS),
    Mutation(UNITS[1], "\nMemoryDenyWriteExecute=yes\n", "\n", RESTRICTIONS),
    *(Mutation(unit, "StartLimitBurst=5\n", "", "tests/config/test_targets.py -k gives_up") for unit in UNITS),
    # --- the sample app's database ---
    # --- accounts of the sample app ---
    Mutation(SESSIONS, "if session_id and end(user, session_id):", "if session_id:", SESSION_TESTS + " -k copies"),
    Mutation(
        SESSIONS,
        "    started = LoginSession.created_at > now -",
        "    started = LoginSession.last_seen_at > now -",
        SESSION_TESTS + " -k expire",
    ),
    Mutation("app/device_cookies.py", " and version == _version(user)", "", SESSION_TESTS + " -k device_cookies"),
    Mutation(
        "app/account/auth.py", "        serializer.secret_keys.reverse()", "        pass", SESSION_TESTS + " -k key"
    ),
    Mutation("app/account/auth.py", "= confirm_email\n", '= app.view_functions["security.confirm_email"]\n', ATTACKER),
    Mutation(
        "app/account/models.py",
        "        self.active = False\n        self.revoke_tokens()\n",
        "        self.active = False\n",
        ACCOUNT_TESTS + " -k reopening",
    ),
    Mutation("app/account/models.py", "cls.expires_at > now,", "cls.id > 0,", "tests/unit/app/test_tokens.py"),
    Mutation("app/account/models.py", "IN SHARE ROW EXCLUSIVE MODE", "IN ACCESS SHARE MODE", LAST_ADMIN),
    Mutation(
        "app/admin/views.py",
        '    db.session.refresh(current_user._get_current_object(), ["roles", "active"])\n',
        "",
        LAST_ADMIN,
    ),
    Mutation("app/account/forms.py", "            count_failed_login(self.user)\n", "            pass\n", EQUAL_WORK),
    Mutation(
        "app/rate_limits.py",
        "return None if account.startswith(DEVICE) else client_address()",
        "return client_address()",
        "tests/unit/app/test_rate_limits.py -k neighbors",
    ),
    Mutation(
        "app/api/auth.py",
        "    rate_limits.hit_login(name)\n    user = _find_user(name)\n",
        "    user = _find_user(name)\n    rate_limits.hit_login(user.email if user else name)\n",
        "tests/unit/app/test_rate_limits.py -k reveal",
    ),
    Mutation("app/database.py", "synchronous = FULL", "synchronous = NORMAL", "tests/unit/app/test_database.py"),
    Mutation(
        "app/database_timeouts.py",
        "        _use_pooler(engine, parameters)\n",
        '        parameters.pop("options")\n',
        "tests/unit/app/test_database.py -k pooler",
    ),
    # --- the settings of the next start ---
    Mutation("cli/dotenv.py", 'value.partition(" #")', 'value.partition("#")', DOTENV),
    Mutation("cli/dotenv.py", "{**known, **environ}", "{**environ, **known}", DOTENV),
    Mutation("cli/dotenv.py", 'if escape == "$":', "if False:", DOTENV),
    Mutation("deploy/settings.py", 'environ.get(name, "").strip("/")', "False", "tests/unit/cli/test_project.py"),
    Mutation("cli/doctor/facts.py", "return errors.errors", "return []", "tests/unit/cli/test_doctor.py"),
    # --- supply: CA certificates, hashes, Debian's packages ---
    Mutation("deploy/app_process.py", '("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")', '("SSL_CERT_FILE",)', CERTIFICATES),
    Mutation("deploy/certificates.py", "if key not in known:", "if True:", CERTIFICATES),
    Mutation("Dockerfile", "--quiet --require-hashes -r /opt/build", "--quiet -r /opt/build", REPOSITORY),
    Mutation("cli/packages.py", "if old != new:", "if old and old != new:", "tests/unit/cli/test_packages.py"),
    Mutation("cli/doctor/checks.py", "days > MAX_PACKAGE_DAYS", "False", "tests/unit/cli/test_doctor.py"),
    # --- plain processes that root starts ---
    Mutation("cli/folders.py", "os.fchown(folder, ROOT_USER, user.gid)", "os.fchown(folder, user.uid, user.gid)", ROOT),
    Mutation("cli/folders.py", "for entry in path.iterdir() if was_of_user else ():", "for entry in ():", ROOT),
    Mutation("cli/folders.py", "if status.st_uid == self.uid:", "if False:", ROOT),
    Mutation("cli/processes.py", "if is_the_one():", "if True:", ROOT),
    Mutation("cli/native.py", 'and processes.has_user(record["pid"], user.uid)', "", ROOT),
    Mutation("cli/native.py", 'console.capture(as_user(["find"', 'console.capture((["find"', ROOT),
    Mutation("cli/native.py", '("nginx", of_nginx)', '("nginx", values.keys())', ROOT),
    # --- what the sample app accepts ---
    Mutation(PARSING, '"MAX_JSON_SIZE" if self.is_json else ', "", INPUT + "request_parsing.py -k json_limit"),
    Mutation(PARSING, "        abort(415)\n", "        pass\n", INPUT + "request_parsing.py -k accept_no_json"),
    Mutation(
        PARSING,
        "return super().authorization\n        except ValueError",
        "return super().authorization\n        except TypeError",
        INPUT + "hostile_input.py -k credentials",
    ),
    Mutation("app/errors.py", "elif not isinstance(error, BadHost):", "else:", INPUT + "hostile_input.py -k headers"),
    Mutation(
        "app/account/auth.py",
        "    app.before_request(refuse_malformed_next)\n",
        "",
        INPUT + "accounts.py -k address_to_continue",
    ),
    Mutation("app/account/auth.py", "if listed == port or not port", "if True", INPUT + "accounts.py -k mailed_links"),
    Mutation(
        "app/account/auth.py", "        db.session.flush()\n", "", INPUT + "accounts.py -k concurrent_registrations"
    ),
    Mutation(
        "app/account/auth.py", '"ZXCVBN_MINIMUM_SCORE": 2', '"ZXCVBN_MINIMUM_SCORE": 1', INPUT + "accounts.py -k common"
    ),
    Mutation("app/passwords.py", "> MAX_SYMBOLS", "> 99", INPUT + "accounts.py -k hostile"),
    Mutation(
        "app/passwords.py",
        "password[: MAX_LENGTH + 1])[: MAX_LENGTH + 1]",
        "password)",
        INPUT + "accounts.py -k too_long",
    ),
    Mutation(
        "app/account/models.py",
        "verify_password(security.password_util.normalize(password), ",
        "verify_password(password, ",
        INPUT + "accounts.py -k alike",
    ),
    Mutation(
        "app/rate_limits.py",
        '    "account.deactivate": PASSWORD_LIMITS,\n',
        "",
        INPUT + "rate_limits.py -k account_pages",
    ),
    Mutation(
        "app/rate_limits.py",
        'request.form.get("email", "")',
        'str(request.form.getlist("email"))',
        INPUT + "rate_limits.py -k repeated",
    ),
    Mutation(
        "app/rate_limits.py",
        'mail_limits("register", per_account="10/hour", ',
        'mail_limits("register", per_account="60/hour", ',
        INPUT + "rate_limits.py -k mail_limits_per_account",
    ),
    Mutation(
        "app/config.py", '"WTF_CSRF_TIME_LIMIT": None', '"WTF_CSRF_TIME_LIMIT": 3600', INPUT + "forms.py -k open_for"
    ),
    Mutation(
        "app/blog/views.py", "lock=request.method not in SAFE_METHODS", "lock=False", INPUT + "forms.py -k edited"
    ),
    Mutation("app/blog/models.py", "        if not is_repeated:\n", "        if True:\n", INPUT + "forms.py -k once"),
    Mutation(
        "app/blog/models.py",
        ".with_for_update(key_share=True)",
        "",
        INPUT + "forms.py -k 'simultaneous and postgresql'",
    ),
    Mutation("app/validation.py", "\\u202a-\\u202e\\u2066", "\\u2066", INPUT + "blog.py -k forbidden_characters"),
    Mutation("app/validation.py", "\\x9f\\u202a-\\u202e", "\\x9f", INPUT + "blog.py -k forbidden_characters"),
    Mutation(
        "app/validation.py", "not INVISIBLE_TEXT.fullmatch(text)", "bool(text)", INPUT + "blog.py -k invalid_post"
    ),
    Mutation("app/database.py", '"BEGIN IMMEDIATE" if takes_lock else', "", "tests/unit/app/test_database.py"),
    Mutation("app/database.py", 'options.get("write_lock") or (has_', "not has_request_context() or (has_", COMMITS),
    Mutation("app/database.py", '{"expire_on_commit": False}', "{}", COMMITS),
    Mutation(
        "app/database.py",
        'if options.get("isolation_level") == "AUTOCOMMIT"',
        "if False",
        "tests/unit/app/test_search.py -k wait",
    ),
    Mutation("app/database_errors.py", "or code & 0xFF in SQLITE_UNAVAILABLE", "or True", COMMITS + " -k schema"),
    Mutation("app/errors.py", "    session.modified = False\n", "", COMMITS + " -k after_the_view"),
    Mutation(
        "app/errors.py",
        "if is_unavailable(error.original_exception)",
        "if False and is_unavailable(error.original_exception)",
        COMMITS + " -k after_the_view",
    ),
    Mutation(
        "app/rate_limits.py",
        "    except SQLAlchemyError as error:",
        "    except OSError as error:",
        COMMITS + " -k call",
    ),
    Mutation("app/account/password_hashing.py", "    session.rollback()\n", "", COMMITS),
    Mutation(
        "app/account/password_hashing.py",
        "        _require_same_passwords(users)\n        return password_hash",
        "        return password_hash",
        COMMITS + " -k winner",
    ),
    Mutation(
        "app/admin/commands.py",
        "        db.session.rollback()  # a prompt",
        "        # a prompt",
        COMMITS + " -k prompt",
    ),
    # --- the sample app's migrations and its search ---
    Mutation("app/migrations/locks.py", "LOCK_TIMEOUT = 500", "LOCK_TIMEOUT = 60_000", MIGRATIONS + " -k no_request"),
    Mutation("app/migrations/locks.py", "            fcntl.flock(folder, fcntl.LOCK_EX)\n", "", MIGRATIONS),
    Mutation("app/migrations/env.py", "transaction_per_migration=True", "transaction_per_migration=False", MIGRATIONS),
    Mutation("app/migrations/env.py", "callbacks.append(check_foreign_keys)", "pass", MIGRATIONS + " -k dangling"),
    Mutation("app/migrations/env.py", "(ctx.connection) - before)", "(ctx.connection))", MIGRATIONS + " -k dangling"),
    Mutation(
        "app/migrations/versions/0004_search.py",
        "    ON CONFLICT (rowid) DO NOTHING\n",
        "",
        "tests/unit/app/test_search.py -k killed",
    ),
    Mutation("app/blog/models.py", ", key=post_search.c.rowid)", ")", "tests/unit/app/test_search.py -k index"),
    Mutation(
        "app/readiness/views.py", "is None or is_outdated(version)", "is None", "tests/unit/app/test_readiness.py"
    ),
    Mutation(
        "app/database_timeouts.py",
        "        _use_pooler(engine, parameters)\n",
        '        parameters.pop("options")\n',
        "tests/unit/app/test_database.py -k pooler",
    ),
    # --- the process of the app ---
    Mutation(
        "deploy/app_process.py",
        '        del environ[name]\n    environ["HOME"]',
        '        pass\n    environ["HOME"]',
        PROCESS,
    ),
    Mutation("deploy/app_process.py", '    sys.argv[:] = ["deploy/start"]\n', "", PROCESS),
    Mutation("deploy/app_process.py", "    sys.executable = ", "    _ = ", PROCESS),
    Mutation(
        "deploy/health",
        " and heartbeat.silence(settings) < container_age()",
        "",
        "tests/live/conformance/test_without_nginx.py -k restart",
    ),
    Mutation(
        "deploy/middleware/background_threads.py",
        "            signal.pthread_sigmask(signal.SIG_SETMASK, ())\n",
        "",
        PROCESS + " -k terminates",
    ),
    Mutation("deploy/app_process.py", '    locale.setlocale(locale.LC_ALL, "C")\n', "", PROCESS),
    Mutation("deploy/middleware/background_threads.py", "_daemonic = False", "_daemonic = True", PROCESS),
    Mutation(
        "deploy/setting_checks.py", 'if authority.count("@") > 1 or "#" in tail', "if False", UNIT + "settings.py"
    ),
    Mutation(
        "deploy/setting_checks.py",
        'if not path.startswith("/"):\n        return "the path of',
        'if False:\n        return "the path of',
        UNIT + "settings.py",
    ),
)
