# All images are built on one base image, so that every WSGI server runs the same interpreter and the same packages.
# The named stages:
#
#   base ──┬── python ──┬── build ──┬── lock      checks Pipfile.lock and exports it as requirements.txt
#          │            │           ├── venv      all packages; compilers do not get any further
#          │            │           │    └── app       the app, its own packages and its built static files
#          │            │           └── test      everything that the project's own tests need
#          │            ├── web ── bench          the app and all WSGI servers; bench adds an Nginx for ./stack bench
#          │            ├── nginx                 Nginx and its configuration
#          │            └── smoke                 the smoke tests against a running stack
#          └── postgres                           PostgreSQL, for the profile of that name
#
# The app is the sample app in app/. With the build argument APP=custom it is the build context `custom`, which
# docker-compose.yml sets to APP_DIR. Nothing else here depends on the app.
#
# Apt and pip use the package sources of the base image. Two build secrets let builds work behind a company proxy and
# may be empty: pip_conf (pip's configuration), which is in no layer, and ca_bundle (CA certificates), which are in `web`.

ARG BASE_IMAGE=debian:trixie-slim
ARG APP=""

# --- base: the users, and the folders that volumes are mounted on -----------------------------------------------------
# Every image has them: a named volume takes owner and mode from the image of the first container that mounts it, and
# any container may be the first.
FROM ${BASE_IMAGE} AS base
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
# The base image's own packages: it may be older than Debian's last security fix. All other layers are newer than this
# one, so that ./stack doctor takes the date of the file for the age of all packages. ./stack release --upgrade builds
# it again.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get upgrade --yes --no-install-recommends && touch /etc/packages-updated
RUN groupadd --gid 10001 tripod \
 && for user in 10001:tripod 10002:tripod-nginx 10003:postgres; do \
        useradd --uid "${user%:*}" --gid tripod --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
            "${user#*:}"; \
    done \
 && install -d -o tripod -g tripod -m 0750 /run/tripod /var/lib/tripod \
 && install -d -o tripod -g tripod -m 0755 /var/lib/tripod-assets \
 && install -d -o tripod-nginx -g tripod -m 0700 /var/cache/nginx \
 && install -d -o postgres -g tripod -m 0750 /run/postgresql \
 && install -d -o postgres -g tripod -m 0700 /var/lib/postgresql

FROM base AS python
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends python3

# --- build: compilers, headers, pip and pipenv ------------------------------------------------------------------------
FROM python AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        apache2-dev build-essential ca-certificates python3-dev python3-venv
COPY build-tools.txt /opt/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --require-hashes -r /opt/build-tools.txt

# --- lock: check that Pipfile.lock matches Pipfile, and export it with hashes -----------------------------------------
FROM build AS lock
WORKDIR /lock
COPY Pipfile Pipfile.lock ./
# A Pipfile without [[source]] is hashed together with pip's index settings: verify it without any.
RUN PIP_CONFIG_FILE=/dev/null /opt/tools/bin/pipenv verify \
 && /opt/tools/bin/pipenv requirements --hash > requirements.txt \
 && /opt/tools/bin/pipenv requirements --hash --dev-only > dev-requirements.txt

# --- server-packages: requirements and C sources of the WSGI servers --------------------------------------------------
# Without their configuration files, so that editing one does not compile everything again.
FROM base AS server-packages
COPY deploy/servers /servers
RUN find /servers -type f ! -name requirements.txt ! -name '*.c' -delete && find /servers -type d -empty -delete

