# shellcheck shell=sh
# As the buildpack's.
export FORWARDED_ALLOW_IPS='*' GUNICORN_CMD_ARGS="${GUNICORN_CMD_ARGS:---access-logfile -}"
