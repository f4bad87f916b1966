"""Gunicorn >= 27.0.1. deploy/start exports the settings; comments name the defaults of Gunicorn.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
import signal

from gunicorn import glogging

from deploy import logs

_setting = os.environ.__getitem__
_port = os.environ.get("PORT", "")  # set on targets without Nginx

# A stop while the app is loaded has the exit status 0. Gunicorn installs its own handler after that.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

# --- socket -----------------------------------------------------------------------------------------------------------
bind = f"0.0.0.0:{_port}" if _port else f"unix:{_setting('SOCKET')}"
# Nginx runs as another user and needs write permission to connect to the socket. Default: 0, which makes it 0777 as
# well; set here because access is controlled by the socket's folder, not by its mode.
umask = 0o007 if _port else 0
# Default: 2048. The same on all three servers: behind Nginx this is the only place where requests wait (WEB_QUEUE).
backlog = int(_setting("BACKLOG"))

# --- worker processes -------------------------------------------------------------------------------------------------
# Default: sync, where one slow request blocks a whole process. Without Nginx clients may be slow and keep connections
# open: gthread watches these without a thread for each (worker_connections, default: 1000). Behind Nginx worker.py,
# beside this file, needs a sixth less CPU per request. It accepts no more connections than it has threads, so that
# waiting requests stay in the backlog, where they are limited and survive the restart of a worker process.
worker_class = "gthread" if _port else "deploy.servers.gunicorn.worker.Worker"
workers = int(_setting("WEB_CONCURRENCY"))
threads = int(_setting("WEB_THREADS"))
# Default: off, each worker process loads the app.
preload_app = _setting("PRELOAD") == "on"
# Default: /tmp. The heartbeat file of a worker process is in memory: with /tmp on a slow disk, workers would block on
# their heartbeat and be killed.
worker_tmp_dir = "/dev/shm"
# Default: 0, off. The jitter of a tenth prevents that all worker processes restart at once.
max_requests = int(_setting("MAX_REQUESTS"))
max_requests_jitter = max_requests // 10

# --- timeouts ---------------------------------------------------------------------------------------------------------
# Default: 30. For gthread this is a heartbeat of the worker process, not a limit for requests, which
# deploy/middleware/request_timeout.py has. It must exceed the last step of that watchdog (REQUEST_TIMEOUT + 3).
timeout = int(_setting("REQUEST_TIMEOUT")) + 5
# Default: 30. SHUTDOWN_GRACE is always shorter than Compose's stop_grace_period (KILL_AFTER in deploy/settings.py).
graceful_timeout = int(_setting("SHUTDOWN_GRACE"))
# Default: 2. Nginx closes each connection after one request. Without Nginx the value must exceed the 90 s for which
# Heroku's router keeps idle connections, so that the router closes them first. Otherwise a request could arrive on a
# connection that Gunicorn is closing.
keepalive = 95 if _port else 0

# --- limits -----------------------------------------------------------------------------------------------------------
# Default: 4094. 0 is unlimited: Nginx accepts 8 KiB (large_client_header_buffers), and percent-encoding may make the
# line longer. Without Nginx 8190, the maximum.
limit_request_line = 8190 if _port else 0
# Defaults: 8190 and 100. Nginx enforces its limits (8 KiB, 100 headers) and then adds headers of its own.
limit_request_field_size = 16380
limit_request_fields = 200
# deploy/middleware/trusted_proxies.py applies TRUSTED_PROXIES. Default: 127.0.0.1, or the value of FORWARDED_ALLOW_IPS,
# which Heroku sets to *.
forwarded_allow_ips = "127.0.0.1" if _port else ""
secure_scheme_headers: dict[str, str] = {}
# Default: SCRIPT_NAME,PATH_INFO. A header must not rewrite the path.
forwarder_headers = ""


def pre_request(worker, request):
    """Join headers that come several times with ", ", as uWSGI and Apache do; Gunicorn would join them with ",".

    https://docs.gunicorn.org/en/stable/settings.html#pre-request; the default writes a debug line.
    """
    joined: dict[str, str] = {}
    for name, value in request.headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    request.headers = list(joined.items())


# --- logs and files ---------------------------------------------------------------------------------------------------
# Default: on, a socket in $HOME, which a read-only container does not have.
control_socket_disable = True
# The default, set here because platforms set an access log in GUNICORN_CMD_ARGS: Nginx writes it.
accesslog = None


class JsonLogger(glogging.Logger):
    """Sends Gunicorn's own log lines through deploy/logs.py. (logconfig_dict would turn the access log on.)"""

    def setup(self, cfg):
        logs.set_level(_setting("LOG_LEVEL"))
        self.error_log = logs.get_logger("gunicorn.error")  # logging's own would be under control of the app


logger_class = JsonLogger
