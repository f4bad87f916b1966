# shellcheck shell=sh
# As in the buildpack, but without PYTHONHOME: the platform installs Python completely, the rehearsal uses a virtual
# environment, which that variable would break.
export PATH="$HOME/.heroku/python/bin:$PATH" VIRTUAL_ENV="$HOME/.heroku/python" PYTHONUNBUFFERED=true
export LIBRARY_PATH="$HOME/.heroku/python/lib" LD_LIBRARY_PATH="$HOME/.heroku/python/lib"
export LANG="${LANG:-en_US.UTF-8}" PYTHONPATH="${PYTHONPATH:-$HOME}" PIPENV_SYSTEM=1 PIPENV_VERBOSITY=-1
