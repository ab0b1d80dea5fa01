# users: the users that the processes of an installation run as.
#
# Where root made the installation, PostgreSQL, the data planes and the demo backends run as users of
# their own, so that none of them can read what another one keeps: not the master key, not the admin
# token, not the files of the database. The owner (owner.sh) runs the supervisor and the control
# plane. The supervisor is not root either: it has the right to start processes as these users and to
# end them (CAP_SETUID, CAP_SETGID, CAP_KILL), and takes no other user from an entry.
#
# Where another user made it, all run as that user: Unix does not let it become another one.
#
#   the place/users   one line: the three users; absent where there is one for all

readonly USERS_SEPARATE='gatehouse-db gatehouse-plane gatehouse-demo'
readonly USERS_RIGHTS=-all,+setuid,+setgid,+kill

users_choose() {
    gh_user_db=$gh_owner gh_user_plane=$gh_owner gh_user_demo=$gh_owner
    if [ -s "$gh_place/users" ]; then
        read -r gh_user_db gh_user_plane gh_user_demo <"$gh_place/users"
    fi
}

users_are_separate() { [ "$gh_user_plane" != "$gh_owner" ]; }

# An installation keeps the users it began with.
users_make() {
    users_choose
    if [ "$EUID" -eq 0 ] && [ ! -d "$gh_place/run" ] && [ "$gh_owner" = gatehouse ]; then
        if users_rights true 2>/dev/null; then
            # shellcheck disable=SC2086
            read -r gh_user_db gh_user_plane gh_user_demo <<<"$USERS_SEPARATE"
        else
            note "root may not give a process CAP_SETUID, CAP_SETGID and CAP_KILL here: all run as $gh_owner"
        fi
    fi
    users_are_separate || return 0
    user_make "$gh_user_db"
    user_make "$gh_user_plane"
    user_make "$gh_user_demo"
}

# Written once the folders are there.
users_remember() {
    if users_are_separate && [ ! -s "$gh_place/users" ]; then
        printf '%s %s %s\n' "$gh_user_db" "$gh_user_plane" "$gh_user_demo" >"$gh_place/users"
    fi
}

user_make() {
    getent passwd "$1" >/dev/null && return 0
    useradd --system --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin "$1" || die $EXIT_FAILED "The system user $1 could not be created."
    note "created the system user $1; nothing of Gatehouse runs as root"
}

# users_rights COMMAND...: as the owner, with the rights that the supervisor needs
users_rights() {
    setpriv --reuid="$(id -u "$gh_owner")" --regid="$(id -g "$gh_owner")" --init-groups \
        --inh-caps=$USERS_RIGHTS --ambient-caps=$USERS_RIGHTS --bounding-set=$USERS_RIGHTS \
        --no-new-privs env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent "$@"
}

# user_of PROCESS
user_of() {
    case $1 in
    postgres) printf '%s' "$gh_user_db" ;;
    dp-*) printf '%s' "$gh_user_plane" ;;
    demo-*) printf '%s' "$gh_user_demo" ;;
    *) printf '%s' "$gh_owner" ;;
    esac
}

# user_line PROCESS: the entry's line, where the user is not the supervisor's own
user_line() {
    local user
    user=$(user_of "$1")
    if [ "$user" != "$gh_owner" ]; then
        printf 'user %s %s\n' "$(id -u "$user")" "$(id -g "$user")"
    fi
}

# The ids, with commas
users_list() {
    local user list=''
    users_are_separate || return 0
    for user in "$gh_user_db" "$gh_user_plane" "$gh_user_demo"; do list+=${list:+,}$(id -u "$user"); done
    printf '%s' "$list"
}

is_one_of_the_users() {
    local user
    for user in "$gh_owner" "$gh_user_db" "$gh_user_plane" "$gh_user_demo"; do
        if [ "$1" = "$(id -u "$user" 2>/dev/null)" ]; then return 0; fi
    done
    return 1
}

# ---- the data planes' own files ----

plane_run() { user_run "$gh_user_plane" "$@"; }
plane_write() { user_write "$gh_user_plane" "$@"; }
plane_read() { plane_run cat "$1"; }
plane_has() { plane_run test -s "$1"; }

# plane_secret NAME: its path. The owner's secrets are in the folder above.
plane_secret() {
    if users_are_separate; then
        printf '%s/secrets/dataplanes/%s' "$gh_place" "$1"
    else
        printf '%s/secrets/%s' "$gh_place" "$1"
    fi
}

plane_secret_make() {
    local file
    file=$(plane_secret "$1")
    plane_has "$file" || random_hex | plane_write "$file" 600
}
