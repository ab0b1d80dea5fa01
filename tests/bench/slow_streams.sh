# slow_streams: thousands of slow streams at once; what each costs in memory, and how late its events
# are. Sourced by tests/bench/run.
#
# The upstream and the clients are one program (streams.c): an event says when it was sent, so its
# delay is known where it arrives. Streams that go to the upstream directly are read beside the others:
# the difference is what the gateway adds.

readonly SLOW_STREAMS=10000 SLOW_SECONDS=10
readonly SLOW_MEMORY_KB=20 SLOW_DELAY_US=5000

# As many as the gateway has descriptors for: each stream takes two there.
slow_stream_count() {
    local most
    most=$((($(awk '/^Max open files/ { print $4 }' "/proc/$gatehouse_pid/limits") - 200) / 2))
    echo $((most < SLOW_STREAMS ? most : SLOW_STREAMS))
}

slow_streams_setup() {
    cc -O2 -o "$GATEHOUSE_HOME/streams" tests/bench/streams.c
    admin POST providers "{\"name\":\"slow\",\"dialect\":\"openai\",
        \"base_url\":\"http://127.0.0.1:$((GATEHOUSE_PORT_BASE + 51))/v1\",
        \"credentials\":[{\"name\":\"main\",\"secret\":\"sk-bench-upstream\"}],
        \"allow_cidrs\":[\"127.0.0.0/8\"]}" >/dev/null
    admin POST models '{"name":"bench-slow","strategy":"fallback","max_output_tokens":1000,
        "targets":[{"provider":"slow","model":"slow"}],
        "price":{"input_per_mtok":0.15,"output_per_mtok":0.60}}' >/dev/null
}

# How long the plane's threads have been ready to run and did not have the core, in milliseconds.
# Where this is much, something else has the core, and the delay is the machine's.
waited_ms() { awk '{ n += $2 } END { printf "%d\n", n / 1e6 }' /proc/"$gatehouse_pid"/task/*/schedstat; }

# slow_streams MEMORY_KB_BEFORE: adds two lines to $bars, and says more in $GATEHOUSE_HOME/slow
slow_streams() {
    local count log=$GATEHOUSE_HOME/slow.log memory waited
    count=$(slow_stream_count)
    BENCH_MODEL=bench-slow taskset -c 1 "$GATEHOUSE_HOME/streams" 127.0.0.1 "$GATEHOUSE_PORT_BASE" \
        "$count" $SLOW_SECONDS $((GATEHOUSE_PORT_BASE + 51)) >"$log" &
    idle_pid=$!
    for _ in $(seq 1200); do
        grep -q holding "$log" && break
        kill -0 $idle_pid 2>/dev/null || break
        sleep 0.1
    done
    grep -q holding "$log" || { echo 'The slow streams did not open.' >&2; exit 1; }
    sleep 3
    memory=$(awk -v a="$(memory_kb)" -v b="$1" -v n="$count" 'BEGIN { printf "%.1f", (a - b) / n }')
    waited=$(waited_ms)
    wait $idle_pid || { echo 'A slow stream broke off.' >&2; exit 1; }
    idle_pid=''
    waited=$(($(waited_ms) - waited))
    awk -v n="$count" -v waited="$waited" -v kb="$memory" -v most_kb=$SLOW_MEMORY_KB -v most=$SLOW_DELAY_US -v bars="$bars" '
        /^STREAMS/ {
            printf "%s memory of each of %d slow streams: %.1f KB, at most %d\n",
                kb <= most_kb ? "kept" : "miss", n, kb, most_kb >>bars
            added = $5 - $8
            printf "%s delay added to each of their events: p99 %d µs, at most %d\n",
                added <= most && !$3 ? "kept" : "miss", added, most >>bars
            printf "Slow streams: %d, an event a second each; %d events, %d missing; delay p50 %d, p99 %d, " \
                "slowest %d µs; past the gateway p50 %d, p99 %d µs. The plane was ready and waited for its core for " \
                "%d ms meanwhile.\n", n, $2, $3, $4, $5, $6, $7, $8, waited
        }' "$log" >"$GATEHOUSE_HOME/slow"
}
