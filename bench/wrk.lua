-- wrk -s wrk.lua URL -- COOKIE BEGIN END
-- Sends requests with this cookie. Counts those that it sends between two times (seconds of CLOCK_MONOTONIC). Each client
-- sends a request when the previous one is answered, so this is also the number of answers. Prints one line of JSON for
-- bench/closed_loop.py. https://github.com/wg/wrk/blob/master/SCRIPTING

local ffi = require("ffi")
ffi.cdef("struct timespec { long sec; long nsec; }; int clock_gettime(int clock, struct timespec *time);")
local CLOCK_MONOTONIC = 1
local time = ffi.new("struct timespec")
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    if args[1] ~= "" then
        wrk.headers["Cookie"] = args[1]
    end
    first, last = tonumber(args[2]), tonumber(args[3])
    counted = 0
    text = wrk.format()
end

function request()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
    local now = tonumber(time.sec) + tonumber(time.nsec) / 1e9
    if first <= now and now < last then
        counted = counted + 1
    end
    return text
end

function done(summary)
    local errors, requests = summary.errors, 0
    for _, thread in ipairs(threads) do
        requests = requests + thread:get("counted")
    end
    io.write(string.format('{"requests":%d,"errors":%d}\n', requests,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
