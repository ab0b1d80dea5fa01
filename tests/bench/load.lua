-- load — a chat call of a given size, for wrk: BENCH_MODEL, BENCH_KEY, BENCH_BYTES in the environment;
-- BENCH_STREAM: its response is to be a stream; BENCH_PAUSE_MS: how long each connection waits before a call.
local bytes = tonumber(os.getenv("BENCH_BYTES"))
local stream = (os.getenv("BENCH_STREAM") or "") ~= ""
local frame = '{"model":"%s",' .. (stream and '"stream":true,' or '') ..
    '"messages":[{"role":"user","content":"%s"}]}'
local model = os.getenv("BENCH_MODEL")
local filler = string.rep("a", math.max(1, bytes - #frame - #model + 4))

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.body = string.format(frame, model, filler)

local pause = tonumber(os.getenv("BENCH_PAUSE_MS") or "0")
if pause > 0 then
    function delay()
        return pause
    end
end

function done(summary, latency, requests)
    io.write(string.format("BENCH %d %d %d %d %d\n", summary.requests, summary.errors.status +
        summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout, summary.duration, latency:percentile(50), latency:percentile(99)))
end
