# shellcheck shell=sh
# As the buildpack's, but for PYTHONHOME: the platform's Python is a whole installation, the rehearsal's a virtual
# environment, which that variable breaks.
export PATH="$HOME/.heroku/python/bin:$PATH" VIRTUAL_ENV="$HOME/.heroku/python" PYTHONUNBUFFERED=true
export LIBRARY_PATH="$HOME/.heroku/python/lib" LD_LIBRARY_PATH="$HOME/.heroku/python/lib"
export LANG="${LANG:-en_US.UTF-8}" PYTHONPATH="${PYTHONPATH:-$HOME}" PIPENV_SYSTEM=1 PIPENV_VERBOSITY=-1
