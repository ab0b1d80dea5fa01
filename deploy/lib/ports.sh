# ports: the base from which all ports are derived, and which process holds one of them.

# The variable has priority; without it an installation keeps the base it had.
ports_choose() {
    gh_base=${GATEHOUSE_PORT_BASE:-}
    if [ -z "$gh_base" ] && [ -s "$gh_home/port-base" ]; then gh_base=$(<"$gh_home/port-base"); fi
    gh_base=${gh_base:-8080}
    if ! [[ $gh_base =~ ^[1-9][0-9]{3,4}$ ]] || [ "$gh_base" -lt 1024 ] ||
        [ $((gh_base + 10 * gh_planes + 4)) -gt 65535 ]; then
        die $EXIT_USAGE "GATEHOUSE_PORT_BASE must be a number from 1024 up that leaves space for" \
            "every port below 65536, not '$gh_base'."
    fi
}

ports_remember() { printf '%s\n' "$gh_base" >"$gh_home/port-base"; }

# port_of WHAT [N]: N counts the data planes from 1
port_of() {
    local offset
    case $1 in
    dataplane) offset=$((10 * (${2:-1} - 1))) ;;
    metrics) offset=$((10 * (${2:-1} - 1) + 4)) ;;
    controlplane) offset=1 ;;
    push) offset=2 ;;
    request) offset=3 ;;
    demo-provider) offset=5 ;;
    demo-mcp) offset=6 ;;
    demo-api) offset=7 ;;
    postgres) offset=8 ;;
    esac
    printf '%d' $((gh_base + offset))
}

# "INODE UID" of the socket that listens on a port, from the kernel's own tables: they are there
# before any package is (state 0A is LISTEN).
port_socket() {
    local hex
    hex=$(printf ':%04X' "$1")
    awk -v port="$hex" '
        $4 == "0A" && substr($2, length($2) - 4) == port { print $10, $8; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null || true # a kernel without IPv6 has one of them
}

# "PID NAME" of the process that holds the socket, or nothing where its descriptors cannot be
# read: it belongs to another user and the caller is not root, or it is not dumpable, as the
# planes are.
port_holder() {
    local link pid
    # find complains of processes that end while it looks
    link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$1\]" -print -quit 2>/dev/null) || true
    [ -n "$link" ] || return 0
    pid=${link#/proc/}
    pid=${pid%%/*}
    printf '%s %s' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null || true)"
}

# port_need PORT WHAT: free, or held by this installation itself
port_need() {
    local inode uid holder taken_by
    read -r inode uid < <(port_socket "$1") || return 0
    holder=$(port_holder "$inode")
    if [ -n "$holder" ]; then
        if process_is_ours "${holder%% *}"; then return 0; fi
        taken_by="${holder#* } (process ${holder%% *})"
    else
        if is_one_of_the_users "$uid" && port_is_configured "$1"; then
            return 0
        fi
        taken_by="a process of the user $(id -nu "$uid" 2>/dev/null || printf '%s' "$uid")"
    fi
    die $EXIT_PORT "Port $1 ($2) is taken by $taken_by." \
        "Stop it, or set GATEHOUSE_PORT_BASE (now $gh_base) to a free range."
}

# port_is_configured PORT: a running process of this installation is configured for this port
port_is_configured() {
    local name entry
    [ -n "$(supervisor_pid)" ] || return 1
    for name in $(process_names); do
        [ -d "/proc/$(process_field "$name" pid)" ] || continue
        for entry in "$gh_place/run/processes/"??-"$name"; do
            if owner_run grep -qE "(127\.0\.0\.1:|port=)$1\$" "$entry" 2>/dev/null; then
                return 0
            fi
        done
    done
    return 1
}

ports_need() {
    local n
    for ((n = 1; n <= gh_planes; n++)); do
        port_need "$(port_of dataplane $n)" "data plane $n"
        port_need "$(port_of metrics $n)" "health and metrics of data plane $n"
    done
    port_need "$(port_of controlplane)" 'control plane'
    port_need "$(port_of push)" 'control channel, push'
    port_need "$(port_of request)" 'control channel, request'
    if [ "$gh_demo" = yes ]; then
        port_need "$(port_of demo-provider)" 'demo model provider'
        port_need "$(port_of demo-mcp)" 'demo MCP server'
        port_need "$(port_of demo-api)" 'demo API'
    fi
    if database_is_private; then port_need "$(port_of postgres)" 'private PostgreSQL'; fi
}
