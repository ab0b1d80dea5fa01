# build: cmake and ninja, with progress on the terminal and everything else in a log.

build_folder() {
    if [ "$1" = release ] && [ -n "${GATEHOUSE_BUILD:-}" ]; then
        case $GATEHOUSE_BUILD in
        /*) printf '%s' "$GATEHOUSE_BUILD" ;;
        *) printf '%s/%s' "$gh_root" "$GATEHOUSE_BUILD" ;;
        esac
    else
        printf '%s/build/%s' "$gh_root" "$1"
    fi
}

# build PRESET TARGET...
build() {
    local preset=$1 folder log lock
    shift
    folder=$(build_folder "$preset")
    mkdir -p "$folder"
    exec {lock}>"$folder/.lock" # ninja itself does not notice a second one in its folder
    flock "$lock"
    log=$gh_setup/build-$preset.log
    step "Building ($preset): ${*:-everything}"
    : >"$log"
    if [ ! -e "$folder/build.ninja" ]; then
        local cache=()
        if command -v ccache >/dev/null; then cache=(-DCMAKE_C_COMPILER_LAUNCHER=ccache); fi
        cmake -S "$gh_root" -B "$folder" --preset "$preset" "${cache[@]}" \
            >>"$log" 2>&1 || build_failed "$log"
    fi
    env NINJA_STATUS='[%f/%t] ' ninja -C "$folder" "$@" 2>&1 </dev/null |
        tee -a "$log" | build_progress | show_progress >&"$gh_progress" || build_failed "$log"
    exec {lock}>&-
}

build_progress() {
    awk 'match($0, /^\[[0-9]+\/[0-9]+\] /) {
        split(substr($0, 2, RLENGTH - 3), n, "/")
        text = substr($0, RLENGTH + 1); sub(/.*\//, "", text)
        printf "%d %d of %d, %s\n", n[1] * 100 / n[2], n[1], n[2], text; fflush() }'
}

# Shows the first command that failed; output of commands that ran beside it is left out.
build_failed() {
    if grep -q '^FAILED: ' "$1"; then
        awk '/^FAILED: / { failed = 1 } failed && /^\[[0-9]+\/[0-9]+\] / { exit } failed' "$1" |
            head -n 30 | sed 's/^/    /' >&2
    else
        show_end_of "$1" 30
    fi
    die $EXIT_BUILD "The build failed; all of it is in $1."
}

readonly BUILD_PROGRAMS='gatehouse-controlplane gatehouse-dataplane gatehouse-supervisor'
readonly BUILD_DEMO='demo-provider demo-mcp demo-api'

# The programs that run are copies: a rebuild does not replace the file of a running process, and
# the owner can read them even where it cannot read the clone.
build_install() {
    local program from
    from=$(build_folder release)/bin
    for program in "$@"; do
        cmp -s "$from/$program" "$gh_place/bin/$program" && continue
        install -m 0755 "$from/$program" "$gh_place/bin/.$program"
        mv -f "$gh_place/bin/.$program" "$gh_place/bin/$program"
    done
    rm -rf "$gh_place/migrations.new"
    mkdir "$gh_place/migrations.new"
    install -m 0644 "$gh_root"/migrations/*.sql "$gh_place/migrations.new/"
    if diff -rq "$gh_place/migrations.new" "$gh_place/migrations" >/dev/null; then
        rm -rf "$gh_place/migrations.new"
    else
        rm -rf "$gh_place/migrations"
        mv "$gh_place/migrations.new" "$gh_place/migrations"
    fi
    local catalogue=$gh_root/controlplane/catalogue/catalogue.json
    cmp -s "$catalogue" "$gh_place/catalogue.json" || install -m 0644 "$catalogue" "$gh_place/catalogue.json"
}
