# test: every test of the repository, stage by stage, ending with one line `N passed, N failed`.
#
# Each stage runs on its own: one that fails, does not build or finds nothing to run counts, and
# the next one begins. Every process that a stage starts carries the stage's mark in its
# environment, and no process with that mark outlives the stage. A test after each stage checks
# that the stage left neither a process nor a temporary folder behind.
#
# A stage `beside` goes on while the next ones run; one that measures time is `alone`: it begins
# when nothing else runs any more.

readonly TEST_STAGES=(
    # name     when   what it runs               function       what it is
    'arrows    next   tests/arrows/run           stage_script   includes against the picture in ARCHITECTURE.md'
    'unit      next   tests/unit/*               stage_unit     units and flows, with ASan and UBSan'
    'db        next   tests/db/test_*.c          stage_db       the stores against a real PostgreSQL'
    'channel   beside tests/chaos/channel_kill/run stage_channel kills of either end of the channel between the planes'
    'fuzz      next   tests/fuzz/run             stage_fuzz     each fuzz target for a moment, on its corpus'
    'tsan      next   tests/unit/*               stage_tsan     what runs in threads, with TSan'
    'readme    next   tests/readme/run           stage_programs the options in README.md against the programs'
    'hardening next   tests/hardening/run        stage_programs flags and libraries of the release programs'
    'skew      next   tests/skew/run             stage_skew     programs of the first stage beside those of today'
    'openapi   next   tests/openapi/run          stage_openapi  the document of the admin API against a control plane'
    'extending next   tests/extending/run        stage_extending docs/extending.md, done in a copy of the tree'
    'commands  alone  tests/commands/run         stage_commands what ./gatehouse says and does, from up to down'
    'chaos     alone  tests/chaos/*/*.mjs        stage_chaos    kills and faults against release programs'
    'e2e       alone  tests/e2e/*.test.mjs       stage_e2e      an installation, used by the clients of npm'
    'python    alone  tests/python/*.test.mjs    stage_python   the model clients of PyPI against every kind of upstream'
)
readonly TEST_STAGE_SECONDS=600 # no stage needs half of it on two cores

test_all() {
    test_begin
    local row name when needs function what
    for row in "${TEST_STAGES[@]}"; do
        read -r name when needs function what <<<"$row"
        if [ "$when" = alone ]; then stages_end; fi
        stage_begin "$name" "$when" "$gh_root/$needs" "$function" "$what"
        if [ "$when" != beside ]; then stage_end "$name"; fi
    done
    stages_end
    test_left
    test_sweep "$gh_scratch"
    say ''
    say "$gh_passed passed, $gh_failed failed"
    if [ "$gh_failed" -gt 0 ] || [ "$gh_passed" -eq 0 ]; then exit $EXIT_FAILED; fi
}

# The tests neither touch the caller's installation nor read its settings.
test_find() {
    unset "${!GATEHOUSE_@}"
    gh_home=$gh_root/build/test
    gh_setup=$gh_home
    gh_logs=$gh_home
    mkdir -p "$gh_logs" 2>/dev/null && [ -w "$gh_logs" ] ||
        die $EXIT_FAILED "The folder $gh_logs is not writable for $(id -un)."
}

test_begin() {
    gh_passed=0 gh_failed=0 gh_left=
    declare -gA gh_stage_pid=() gh_stage_began=() gh_stage_what=()
    exec 9>&1
    gh_progress=9 # a stage's output goes to its log, the progress of its build to the terminal
    trap test_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    gh_scratch=$(mktemp -d /tmp/gatehouse-test.XXXXXX)
    chmod 0711 "$gh_scratch" # the unprivileged user walks through it
    gh_home=$gh_scratch gh_place=$gh_scratch/none
    owner_choose
    GATEHOUSE_TEST_RUN=$gh_scratch
    export GATEHOUSE_TEST_RUN
    owner_make
}

# Node and npm may be there from elsewhere; Debian's npm is asked for only where there is none.
test_packages() {
    local missing
    missing=$(packages_missing build run test)
    if ! command -v npm >/dev/null; then missing+=$'\nnodejs\nnpm'; fi
    packages_install "$(sed '/^$/d' <<<"$missing")"
}

