# instructions: what a 1 KB request costs in instructions, the data plane's and HAProxy's, counted by
# callgrind. Sourced by tests/bench/run.
#
# Time depends on the machine and on what else it does, this count does not. It is of user space and
# of every thread. Each proxy runs in a process of its own under valgrind; its counters are written
# out when it is warm, again after some seconds of load, and once more after a pause as long, which
# tells what it does by the clock alone (heartbeats): that is taken off, since without valgrind a
# second holds twenty times as many requests.

readonly COUNT_SECONDS=4 COUNT_CONNECTIONS=64
readonly COUNT_MAX=120 # seconds for one of them; it takes twenty

# count_start NAME VARIABLE=VALUE... PROGRAM ARGUMENT...: under valgrind, its files in $counting
count_start() {
    local name=$1 environment=()
    shift
    while [[ $1 == *=* ]]; do environment+=("$1") && shift; done
    (as_owner env "${environment[@]}" timeout -s KILL $COUNT_MAX \
        valgrind --tool=callgrind --fair-sched=yes --vgdb-prefix="$counting/$name.vgdb" \
        --callgrind-out-file="$counting/$name.out" "$@") >"$counting/$name.log" 2>&1 &
    counted_pid=$!
}

count_end() {
    [ -z "$counted_pid" ] || kill "$counted_pid" 2>/dev/null || true
    [ -z "$counted_pid" ] || wait "$counted_pid" 2>/dev/null || true
    counted_pid=''
}

# count_wait NAME URL
count_wait() {
    for _ in $(seq 300); do
        if curl -fs -o /dev/null --max-time 2 "$2"; then return 0; fi
        sleep 0.1
    done
    tail -n 20 "$counting/$1.log" >&2
    return 1
}

count_load() { # SECONDS URL: how many were answered
    wrk -t1 -c $COUNT_CONNECTIONS -d "$1s" --timeout 10s -s tests/bench/load.lua "$2" |
        awk '/^BENCH/ { print $2; failed = $3 } END { exit failed > 0 }'
}

# What was counted since the last call goes into NAME.out.N, and the counters begin again.
count_dump() {
    (as_owner timeout 20 vgdb --vgdb-prefix="$counting/$1.vgdb" dump) \
        >"$counting/$1.vgdb.log" 2>&1 || { cat "$counting/$1.vgdb.log" >&2 && return 1; }
}

# count_of FILE: all instructions, and those inside SHA-256
count_of() {
    awk '
        /^c?fn=/ {
            id = $0; sub(/^c?fn=/, "", id); sub(/\).*/, ")", id)
            name = $0; if (sub(/^c?fn=\([0-9]+\) /, "", name)) names[id] = name
            if (/^cfn/) called = names[id]
        }
        /^calls=/ { getline; if (called ~ /^SHA256_(Update|Final)/) sha += $2 }
        /^totals:/ { all = $2 }
        END { if (!all) exit 1; printf "%d %d\n", all, sha }' "$1"
}

# count NAME URL: into NAME.count, the instructions of a request and how many of them are SHA-256
count() {
    local requests
    count_wait "$1" "$2/healthz"
    count_load 2 "$2" >/dev/null
    count_dump "$1"
    requests=$(count_load $COUNT_SECONDS "$2")
    count_dump "$1"
    sleep $COUNT_SECONDS
    count_dump "$1"
    { count_of "$counting/$1.out.2" && count_of "$counting/$1.out.3"; } | awk -v n="$requests" '
        NR == 1 { all = $1; sha = $2 }
        END { printf "%d %d\n", (all - $1) / n, (sha - $2) / n }' >"$counting/$1.count"
    count_end
}

# count_dataplane NAME PORT PROGRAM
count_dataplane() {
    plane_enrol "counting-$1" "$2"
    count_start "$1" "${plane_settings[@]}" "$3"
    export BENCH_MODEL=bench-1
    count_wait "$1" "http://127.0.0.1:$2/readyz"
    count "$1" "http://127.0.0.1:$2"
}

count_haproxy() {
    local port=$((GATEHOUSE_PORT_BASE + 62))
    cp tests/bench/haproxy.cfg "$counting/haproxy.cfg" # the owner may not look into the clone
    count_start haproxy BENCH_HAPROXY_PORT=$port haproxy -f "$counting/haproxy.cfg"
    BENCH_MODEL=$(play_of 1)
    count haproxy "http://127.0.0.1:$port"
}

# Prints what was counted.
count_instructions() {
    local g gsha h sha b
    counting=$GATEHOUSE_HOME/counting
    mkdir "$counting"
    chown --reference="$GATEHOUSE_HOME/run" "$counting"
    export BENCH_BYTES=1000
    count_dataplane dataplane $((GATEHOUSE_PORT_BASE + 60)) "$GATEHOUSE_HOME/bin/gatehouse-dataplane"
    count_haproxy
    if [ -n "$base" ]; then
        count_dataplane base $((GATEHOUSE_PORT_BASE + 64)) "$GATEHOUSE_HOME/base-dataplane"
    fi
    read -r g gsha <"$counting/dataplane.count"
    read -r h sha <"$counting/haproxy.count"
    b=$([ -z "$base" ] || cut -d' ' -f1 "$counting/base.count")
    printf 'Instructions of a 1 KB request in user space, all threads, by callgrind: Gatehouse %d, HAProxy %d%s.\n' \
        "$g" "$h" "${b:+, $base_name $b}"
    printf '%d of the first are SHA-256 in software: valgrind has no SHA instructions%s.\n' "$gsha" \
        "$(grep -qw sha_ni /proc/cpuinfo && echo ', this processor has')"
}
