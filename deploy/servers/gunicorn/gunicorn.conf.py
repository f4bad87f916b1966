"""Gunicorn >= 27.0.1. The values come from the contract by deploy/start; the comments name Gunicorn's own defaults."""

import logging.config
import os
import signal

from gunicorn import glogging

from deploy import logs

_setting = os.environ.__getitem__

# The kernel drops a signal that process 1 has no handler for. Gunicorn sets its own when it has loaded the app.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

# --- where it listens -------------------------------------------------------------------------------------------------
bind = f"0.0.0.0:{_setting('PORT')}" if _setting("PORT") else f"unix:{_setting('SOCKET')}"
# Nginx runs as another user and needs to write to the socket to connect. Default: 0, which makes it 0777 as well;
# said here because the socket's folder, not its mode, is what keeps others out.
umask = 0o007 if _setting("PORT") else 0
# Default: 2048. The same on all three servers: behind Nginx the one place where requests wait (WEB_QUEUE).
backlog = int(_setting("BACKLOG"))

# --- how it works -----------------------------------------------------------------------------------------------------
# Default: sync, where one slow view holds a whole process. Without Nginx clients may be slow and keep connections:
# gthread watches those without a thread for each (worker_connections, 1000 by default). Behind Nginx worker.py, beside
# this file, takes a sixth less CPU a request; and no more connections than it has threads, so that what waits does so
# in the backlog, counted, and is not lost with a worker.
worker_class = "gthread" if _setting("PORT") else "deploy.servers.gunicorn.worker.Worker"
workers = int(_setting("WEB_CONCURRENCY"))
threads = int(_setting("WEB_THREADS"))
# Default: off, each worker loads the app for itself.
preload_app = _setting("PRELOAD") == "on"
# The worker's heartbeat lives in memory: in a container's /tmp on a slow disk workers seem to freeze.
worker_tmp_dir = "/dev/shm"
# Default: 0, off. Jitter of a tenth, so that workers do not all leave at once.
max_requests = int(_setting("MAX_REQUESTS"))
max_requests_jitter = max_requests // 10

# --- how long ---------------------------------------------------------------------------------------------------------
# Default: 30. For gthread this is a heartbeat of the worker, not a limit on requests: middleware/request_timeout.py
# ends those. It is the last resort, later than that watchdog's own last step (REQUEST_TIMEOUT + 3).
timeout = int(_setting("REQUEST_TIMEOUT")) + 5
# Default: 30. Less than Compose's stop_grace_period (65 s), else Docker kills what was about to finish.
graceful_timeout = int(_setting("SHUTDOWN_GRACE"))
# Default: 2. Nginx closes each connection after one request; only without Nginx do clients keep theirs. More than
# the 90 s for which Heroku's router keeps one, else a request meets a connection that is just being closed.
keepalive = 95 if _setting("PORT") else 0

# --- what it accepts --------------------------------------------------------------------------------------------------
# Default: 4094. Nginx lets 8 KiB through (large_client_header_buffers) and may make more of it, percent-encoding what
# should have been; 0 is no limit, and 8190 the highest where there is no Nginx.
limit_request_line = 8190 if _setting("PORT") else 0
# Defaults: 8190 and 100. Nginx decides (8 KiB, 100 headers) and then adds its own, which these must leave room for.
limit_request_field_size = 16380
limit_request_fields = 200
# Decided once, by TRUSTED_PROXIES in deploy/middleware/trusted_proxies.py. Default: 127.0.0.1, or what a
# platform puts into FORWARDED_ALLOW_IPS (Heroku: *).
forwarded_allow_ips = "127.0.0.1" if _setting("PORT") else ""
secure_scheme_headers: dict[str, str] = {}
# Default: SCRIPT_NAME,PATH_INFO; a header must not rewrite the path.
forwarder_headers = ""

# --- what it leaves behind --------------------------------------------------------------------------------------------
# Default: on, a socket in $HOME, which a read-only container does not have.
control_socket_disable = True
# No access log (the default, said because platforms set one in GUNICORN_CMD_ARGS): Nginx writes it.
accesslog = None


class JsonLogger(glogging.Logger):
    """Gunicorn's own lines through the stack's logging. (logconfig_dict would switch the access log on.)"""

    def setup(self, cfg):
        logging.config.dictConfig(logs.config(_setting("LOG_LEVEL")))
        self.error_log.propagate = True
        self.error_log.handlers.clear()


logger_class = JsonLogger
