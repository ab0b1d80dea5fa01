-- tools — calls of the demo server's tool "echo" in one session, for wrk: BENCH_KEY and BENCH_SESSION in the
-- environment. Each call has an id of its own, as the protocol wants it.
local count = 0

wrk.method = "POST"
wrk.path = "/mcp/demo-tools"
wrk.headers["content-type"] = "application/json"
wrk.headers["accept"] = "application/json, text/event-stream"
wrk.headers["authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.headers["mcp-session-id"] = os.getenv("BENCH_SESSION")
wrk.headers["mcp-protocol-version"] = "2025-11-25"

function request()
    count = count + 1
    return wrk.format(nil, nil, nil, string.format('{"jsonrpc":"2.0","id":%d,"method":"tools/call",' ..
        '"params":{"name":"echo","arguments":{"message":"hello"}}}', count))
end

function done(summary, latency, requests)
    io.write(string.format("BENCH %d %d %d %d %d %d %d\n", summary.requests, summary.errors.status +
        summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout, summary.duration, latency:percentile(50), latency:percentile(99),
        latency:percentile(99.9), latency.max))
end