# --- venv: all packages -----------------------------------------------------------------------------------------------
# Before the app's files are copied, so that an edit in app/ does not install the packages again.
FROM build AS venv
WORKDIR /build
COPY --from=lock /lock/requirements.txt .
COPY --from=server-packages /servers servers
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m venv --without-pip /opt/venv && cat servers/*/requirements.txt > servers.txt \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r requirements.txt -r servers.txt \
 # pip's cache of the wheels that it has compiled, for the rehearsal of Heroku in the test image
 && cp -r /root/.cache/pip/wheels .
ENV PATH=/opt/venv/bin:$PATH
RUN apxs -c servers/mod_wsgi/mod_listen_unix.c

# --- app: the app's packages, its files, and its static files, hashed and compressed ----------------------------------
FROM scratch AS sample
COPY app /app

FROM ${APP:-sample} AS files

# The packages of a custom app are installed on top of the stack's. Then the packages that the stack itself runs on are
# set back to their locked versions, since many apps pin a Gunicorn of their own.
FROM venv AS app-venv
WORKDIR /build/app
COPY --from=files requirements*.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    if [ -e requirements.txt ]; then \
        grep -E '^(brotli|gunicorn|python-json-logger|uwsgi|whitenoise)==' ../requirements.txt > ../stack.txt \
        && /opt/tools/bin/pip --python /opt/venv/bin/python install -r requirements.txt \
        && /opt/tools/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes \
            -r ../stack.txt -r ../servers.txt; \
    fi

FROM app-venv AS app
WORKDIR /srv
COPY --from=files / .
# Remove what does not belong into an image. The stack needs one name of its own: `deploy`.
RUN rm -rf .env .git .venv venv \
 && if [ -e deploy ] || [ -e deploy.py ]; then \
        echo "error: The root folder of the app contains 'deploy'." >&2; \
        echo "cause: The stack installs its own package under this name." >&2; \
        echo "fix:   rename it, or list it in the app's .dockerignore" >&2; \
        exit 1; \
    fi
COPY deploy/__init__.py deploy/assets.py deploy/mime.types deploy/
ARG APP
ARG BUILD_COMMAND=""
ARG STATIC_SOURCE=static
RUN if [ "$APP" != custom ]; then flask --app app.wsgi assets static; fi \
 && sh -euc "${BUILD_COMMAND}" \
 && mkdir -p "${STATIC_SOURCE}" && python3 -m deploy.assets "${STATIC_SOURCE}" /opt/static \
 && rm -rf deploy && { python3 -m compileall -q . || true; }

# The files of Bootstrap that the app uses are built into static/. The package's own copies, 27 MB of themes, are not
# needed at run time.
FROM app-venv AS runtime
RUN rm -rf /opt/venv/lib/python3*/site-packages/flask_bootstrap/static

