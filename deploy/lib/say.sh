# say: the messages on the terminal and the exit codes for scripts.

readonly EXIT_FAILED=1 EXIT_USAGE=2 EXIT_PACKAGE=3 EXIT_PORT=4 EXIT_DATABASE=5 EXIT_BUILD=6 \
    EXIT_START=7

say() { printf '%s\n' "$*"; }

# step TEXT: a heading, with the seconds since the command began.
step() { printf '==> [%4ds] %s\n' "$SECONDS" "$*"; }

note() { printf '    %s\n' "$*"; }

warn() { printf 'gatehouse: %s\n' "$*" >&2; }

# die CODE SENTENCE
die() {
    local code=$1
    shift
    warn "$*"
    exit "$code"
}

# The last lines of a log, indented: printed when a build or a start has failed.
show_end_of() {
    local file=$1 lines=${2:-20}
    [ -r "$file" ] || return 0
    printf '    --- the end of %s ---\n' "$file" >&2
    tail -n "$lines" "$file" | sed 's/^/    /' >&2
}

# Reads "PERCENT TEXT" lines. A terminal sees one line that changes; a log sees one line for each
# tenth, so that it stays readable.
show_progress() {
    local percent text last=-10
    while read -r percent text; do
        if [ -t 1 ]; then
            printf '\r\033[K    %3d%% %.60s' "$percent" "$text"
        elif [ "$percent" -ge $((last + 10)) ] || [ "$percent" -lt "$last" ]; then
            printf '    %3d%% %s\n' "$percent" "$text"
            last=$((percent / 10 * 10))
        fi
    done
    if [ -t 1 ]; then printf '\r\033[K'; fi
}
