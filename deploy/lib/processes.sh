# processes: the processes of an installation, as entries for the supervisor
# (deploy/supervisor/entry.h).
#
# Ranks: 10 postgres, 20 demo, 30 control plane, 40 data planes. Low starts first, high ends first.

readonly PROCESS_LOG_LINES=20

# A supervisor that starts must not find the entries of the previous run.
processes_begin() {
    [ -n "$(supervisor_pid)" ] || owner_run find "$gh_place/run/processes" -type f -delete
}

# Files that a program reads at its start: a change of them restarts it (the control plane
# migrates).
process_files() {
    if [ "$1" = controlplane ]; then cat "$gh_place"/migrations/*.sql "$gh_place/catalogue.json"; fi
}

# process_write RANK NAME GRACE SIGNAL < "env …" and "arg …" lines
# The stamp covers the lines and the program itself: another build is another stamp, and another
# stamp is a restart.
process_write() {
    local lines program stamp
    lines=$(cat)
    lines+=$'\n'"env GATEHOUSE_INSTALLATION=$gh_place"
    if [ "$(user_of "$2")" != "$gh_owner" ]; then lines+=$'\n'$(user_line "$2"); fi
    program=$(sed -n 's/^arg //p' <<<"$lines" | head -n 1)
    stamp=$({ printf '%s\n%s\n%s\n' "$lines" "$3" "$4"; cat "$program"; process_files "$2"; } |
        sha256sum | cut -c1-32)
    gh_stamps[$2]=$stamp
    gh_entries+=("$1-$2")
    printf 'stamp %s\nstop %s %s\n%s\n' "$stamp" "$4" "$3" "$lines" |
        owner_write "$gh_place/run/.$1-$2" 600
    owner_run mv -f "$gh_place/run/.$1-$2" "$gh_place/run/processes/$1-$2"
}

# passed_on NAME...: settings of the caller that are passed to a program unchanged
passed_on() {
    local name
    for name in "$@"; do
        if [ -n "${!name:-}" ]; then printf 'env %s=%s\n' "$name" "${!name}"; fi
    done
}

# Entries of this installation that this `up` did not write are no longer wanted.
processes_forget_others() {
    local file name wanted
    for file in $(owner_run ls "$gh_place/run/processes"); do
        wanted=no
        for name in "${gh_entries[@]}"; do
            if [ "$name" = "$file" ]; then wanted=yes; fi
        done
        if [ "$wanted" = no ]; then owner_run rm -f "$gh_place/run/processes/$file"; fi
    done
}

supervisor_pid() {
    local file=$gh_place/run/supervisor.pid
    [ -s "$file" ] || return 0
    # it holds the lock for as long as it lives
    if ! flock -n -s "$file" true 2>/dev/null; then cat "$file"; fi
}

# supervisor_replace PID STAMP: the supervisor executes its new program in the same process, so
# that its children keep running. A supervisor of the first release cannot do that: it ends, and
# everything restarts.
supervisor_replace() {
    if owner_has "$gh_place/run/supervisor.hands-over"; then
        note 'the supervisor itself has changed; it is replaced, and what it started goes on'
        printf '%s\n' "$2" | owner_write "$gh_place/run/supervisor.stamp" 600
        kill -USR2 "$1"
        return
    fi
    note 'the supervisor itself has changed; everything restarts'
    processes_end
    return 1
}

# Starts the supervisor, or tells it to read its entries again.
processes_apply() {
    local pid stamp
    pid=$(supervisor_pid)
    stamp=$(sha256sum <"$gh_place/bin/gatehouse-supervisor")
    if [ -n "$pid" ] && [ "$stamp" != "$(owner_read "$gh_place/run/supervisor.stamp")" ]; then
        supervisor_replace "$pid" "$stamp" || pid=''
    fi
    if [ -n "$pid" ]; then
        kill -HUP "$pid"
        return
    fi
    owner_run rm -f "$gh_place/run/status"
    printf '%s\n' "$stamp" | owner_write "$gh_place/run/supervisor.stamp" 600
    printf 'yes\n' | owner_write "$gh_place/run/supervisor.hands-over" 600
    local as=owner_run
    if users_are_separate; then as=users_rights; fi
    # shellcheck disable=SC2016
    $as env GATEHOUSE_INSTALLATION="$gh_place" setsid --fork sh -c \
        'exec "$1/bin/gatehouse-supervisor" --folder "$1/run" --log-folder "$1/log" --users "$2" \
            </dev/null >>"$1/log/supervisor.log" 2>&1' start "$gh_place" "$(users_list)" 8>&- 9>&-
}

# process_field NAME FIELD: pid state restarts since stamp
process_field() {
    local pid state restarts since stamp name
    while read -r name pid state restarts since stamp; do
        if [ "$name" = "$1" ]; then
            printf '%s' "${!2}"
            return
        fi
    done < <(cat "$gh_place/run/status" 2>/dev/null)
}

process_names() { awk '{ print $1 }' "$gh_place/run/status" 2>/dev/null || true; }

process_is_ours() {
    [ -n "$(supervisor_pid)" ] || return 1
    awk -v pid="$1" '$2 == pid { found = 1 } END { exit !found }' "$gh_place/run/status" 2>/dev/null
}

process_gave_up() {
    show_end_of "$gh_place/log/$1.log" $PROCESS_LOG_LINES
    die $EXIT_START "$2 Its log is $gh_place/log/$1.log."
}

# process_wait NAME SECONDS CHECK...: until the wanted build of it runs and the check says yes
process_wait() {
    local name=$1 seconds=$2 until=$((SECONDS + $2)) crashes
    shift 2
    while [ $SECONDS -lt $until ]; do
        if [ "$(process_field "$name" stamp)" = "${gh_stamps[$name]}" ]; then
            if [ "$(process_field "$name" state)" = running ] && "$@"; then return 0; fi
            crashes=$(process_field "$name" restarts)
            if [ "${crashes:-0}" -ge 4 ]; then
                process_gave_up "$name" "$name does not stay up: it has ended $crashes times."
            fi
        fi
        sleep 0.1
    done
    process_gave_up "$name" "$name was not ready within $seconds seconds."
}

# Until what is no longer wanted has ended: a data plane lets its clients finish first.
processes_wait_others() {
    local name until=$((SECONDS + 60)) left
    while [ $SECONDS -lt $until ]; do
        left=''
        for name in $(process_names); do
            [ -n "${gh_stamps[$name]:-}" ] || left+=" $name"
        done
        [ -n "$left" ] || return 0
        sleep 0.1
    done
    die $EXIT_START "These processes were to end and have not:$left. See $gh_place/log."
}

# process_wait_end NAME: until one whose entry is gone has ended
process_wait_end() {
    local until=$((SECONDS + 60))
    while [ -n "$(process_field "$1" state)" ]; do
        [ $SECONDS -lt $until ] || die $EXIT_START "$1 was to end and has not. See $gh_place/log."
        sleep 0.1
    done
}

answers() { curl -fs -o /dev/null --noproxy '*' --max-time 2 "$1"; }

# Ends the supervisor, and with it everything: data planes, control plane, demo, postgres.
processes_end() {
    local pid until
    pid=$(supervisor_pid)
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null ||
            die $EXIT_FAILED "Process $pid may not be ended by $(id -un); use root or sudo."
        until=$((SECONDS + 120))
        while [ -n "$(supervisor_pid)" ]; do
            [ $SECONDS -lt $until ] ||
                die $EXIT_FAILED "Process $pid has not ended within two minutes; see $gh_place/log."
            sleep 0.1
        done
    fi
    processes_sweep
}

# Processes that a killed supervisor left running have the installation's name in their environment
# (that of the planes is readable for root only), or their program is the installation's.
process_carries_name() {
    local program=''
    grep -qzxF "GATEHOUSE_INSTALLATION=$gh_place" "$1/environ" 2>/dev/null && return 0
    { IFS= read -r -d '' program <"$1/cmdline"; } 2>/dev/null || return 1
    [[ $program = "$gh_place/bin/"* ]]
}

processes_sweep() {
    local pid pids signal
    for signal in TERM KILL KILL; do # the third round ends processes that started during the second
        pids=''
        for pid in /proc/[0-9]*; do
            if process_carries_name "$pid"; then
                pids+=" ${pid#/proc/}"
            fi
        done
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086
        kill -$signal $pids 2>/dev/null || true
        sleep 2
    done
}
