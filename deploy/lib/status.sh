# status: which processes run, their health, and which policy each data plane applies.

# The port on which a process listens, and the address of its health check.
status_port() {
    case $1 in
    postgres | controlplane | demo-*) port_of "$1" ;;
    dp-*) port_of dataplane "${1#dp-}" ;;
    esac
}

status_health() {
    case $1 in
    postgres) if postgres_answers; then say ok; else say 'does not answer'; fi ;;
    controlplane) status_ask "http://127.0.0.1:$2" readyz ;;
    dp-*) status_plane "${1#dp-}" "http://127.0.0.1:$2" ;;
    *) status_ask "http://127.0.0.1:$2" healthz ;;
    esac
}

status_ask() {
    if answers "$1/$2"; then
        say ok
    elif [ "$2" = readyz ] && answers "$1/healthz"; then
        say 'not ready'
    else
        say 'does not answer'
    fi
}

# A data plane that the control plane no longer knows may still serve, with a policy that is no
# longer updated.
status_plane() {
    local name
    name=$(dataplane_name "$1")
    if [ "$gh_admin_answers" = yes ] && admin GET "/admin/v1/dataplanes/$name" &&
        [ "$admin_status" = 404 ]; then
        say removed
    else
        status_ask "$2" readyz
    fi
}

status_line() {
    local name=$1 state health='-' port
    state=$(process_field "$name" state)
    [ -n "$state" ] || return 0 # it ended during this command
    port=$(status_port "$name")
    if [ "$state" = running ]; then health=$(status_health "$name" "$port"); fi
    [ "$health" = ok ] || gh_all_well=no
    printf '%-16s %-8s %-6s %-9s %-16s %-9s %s\n' "$name" "$(process_field "$name" pid)" "$port" \
        "$state" "$health" "$(process_field "$name" restarts)" \
        "$(date -d "@$(process_field "$name" since)" '+%F %T')"
}

# Facts that only the control plane knows are left out where it does not respond, so that a control
# plane that hangs does not delay the state of the other processes.
status_find_admin() {
    gh_admin_answers=no
    if [ -n "$gh_admin_token" ] && answers "$gh_admin_url/readyz"; then gh_admin_answers=yes; fi
}

# One line for the newest policy and one for each data plane that the control plane knows.
status_rollout() {
    if [ "$gh_admin_answers" = no ]; then
        say ''
        say 'The control plane does not answer: the policy version of each data plane is not known.'
        gh_all_well=no
        return 0
    fi
    if ! admin GET /admin/v1/rollout || [ "$admin_status" != 200 ]; then return 0; fi
    say ''
    printf '%s\n' "$admin_body" | sed 's/[{]/\n&/g' | awk '
        function field(name,   text) {
            if (!match($0, "\"" name "\" *: *(\"[^\"]*\"|[^,}]*)")) return "-"
            text = substr($0, RSTART, RLENGTH)
            sub(/^"[a-z_]*" *: */, "", text)
            gsub(/"/, "", text)
            return text
        }
        /"lineage"/ { print "policy version " field("version") }
        /"pool"/ {
            how = "connected"
            if (field("connected") != "true") how = "not connected, last heard " field("last_heard_at")
            printf "  %s applies %s (%s)\n", field("name"), field("version"), how
        }'
}

status() {
    say "Gatehouse in $gh_home"
    if [ "$gh_place" != "$gh_home" ]; then say "its files lie in $gh_place"; fi
    local users=$gh_owner
    if users_are_separate; then users+=", $gh_user_db, $gh_user_plane and $gh_user_demo"; fi
    say "runs as $users, ports from $gh_base, $gh_database database"
    if [ -z "$(supervisor_pid)" ]; then
        say 'Nothing runs.'
        exit $EXIT_FAILED
    fi
    say ''
    printf '%-16s %-8s %-6s %-9s %-16s %-9s %s\n' process pid port state health restarts since
    gh_all_well=yes
    gh_admin_token=$(owner_read "$gh_place/secrets/admin.token" 2>/dev/null) || gh_admin_token=''
    local name admin_seconds=3
    status_find_admin
    for name in $(process_names); do status_line "$name"; done
    status_rollout
    if [ "$gh_all_well" = no ]; then exit $EXIT_FAILED; fi
}