# Nothing is left behind: neither after the last stage nor after an interrupt in the middle of one.
test_end() {
    local code=$?
    trap - EXIT INT TERM HUP
    if [ ${#gh_stage_pid[@]} -gt 0 ]; then kill "${gh_stage_pid[@]}" 2>/dev/null || true; fi
    test_sweep "$gh_scratch"
    rm -rf "$gh_scratch"
    exit "$code"
}

# Processes with a mark below FOLDER: children of a stage, or started by an `up` inside the folder.
test_marked() (
    unset GATEHOUSE_TEST_RUN # the processes of this search do not find themselves
    { grep -lzE "^(GATEHOUSE_TEST_RUN|GATEHOUSE_INSTALLATION)=$1(/|\$)" /proc/[0-9]*/environ \
        2>/dev/null || true; } | tr -dc '0-9\n' | tr '\n' ' '
)

# test_sweep FOLDER
test_sweep() {
    local signal pids tries
    for signal in INT TERM KILL; do # INT ends postgres fast; TERM would let it wait for its clients
        pids=$(test_marked "$1")
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086
        kill -$signal $pids 2>/dev/null || true
        for ((tries = 0; tries < 50; tries++)); do
            [ -n "$(test_marked "$1")" ] || return 0
            sleep 0.1
        done
    done
}

# stage_begin NAME WHEN PATTERN FUNCTION WHAT: each stage writes into a folder of its own
stage_begin() {
    gh_stage_what[$1]=$5
    gh_stage_began[$1]=$SECONDS
    mkdir "$gh_scratch/$1" "$gh_scratch/$1/tmp"
    chmod 0711 "$gh_scratch/$1"
    chmod 1777 "$gh_scratch/$1/tmp" # the unprivileged user's too
    if [ "$2" = beside ]; then note "$1 begins, and goes on beside the next"; else step "$1: $5"; fi
    (
        gh_scratch=$gh_scratch/$1
        GATEHOUSE_TEST_RUN=$gh_scratch
        gh_count=$gh_scratch/count
        export TMPDIR=$gh_scratch/tmp
        if [ "$2" = beside ]; then gh_progress=1; fi # two at once are not readable
        if ! compgen -G "$3" >/dev/null; then die $EXIT_FAILED "There is nothing at $3."; fi
        "$4" "$3"
    ) >"$gh_logs/$1.log" 2>&1 8>&- &
    gh_stage_pid[$1]=$!
}

stage_end() {
    local name=$1 code=0 passed=0 failed=0 count=$gh_scratch/$1/count log=$gh_logs/$1.log
    wait "${gh_stage_pid[$name]}" || code=$?
    unset "gh_stage_pid[$name]"
    if [ -s "$count" ]; then read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p, f }' "$count"); fi
    if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
    if [ "$code" -eq 0 ] && [ $((passed + failed)) -eq 0 ]; then failed=1; fi # a stage that ran nothing
    note "$passed passed, $failed failed in $((SECONDS - gh_stage_began[$name])) s"
    if [ "$failed" -ne 0 ]; then
        grep -hE '\[  FAILED  \]|^FAIL|^ *not ok |ERROR: (Address|Leak)Sanitizer|WARNING: Thread|runtime error:' \
            "$log" | sort -u | head -n 40 | sed 's/^/    /' || true
        show_end_of "$log" 30
    fi
    # a skipped test is shown, so that it is not taken for one that passed
    sed -nE 's/.*(\[  SKIPPED \]) ([a-z].*)/    skipped: \2/p; s/^ *ok [0-9]+ - (.*) # SKIP.*/    skipped: \1/p' \
        "$log" | sort -u
    gh_passed=$((gh_passed + passed))
    gh_failed=$((gh_failed + failed))
    stage_left "$name"
    test_sweep "$gh_scratch/$name"
}

# stage_left NAME: remembers the processes and folders that the stage left behind.
stage_left() {
    local pids tries left=
    for ((tries = 0; tries < 50; tries++)); do # a process may need a moment to end
        pids=$(test_marked "$gh_scratch/$1")
        [ -n "$pids" ] || break
        sleep 0.1
    done
    if [ -n "$pids" ]; then left=$(ps -o pid=,args= -p "$(tr -s ' ' ',' <<<"${pids% }")" || true); fi
    left+=$(find "$gh_scratch/$1/tmp" -mindepth 1 -maxdepth 1 -name 'gatehouse*' -printf '\n%p')
    if [ -n "$left" ]; then gh_left+=$(sed "/./s/^/$1: /" <<<"$left")$'\n'; fi
}

test_left() {
    step 'left: no process and no temporary folder outlived its stage'
    if [ -z "$gh_left" ]; then
        note '1 passed, 0 failed'
        gh_passed=$((gh_passed + 1))
        return
    fi
    note '0 passed, 1 failed'
    gh_failed=$((gh_failed + 1))
    sed '/./!d; s/^/    /' <<<"$gh_left"
}

# Waits for the stages that ran beside others.
stages_end() {
    local name
    for name in "${!gh_stage_pid[@]}"; do
        step "$name: ${gh_stage_what[$name]}"
        stage_end "$name"
    done
}

count() { printf '%d %d\n' "$1" "$2" >>"$gh_count"; }

# counted COMMAND...: its own last `N passed, N failed` counts; without one it is one test.
counted() {
    local code=0 line out=$gh_scratch/out
    timeout -k 10 $TEST_STAGE_SECONDS "$@" 2>&1 | tee "$out" || code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -n 1) || true
    if [ -z "$line" ]; then
        count $((code == 0)) $((code != 0))
        return
    fi
    # shellcheck disable=SC2086
    set -- $line
    count "$1" $(($3 == 0 && code != 0 ? 1 : $3))
}

