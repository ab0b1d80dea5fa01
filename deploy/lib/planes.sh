# planes: the control plane and the data planes, as entries, and how a data plane is enrolled.

# The caller's variables that are passed to the programs
readonly CONTROLPLANE_SETTINGS='GATEHOUSE_DATABASE_DIRECT_URL GATEHOUSE_DATABASE_CONNECTIONS
    GATEHOUSE_LOG_LEVEL GATEHOUSE_RETAIN_SPANS GATEHOUSE_RETAIN_SESSIONS GATEHOUSE_RETAIN_SPEND
    GATEHOUSE_RETAIN_CHANGES GATEHOUSE_OUTAGE_RESERVE_S'
readonly DATAPLANE_SETTINGS='GATEHOUSE_WORKERS GATEHOUSE_JOURNAL_BYTES GATEHOUSE_LOG_LEVEL
    GATEHOUSE_MEMORY_LIMIT GATEHOUSE_ALLOWED_HOSTS GATEHOUSE_ALLOWED_ORIGINS GATEHOUSE_DRAIN_MS GATEHOUSE_LAME_DUCK_MS
    GATEHOUSE_AI_BODY_BYTES GATEHOUSE_AI_UPLOAD_BYTES GATEHOUSE_TOKEN_DIR'

# The option has priority; without it an installation keeps the number it had.
planes_choose() {
    if [ -z "$gh_planes" ] && [ -s "$gh_home/plane-count" ]; then
        gh_planes=$(<"$gh_home/plane-count")
    fi
    [[ $gh_planes =~ ^[1-9][0-9]?$ ]] || gh_planes=1
}

planes_remember() { printf '%s\n' "$gh_planes" >"$gh_home/plane-count"; }

# Invalid settings are refused before any running process is stopped.
planes_check() {
    # shellcheck disable=SC2086
    {
        plane_check gatehouse-dataplane $DATAPLANE_SETTINGS
        GATEHOUSE_DATABASE_URL=yes GATEHOUSE_MASTER_KEY_FILE=yes plane_check \
            gatehouse-controlplane GATEHOUSE_DATABASE_URL GATEHOUSE_MASTER_KEY_FILE \
            $CONTROLPLANE_SETTINGS
    }
}

# plane_check PROGRAM NAME...
plane_check() {
    local program=$1 said
    shift
    said=$(owner_run_with "$gh_place/bin/$program" --check 2>&1 \
        3< <(passed_on "$@" | sed 's/^env //' | tr '\n' '\0')) ||
        die $EXIT_USAGE "A setting cannot be taken: ${said//$'\n'/ }"
}

controlplane_start() {
    step 'Starting the control plane'
    secret_make master.key
    controlplane_entry
    processes_apply
    process_wait controlplane 60 answers "$gh_admin_url/readyz"
    gh_admin_token=$(owner_read "$gh_place/secrets/admin.token" 2>/dev/null) || true
    [ -n "$gh_admin_token" ] || die $EXIT_START \
        "There is no admin token in $gh_place/secrets/admin.token. It is written once, when a" \
        'database is new; this database belongs to an earlier installation.'
    admin GET '/admin/v1/teams?limit=1' || true
    [ "$admin_status" = 200 ] || die $EXIT_START \
        "The control plane does not accept the token in $gh_place/secrets/admin.token" \
        "(status $admin_status): was the database changed under it?"
}

controlplane_entry() {
    # shellcheck disable=SC2086
    process_write 30 controlplane 40 TERM <<END
env LANG=C.UTF-8
env GATEHOUSE_ADMIN_LISTEN=127.0.0.1:$(port_of controlplane)
env GATEHOUSE_CHANNEL_PUSH=127.0.0.1:$(port_of push)
env GATEHOUSE_CHANNEL_REQUEST=127.0.0.1:$(port_of request)
env GATEHOUSE_DATABASE_URL=$gh_run_url
env GATEHOUSE_DATABASE_OWNER_URL=$gh_owner_url
env GATEHOUSE_MASTER_KEY_FILE=$gh_place/secrets/master.key
env GATEHOUSE_ADMIN_TOKEN_FILE=$gh_place/secrets/admin.token
env GATEHOUSE_STATE_DIR=$gh_place/controlplane
env GATEHOUSE_MIGRATIONS_DIR=$gh_place/migrations
env GATEHOUSE_CATALOGUE_FILE=$gh_place/catalogue.json
$(passed_on $CONTROLPLANE_SETTINGS)
arg $gh_place/bin/gatehouse-controlplane
END
}

dataplanes_start() {
    step "Starting $gh_planes data plane$([ "$gh_planes" = 1 ] || printf s)"
    local n
    for ((n = 1; n <= gh_planes; n++)); do
        plane_run mkdir -p -m 0700 "$gh_place/dataplanes/dp-$n"
        plane_secret_make "dp-$n.key"
        dataplane_is_known "$n" || dataplane_set_aside "$n"
        dataplane_is_enrolled "$n" || dataplane_enrol "$n"
        dataplane_entry "$n"
        # those that run are replaced one after another, so that all but one serve
        if [ -n "$(process_field "dp-$n" pid)" ]; then dataplane_apply "$n"; fi
    done
    processes_forget_others
    processes_apply
    for ((n = 1; n <= gh_planes; n++)); do dataplane_wait "$n"; done
    processes_wait_others
}

