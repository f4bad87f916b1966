# shellcheck shell=sh
# As in the buildpack, which reads the memory from the dyno's cgroup: one process for each 256 MB, at most two for each CPU
# and one more.
export DYNO_RAM=512
if [ -z "${WEB_CONCURRENCY-}" ]; then
    by_cpu=$(($(nproc) * 2 + 1)) by_memory=$((DYNO_RAM / 256))
    export WEB_CONCURRENCY_SET_BY=heroku/python WEB_CONCURRENCY=$((by_cpu < by_memory ? by_cpu : by_memory))
fi