stage_script() { counted "$1"; }

# ctest PRESET ARGUMENT...: counts the cmocka tests inside each program. One that began and was not
# OK has failed, which holds for a crash as well.
count_ctest() {
    local preset=$1 folder out=$gh_scratch/ctest
    shift
    folder=$(build_folder "$preset")
    "${gh_wrapper[@]}" timeout -k 10 $TEST_STAGE_SECONDS ctest --test-dir "$folder" -V \
        -j "$(nproc)" --no-tests=ignore "$@" 2>&1 | tee "$out" || true
    awk '
        match($0, /^[0-9]+: /) { n = substr($0, 1, RLENGTH - 2) + 0 }
        index($0, "[ RUN      ]") { run[n]++ }
        index($0, "[       OK ]") { ok[n]++ }
        index($0, "[  SKIPPED ]") && !/test\(s\)/ { skipped[n]++ }
        /^ *[0-9]+\/[0-9]+ +Test +#[0-9]+: / {
            match($0, /#[0-9]+/); n = substr($0, RSTART + 1, RLENGTH - 1) + 0
            seen[n] = 1; good[n] = / Passed +[0-9.]+ sec/
        }
        END {
            for (n in seen) {
                bad = run[n] - ok[n] - skipped[n]
                if (!good[n] && bad <= 0) bad = 1
                if (good[n] && run[n] == 0) ok[n] = 1
                passed += ok[n]; failed += bad
            }
            print passed + 0, failed + 0
        }' "$out" >>"$gh_count"
}

stage_unit() {
    build dev
    gh_wrapper=()
    count_ctest dev -E '^db\.'
}

# TSan needs its shadow where a kernel with many random bits may put something else.
stage_tsan() {
    build tsan threaded
    gh_wrapper=()
    if setarch -R true 2>/dev/null; then gh_wrapper=(setarch -R); fi
    with_cluster count_ctest tsan -L threaded
}

stage_db() {
    build dev
    gh_wrapper=()
    with_cluster count_ctest dev -R '^db\.'
}

# with_cluster COMMAND...: a PostgreSQL of its own around it
with_cluster() {
    gh_place=$gh_scratch/place
    gh_home=$gh_place
    test_ports
    mkdir -p "$gh_place"
    users_choose
    place_make
    secret_make postgres.password
    local folder=$gh_place/postgres/15
    owner_run "$POSTGRES_BIN/initdb" -D "$folder" --username=postgres --no-sync \
        --pwfile="$gh_place/secrets/postgres.password" --auth=scram-sha-256 --encoding=UTF8 \
        --locale=C.UTF-8
    # fsync off: this cluster lives for a minute
    owner_run env GATEHOUSE_INSTALLATION="$gh_place" "$POSTGRES_BIN/pg_ctl" -D "$folder" -w -s \
        -l "$gh_place/log/postgres.log" -o "-c port=$(port_of postgres) -c fsync=off \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200" start
    GATEHOUSE_TEST_DATABASE_URL=postgresql://postgres:$(owner_read \
        "$gh_place/secrets/postgres.password")@127.0.0.1:$(port_of postgres)/postgres
    export GATEHOUSE_TEST_DATABASE_URL
    "$@"
    owner_run "$POSTGRES_BIN/pg_ctl" -D "$folder" -s -m immediate stop
}

# A hundred consecutive ports without a listener, below those the kernel hands out and those the
# unit tests draw. Two runs at once begin to look at different places.
test_ports() {
    local port tries
    gh_base=$((12000 + RANDOM % 80 * 100))
    for ((tries = 0; tries < 80; tries++)); do
        for ((port = gh_base; port < gh_base + 100; port++)); do
            [ -z "$(port_socket "$port")" ] || break
        done
        if [ "$port" -eq $((gh_base + 100)) ]; then return 0; fi
        gh_base=$((gh_base + 100 < 20000 ? gh_base + 100 : 12000))
    done
    die $EXIT_PORT 'No hundred free ports in a row between 12000 and 20000.'
}