# Tells the supervisor, and waits for the wanted build of it where another one runs.
dataplane_apply() {
    [ "$(process_field "dp-$1" stamp)" != "${gh_stamps[dp-$1]}" ] || return 0
    processes_apply
    dataplane_wait "$1"
}

dataplane_wait() {
    process_wait "dp-$1" 60 answers "http://127.0.0.1:$(port_of dataplane "$1")/readyz"
    dataplane_token_drop "$1"
}

# The name it is enrolled under
dataplane_name() {
    plane_read "$(plane_secret "dp-$1.name")" 2>/dev/null || say "dp-$1"
}

# A data plane may have been deleted by the admin API; its certificate is refused then. One that was
# never enrolled has no name yet and cannot have been deleted.
dataplane_is_known() {
    local name
    plane_has "$(plane_secret "dp-$1.name")" || return 0
    name=$(dataplane_name "$1")
    object_is_there dataplanes "$name"
}

# The state of the deleted data plane is kept under another name; the next data plane with this
# number starts with an empty folder.
dataplane_set_aside() {
    local state=$gh_place/dataplanes/dp-$1 aside
    aside=$state.removed-$(date +%Y%m%d-%H%M%S)
    note "$(dataplane_name "$1") was removed from the control plane; another takes its place"
    owner_run rm -f "$gh_place/run/processes/40-dp-$1"
    processes_apply
    process_wait_end "dp-$1"
    plane_run mv "$state" "$aside"
    plane_run mkdir -m 0700 "$state"
    plane_run rm -f "$(plane_secret "dp-$1.name")" "$(plane_secret "dp-$1.token")"
    note "what it left is in $aside"
}

# A token is valid once; where the plane has a certificate, its token was used.
dataplane_token_drop() {
    if plane_has "$gh_place/dataplanes/dp-$1/plane.crt"; then
        plane_run rm -f "$(plane_secret "dp-$1.token")"
    fi
}

# A data plane keeps its certificate in its state folder and renews it while it runs. One that was
# stopped until its certificate expired is enrolled again. The margin of a day prevents that the
# certificate expires during the start.
dataplane_is_enrolled() {
    local certificate=$gh_place/dataplanes/dp-$1/plane.crt
    plane_run openssl x509 -noout -checkend 86400 -in "$certificate" >/dev/null 2>&1 && return 0
    plane_run rm -f "$certificate"
    return 1
}

# A name that is taken in the private database belongs to an enrolment that was interrupted: it gets
# another token. The name of a deleted data plane stays reserved, and in a shared database the name
# may belong to another installation: then this data plane takes a different name.
dataplane_enrol() {
    local name=dp-$1 names
    names=$(plane_secret "dp-$1.name")
    admin_status=''
    if plane_has "$names"; then
        name=$(plane_read "$names")
    else
        dataplane_create "$name"
        if [ "$admin_status" = 409 ] && ! dataplane_is_half_way "$name"; then
            name=dp-$1-$(random_hex | cut -c1-6)
            dataplane_create "$name"
        fi
    fi
    if [ "$admin_status" != 201 ]; then
        admin_must POST "/admin/v1/dataplanes/$name/enrolment-token"
    fi
    printf '%s\n' "$name" | plane_write "$names" 600
    admin_text enrolment_token | plane_write "$(plane_secret "dp-$1.token")" 600
}

dataplane_is_half_way() {
    database_is_private || return 1
    admin GET "/admin/v1/dataplanes/$1" || true
    [ "$admin_status" = 200 ]
}

dataplane_create() {
    admin POST /admin/v1/dataplanes "{\"name\":\"$1\",\"pool\":\"default\"}" || true
    [[ $admin_status = 201 || $admin_status = 409 ]] || die $EXIT_START \
        "The control plane refused to enrol $1 (status $admin_status): $admin_body"
}

dataplane_entry() {
    # shellcheck disable=SC2086
    # 45 seconds: the plane gives its clients 30 to finish
    # longer than the plane itself takes: its drain, its lame duck, the last records
    local grace=$(((${GATEHOUSE_DRAIN_MS:-30000} + ${GATEHOUSE_LAME_DUCK_MS:-0}) / 1000 + 15))
    process_write 40 "dp-$1" "$grace" TERM <<END
env LANG=C.UTF-8
env GATEHOUSE_LISTEN=127.0.0.1:$(port_of dataplane "$1")
env GATEHOUSE_METRICS_LISTEN=127.0.0.1:$(port_of metrics "$1")
env GATEHOUSE_CHANNEL_PUSH=127.0.0.1:$(port_of push)
env GATEHOUSE_CHANNEL_REQUEST=127.0.0.1:$(port_of request)
env GATEHOUSE_ADMIN_URL=$gh_admin_url
env GATEHOUSE_ENROLMENT_TOKEN_FILE=$(plane_secret "dp-$1.token")
env GATEHOUSE_STATE_DIR=$gh_place/dataplanes/dp-$1
env GATEHOUSE_STATE_KEY_FILE=$(plane_secret "dp-$1.key")
$(passed_on $DATAPLANE_SETTINGS)
arg $gh_place/bin/gatehouse-dataplane
END
}
