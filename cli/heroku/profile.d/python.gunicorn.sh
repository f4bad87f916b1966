# shellcheck shell=sh
# As in the buildpack.
export FORWARDED_ALLOW_IPS='*' GUNICORN_CMD_ARGS="${GUNICORN_CMD_ARGS:---access-logfile -}"