stage_fuzz() {
    build fuzz fuzz
    counted "$1" 5 "$(build_folder fuzz)" 1 # seconds a target; a seed, so that a run can be repeated
}

stage_programs() {
    # shellcheck disable=SC2086
    build release $BUILD_PROGRAMS $BUILD_DEMO
    counted "$1" "$(build_folder release)"
}

stage_commands() {
    # shellcheck disable=SC2086
    build release $BUILD_PROGRAMS $BUILD_DEMO
    test_ports
    mkdir "$gh_scratch/home"
    counted "$1" "$gh_scratch/home" "$gh_base"
}

stage_openapi() {
    build release gatehouse-controlplane
    mkdir "$gh_scratch/openapi"
    with_cluster openapi_beside_cluster "$1"
}

openapi_beside_cluster() { counted "$1" "$(build_folder release)" "$gh_scratch/openapi" $((gh_base + 20)); }

stage_extending() {
    mkdir "$gh_scratch/extending"
    with_cluster counted "$1" "$gh_scratch/extending"
}

stage_skew() {
    # shellcheck disable=SC2086
    build release $BUILD_PROGRAMS demo-provider
    e2e_packages
    mkdir "$gh_scratch/skew"
    with_cluster skew_beside_cluster "$1"
}

# The ports behind those of the cluster
skew_beside_cluster() { counted "$1" "$(build_folder release)" "$gh_scratch/skew" $((gh_base + 20)); }

stage_channel() {
    build release channel_kill
    test_ports
    counted "$1" "$(build_folder release)" "$gh_scratch" "$gh_base"
}

# Each chaos scenario is a folder with `run BUILD_DIR SCRATCH PORT_BASE`.
stage_chaos() {
    local scenario name
    # shellcheck disable=SC2086
    build release $BUILD_PROGRAMS $BUILD_DEMO
    e2e_packages
    # shellcheck disable=SC2086
    for scenario in $(dirname $1 | sort -u); do # a pattern
        name=$(basename "$scenario")
        test_ports
        mkdir "$gh_scratch/$name"
        counted "$scenario/run" "$(build_folder release)" "$gh_scratch/$name" "$gh_base"
    done
}

# What the packages of npm need: Node 22 (package `node`), since Debian's is 18.
e2e_packages() (
    cd "$gh_root/tests/e2e" || exit $EXIT_FAILED
    stamp=$(cat package.json package-lock.json | sha256sum)
    if [ "$(cat node_modules/.gatehouse 2>/dev/null)" = "$stamp" ]; then return 0; fi
    npm ci --no-audit --no-fund --loglevel=error
    printf '%s\n' "$stamp" >node_modules/.gatehouse
)

# `e2e_python REQUIREMENTS`: an environment of the stage's own.
e2e_python() {
    python3 -m venv "$gh_scratch/python"
    "$gh_scratch/python/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir -r "$1"
    export GATEHOUSE_PYTHON=$gh_scratch/python/bin/python
}

stage_e2e() {
    e2e_packages
    e2e_python "$gh_root/tests/e2e/requirements.txt"
    with_installation "$gh_root/tests/e2e" 3
}

stage_python() {
    e2e_packages
    e2e_python "$gh_root/tests/python/requirements.txt"
    with_installation "$gh_root/tests/python" 1
}

# `with_installation FOLDER PLANES`: the tests of the folder, by Node, against an installation of the stage's own.
with_installation() {
    local code=0 out=$gh_scratch/tap bin=$gh_root/tests/e2e/node_modules
    cd "$1" || exit $EXIT_FAILED
    test_ports
    export GATEHOUSE_HOME=$gh_scratch/home GATEHOUSE_PORT_BASE=$gh_base
    "$gh_root/gatehouse" up --dataplanes "$2" || exit
    set -a
    # shellcheck disable=SC1091
    . "$GATEHOUSE_HOME/gatehouse.env"
    set +a
    PATH=$bin/node/bin:$bin/.bin:$PATH \
        timeout -k 10 $TEST_STAGE_SECONDS node --test --test-reporter=tap \
        --test-concurrency=1 2>&1 | tee "$out" || code=$?
    count "$(awk '$1 == "#" && $2 == "pass" { n = $3 } END { print n + 0 }' "$out")" \
        "$(awk '$1 == "#" && ($2 == "fail" || $2 == "cancelled") { n += $3 } END { print n + 0 }' "$out")"
    "$gh_root/gatehouse" down
    return "$code"
}
