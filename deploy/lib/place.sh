# place: where an installation's files lie.
#
#   $GATEHOUSE_HOME   gatehouse.env, setup/ (logs of packages and builds): the caller's
#   the place         everything else; the same folder, or /var/lib/gatehouse/HASH where the
#                     unprivileged user cannot reach it (a clone under a 0700 home)
#     bin/ migrations/ catalogue.json               the caller's: a process cannot change its program
#     run/ log/ secrets/ postgres/ controlplane/ dataplanes/   the unprivileged user's

place_find() {
    gh_home=${GATEHOUSE_HOME:-$gh_root/var}
    case $gh_home in /*) ;; *) gh_home=$PWD/$gh_home ;; esac
    gh_place=$gh_home
    if [ -s "$gh_home/place" ]; then gh_place=$(<"$gh_home/place"); fi
    gh_env=$gh_home/gatehouse.env
    gh_setup=$gh_home/setup
    owner_choose
}

place_begin() {
    [ -d "$gh_home" ] || mkdir -p "$gh_home" 2>/dev/null ||
        die $EXIT_FAILED "The folder $gh_home could not be created; GATEHOUSE_HOME names another."
    mkdir -p "$gh_setup" 2>/dev/null && [ -w "$gh_home" ] ||
        die $EXIT_FAILED "The folder $gh_home is not writable for $(id -un)."
}

place_make() {
    if [ "$gh_place" = "$gh_home" ] && ! owner_run test -x "$gh_home"; then
        gh_place=/var/lib/gatehouse/$(printf '%s' "$gh_home" | sha256sum | cut -c1-12)
        mkdir -p "$gh_place"
        printf '%s\n' "$gh_place" >"$gh_home/place"
        note "the user $gh_owner cannot reach $gh_home; its files lie in $gh_place"
    fi
    mkdir -p "$gh_place/bin" "$gh_place/migrations"
    local folder group
    group=$(id -gn "$gh_owner")
    for folder in run run/processes log secrets postgres controlplane dataplanes; do
        [ -d "$gh_place/$folder" ] && continue
        if [ "$EUID" -eq 0 ]; then
            install -d -m 0700 -o "$gh_owner" -g "$group" "$gh_place/$folder"
        else
            install -d -m 0700 "$gh_place/$folder"
        fi
    done
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
