-- wrk -s wrk.lua URL -- METHOD BYTES COOKIE
-- Sends requests with this method, a body of this many bytes and this cookie. Prints the result as one line of JSON for
-- bench/load.py. wrk reports times in µs. Manual: https://github.com/wg/wrk/blob/master/SCRIPTING

function init(args)
    wrk.method = args[1]
    if args[2] ~= "0" then
        wrk.body = string.rep("x", tonumber(args[2]))
    end
    if args[3] ~= "" then
        wrk.headers["Cookie"] = args[3]
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"seconds":%f,"errors":%d,"p50":%f,"p99":%f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
