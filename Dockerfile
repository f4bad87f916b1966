# One base image for everything, so that all servers run the same interpreter and the same packages. Named stages:
#
#   base ──┬── python ──┬── build ──┬── lock      is Pipfile.lock fresh? as requirements; ./stack lock runs `build`
#          │            │           ├── venv      all packages; what compiles stays behind here
#          │            │           │    └── app       the app, its own packages and its built static files
#          │            │           └── test      everything the project's own tests use
#          │            ├── web ── bench          the app and all WSGI servers; with Nginx beside it, as others run it
#          │            ├── nginx                 the proxy and its files
#          │            └── smoke                 asks a running stack from outside
#          └── postgres                           for the profile of that name
#
# The app is the sample in app/, or with the build argument APP=brought the build context of that name (APP_DIR in
# docker-compose.yml). Nothing else here differs between the two.
#
# Apt and pip use what the base image is set up for. Two build secrets let builds work behind a company proxy without
# leaving anything in a layer: pip_conf (an index) and ca_bundle (certificates); both may be empty.

ARG BASE_IMAGE=debian:trixie-slim
ARG APP=""

# --- base: the users, and the folders that are volumes ----------------------------------------------------------------
# The same in every image: a named volume takes owner and mode from the first container that uses it, whichever it is.
FROM ${BASE_IMAGE} AS base
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
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
ARG PIPENV_VERSION=2026.10.3
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        apache2-dev build-essential ca-certificates python3-dev python3-venv
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet "pipenv==${PIPENV_VERSION}"

# --- lock: is it fresh? then as requirements, hashes included ---------------------------------------------------------
FROM build AS lock
WORKDIR /lock
COPY Pipfile Pipfile.lock ./
# A Pipfile without [[source]] has pip's own index settings in its hash: check it without any.
RUN PIP_CONFIG_FILE=/dev/null /opt/tools/bin/pipenv verify \
 && /opt/tools/bin/pipenv requirements --hash > requirements.txt \
 && /opt/tools/bin/pipenv requirements --hash --dev-only > dev-requirements.txt

# --- server-packages: what the servers' folders install, without their configuration: its edit compiles nothing again -
FROM base AS server-packages
COPY deploy/servers /servers
RUN find /servers -type f ! -name requirements.txt ! -name '*.c' -delete && find /servers -type d -empty -delete

# --- venv: all packages, before the app's own files, so that an edit in app/ installs nothing again -------------------
FROM build AS venv
WORKDIR /build
COPY --from=lock /lock/requirements.txt .
COPY --from=server-packages /servers servers
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    python3 -m venv --without-pip /opt/venv && cat servers/*/requirements.txt > servers.txt \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r requirements.txt -r servers.txt
ENV PATH=/opt/venv/bin:$PATH
RUN apxs -c servers/mod_wsgi/mod_listen_unix.c

# --- app: its packages, its files, its static files hashed and compressed ---------------------------------------------
FROM scratch AS sample
COPY app /app

FROM ${APP:-sample} AS files

# A brought app's packages go on top of ours; what the stack itself runs on is put back to the locked version after
# them, since many apps pin a Gunicorn of their own.
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
# What is no part of an app, and the one name that is taken.
RUN rm -rf .env .git .venv venv \
 && if [ -e deploy ] || [ -e deploy.py ]; then \
        echo "The app's root has a 'deploy', which is the stack's name: rename it, or name it in .dockerignore" >&2; \
        exit 1; \
    fi
COPY deploy/__init__.py deploy/assets.py deploy/
ARG APP
ARG BUILD_COMMAND=""
ARG STATIC_SOURCE=static
RUN if [ "$APP" != brought ]; then flask --app app.wsgi assets static; fi \
 && sh -euc "${BUILD_COMMAND}" \
 && mkdir -p "${STATIC_SOURCE}" && python3 -m deploy.assets "${STATIC_SOURCE}" /opt/static \
 && rm -rf deploy && { python3 -m compileall -q . || true; }

# Bootstrap's files are built into static/; the 27 MB of themes that come with them stay behind.
FROM app-venv AS runtime
RUN rm -rf /opt/venv/lib/python3*/site-packages/flask_bootstrap/static

# --- web --------------------------------------------------------------------------------------------------------------
FROM python AS web
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends apache2-bin libpython3.13 \
 # What apache2-bin brings for scripts that nobody runs here, in the layer that it came with: all of Perl, 53 MB.
 && rm -rf /usr/share/perl/5* /usr/lib/*-linux-gnu/perl /usr/lib/*-linux-gnu/libperl.so.*
COPY --from=runtime /opt/venv /opt/venv
COPY --from=runtime /build/servers/mod_wsgi/.libs/mod_listen_unix.so /usr/lib/apache2/modules/
# TMPDIR is a volume in docker-compose.yml: large uploads that the app parses would fill the memory of a tmpfs.
ENV PATH=/opt/venv/bin:$PATH STATIC_ROOT=/opt/static TMPDIR=/var/tmp
WORKDIR /srv
COPY deploy deploy
RUN python3 -m compileall -q deploy
COPY --from=app /opt/static /opt/static
COPY --from=app /srv .
ARG RELEASE=dev
ENV RELEASE=${RELEASE}
LABEL org.opencontainers.image.title="Tripod web" org.opencontainers.image.version=${RELEASE}
USER tripod
# deploy/servers/mod_wsgi/run translates it for Apache, so SIGTERM is right for all servers.
STOPSIGNAL SIGTERM
# The check itself waits 5 s for an answer, and has to live on after that to end a dead server, however busy the host is.
HEALTHCHECK --interval=10s --timeout=20s --start-period=60s --start-interval=0.25s --retries=3 CMD ["deploy/health"]
CMD ["deploy/start"]

# --- nginx ------------------------------------------------------------------------------------------------------------
FROM python AS nginx
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends nginx libnginx-mod-http-brotli-static
WORKDIR /srv
COPY deploy/__init__.py deploy/errors.py deploy/resources.py deploy/setting_checks.py deploy/settings.py deploy/
COPY nginx nginx
RUN python3 -m compileall -q deploy
LABEL org.opencontainers.image.title="Tripod nginx"
USER tripod-nginx
# SIGTERM would cut answers short.
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
# SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=0.25s --retries=3 \
    CMD ["pg_isready", "--quiet", "--host=/run/postgresql", "--dbname=tripod"]
CMD ["/srv/start"]

# --- smoke: asks a running stack from outside -------------------------------------------------------------------------
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

# --- test: everything the project's own tests use ---------------------------------------------------------------------
FROM build AS test
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends \
        apache2-bin chromium chromium-driver docker-buildx docker-cli docker-compose git iproute2 nginx \
        libnginx-mod-http-brotli-static postgresql-17 procps redis-server systemd wrk
COPY --from=venv /opt/venv /opt/venv
COPY --from=venv /build/servers/mod_wsgi/.libs/mod_listen_unix.so /usr/lib/apache2/modules/
ENV PATH=/opt/venv/bin:$PATH
COPY --from=lock /lock/dev-requirements.txt /tmp/
COPY tests/browser/requirements.txt /tmp/browser-requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/run/secrets/ca_bundle \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/dev-requirements.txt \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes --no-deps \
        -r /tmp/browser-requirements.txt
CMD ["pytest"]

# --- bench: the reference configurations that ./stack bench measures (bench/reference/) -------------------------------
FROM web AS bench
USER root
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends nginx
USER tripod
HEALTHCHECK NONE