# --- web --------------------------------------------------------------------------------------------------------------
FROM python AS web
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        apache2-bin ca-certificates libapache2-mod-qos libpython3.13 \
 # apache2-bin depends on Perl (53 MB) for scripts that are not used here. Removed in the layer that installs it, since
 # a later layer would not make the image smaller.
 && rm -rf /usr/share/perl/5* /usr/lib/*-linux-gnu/perl /usr/lib/*-linux-gnu/libperl.so.*
COPY --from=runtime /opt/venv /opt/venv
COPY --from=runtime /build/servers/mod_wsgi/.libs/mod_listen_unix.so /usr/lib/apache2/modules/
# /var/tmp is a volume in docker-compose.yml: /tmp is memory, which large uploads that the app parses would exhaust.
ENV PATH=/opt/venv/bin:$PATH STATIC_ROOT=/opt/static TMPDIR=/var/tmp
WORKDIR /srv
COPY deploy deploy
RUN python3 -m compileall -q deploy
# A company's CA, for the app's own connections: deploy/app_process.py names the bundle to its libraries. BuildKit does
# not notice that a secret has changed; the digest, which ./stack sets, makes it build this layer again.
ARG CA_BUNDLE_DIGEST=""
RUN --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m deploy.certificates /run/secrets/ca_bundle && update-ca-certificates
COPY --from=app /opt/static /opt/static
COPY --from=app /srv .
ARG RELEASE=dev
ENV RELEASE=${RELEASE}
LABEL org.opencontainers.image.title="Tripod web" org.opencontainers.image.version=${RELEASE}
USER tripod
# The graceful stop of every server: deploy/servers/mod_wsgi/run translates it to SIGWINCH for Apache.
STOPSIGNAL SIGTERM
# deploy/health waits up to 5 s for an answer and then kills a dead server. The timeout leaves it time for both on a
# busy host.
HEALTHCHECK --interval=10s --timeout=20s --start-period=60s --start-interval=0.25s --retries=3 CMD ["deploy/health"]
CMD ["deploy/start"]

# --- nginx ------------------------------------------------------------------------------------------------------------
FROM python AS nginx
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        nginx libnginx-mod-http-brotli-static libnginx-mod-stream
WORKDIR /srv
COPY deploy/__init__.py deploy/assets.py deploy/errors.py deploy/host_header.py deploy/mime.types deploy/network.py \
    deploy/raw_output.py deploy/resources.py deploy/setting_checks.py deploy/settings.py deploy/websocket_paths.py \
    deploy/
COPY nginx nginx
RUN python3 -m compileall -q deploy
LABEL org.opencontainers.image.title="Tripod nginx"
USER tripod-nginx
# SIGQUIT finishes in-flight requests, SIGTERM would cut them off: https://nginx.org/en/docs/control.html
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --start-interval=0.25s --retries=3 CMD ["nginx/health"]
EXPOSE 8080
CMD ["nginx/start"]

# --- postgres ---------------------------------------------------------------------------------------------------------
FROM base AS postgres
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends postgresql-17 \
 && rm -rf /var/lib/postgresql/* /etc/postgresql
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY deploy/postgres/ /srv/
USER postgres
# SIGINT is the "fast shutdown". SIGTERM, the "smart" one, would wait until every client has disconnected:
# https://www.postgresql.org/docs/17/server-shutdown.html
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=0.25s --retries=3 \
    CMD ["pg_isready", "--quiet", "--host=/run/postgresql", "--dbname=tripod"]
CMD ["/srv/start"]

# --- smoke: the smoke tests, which send requests to a running stack ---------------------------------------------------
FROM build AS smoke-venv
COPY --from=lock /lock/dev-requirements.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m venv --without-pip /opt/tests \
 && /opt/tools/bin/pip --python /opt/tests/bin/python install --require-hashes -r /tmp/dev-requirements.txt

FROM python AS smoke
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends ca-certificates
COPY --from=smoke-venv /opt/tests /opt/tests
ENV PATH=/opt/tests/bin:$PATH
CMD ["pytest", "tests/smoke"]

# --- test: everything that the project's own tests need ---------------------------------------------------------------
FROM build AS test
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        apache2-bin chromium chromium-driver docker-buildx docker-cli docker-compose git iproute2 nginx \
        libapache2-mod-qos libnginx-mod-http-brotli-static libnginx-mod-stream openssl pgbouncer postgresql-17 procps \
        redis-server systemd wrk
COPY --from=venv /opt/venv /opt/venv
COPY --from=venv /build/servers/mod_wsgi/.libs/mod_listen_unix.so /usr/lib/apache2/modules/
COPY --from=venv /build/wheels /opt/pip-cache/wheels
ENV PATH=/opt/venv/bin:$PATH
COPY --from=lock /lock/dev-requirements.txt /tmp/
COPY tests/browser/requirements.txt /tmp/browser-requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/dev-requirements.txt \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes --no-deps \
        -r /tmp/browser-requirements.txt \
 # Only `mkdocs serve` needs watchdog. Flask's reloader would use it, instead of the one that ./stack dev has for users.
 && /opt/tools/bin/pip --python /opt/venv/bin/python uninstall --yes watchdog
CMD ["pytest"]

# --- bench: the reference configurations that ./stack bench measures (bench/reference/) -------------------------------
FROM web AS bench
USER root
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends nginx
USER tripod
HEALTHCHECK NONE
