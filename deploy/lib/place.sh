# place: where an installation's files lie.
#
#   $GATEHOUSE_HOME   gatehouse.env, setup/ (logs of packages and builds): the caller's
#   the place         everything else; the same folder, or /var/lib/gatehouse/HASH where the
#                     unprivileged user cannot reach it (a clone under a 0700 home)
#     bin/ migrations/ catalogue.json               the caller's: a process cannot change its program
#     run/ log/ secrets/ controlplane/              the owner's
#     postgres/ dataplanes/ secrets/dataplanes/     the owner's too, or their users' (users.sh)

place_find() {
    gh_home=${GATEHOUSE_HOME:-$gh_root/var}
    case $gh_home in /*) ;; *) gh_home=$PWD/$gh_home ;; esac
    gh_place=$gh_home
    if [ -s "$gh_home/place" ]; then gh_place=$(<"$gh_home/place"); fi
    gh_env=$gh_home/gatehouse.env
    gh_setup=$gh_home/setup
    owner_choose
    users_choose
}

place_begin() {
    [ -d "$gh_home" ] || mkdir -p "$gh_home" 2>/dev/null ||
        die $EXIT_FAILED "The folder $gh_home could not be created; GATEHOUSE_HOME names another."
    mkdir -p "$gh_setup" 2>/dev/null && [ -w "$gh_home" ] ||
        die $EXIT_FAILED "The folder $gh_home is not writable for $(id -un)."
}

place_make() {
    if [ "$gh_place" = "$gh_home" ] && ! place_is_reachable; then
        gh_place=/var/lib/gatehouse/$(printf '%s' "$gh_home" | sha256sum | cut -c1-12)
        mkdir -p "$gh_place"
        printf '%s\n' "$gh_place" >"$gh_home/place"
        note "the user $gh_owner cannot reach $gh_home; its files lie in $gh_place"
    fi
    mkdir -p "$gh_place/bin" "$gh_place/migrations"
    local folder
    for folder in run run/processes log controlplane; do place_folder "$folder" "$gh_owner" 0700; done
    place_folder postgres "$gh_user_db" 0700
    place_folder dataplanes "$gh_user_plane" 0700
    if users_are_separate; then
        place_folder secrets "$gh_owner" 0711 # the data planes pass through it, and read nothing of it
        place_folder secrets/dataplanes "$gh_user_plane" 0700
    else
        place_folder secrets "$gh_owner" 0700
    fi
    users_remember
}

place_is_reachable() {
    local user
    for user in "$gh_owner" "$gh_user_db" "$gh_user_plane" "$gh_user_demo"; do
        user_run "$user" test -x "$gh_home" || return 1
    done
}

# place_folder NAME USER MODE
place_folder() {
    if [ -d "$gh_place/$1" ]; then return 0; fi
    if [ "$EUID" -eq 0 ]; then
        install -d -m "$3" -o "$2" -g "$(id -gn "$2")" "$gh_place/$1"
    else
        install -d -m "$3" "$gh_place/$1"
    fi
}

# One `up` or `down` at a time.
place_lock() {
    exec 8>"$gh_setup/lock"
    flock -n 8 || note "another ./gatehouse works on $gh_home; waiting for it"
    flock -w 1800 8 || die $EXIT_FAILED "Another ./gatehouse has been at work for half an hour."
}

# secret NAME: the path of a secret of 64 hex digits, made on first use.
secret_make() {
    owner_has "$gh_place/secrets/$1" || random_hex | owner_write "$gh_place/secrets/$1" 600
}
