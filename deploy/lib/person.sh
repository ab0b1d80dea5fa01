# person: the unprivileged user everything of ours runs as.
#
# Not root: that user. Through sudo: the user who called sudo. Root itself: the system user
# `gatehouse`, made when it is first needed. Whoever an installation began with, it stays with.

person_choose() {
    local owner=''
    if [ -d "$gh_place/run" ]; then owner=$(stat -c %U "$gh_place/run"); fi
    if [ "$EUID" -ne 0 ]; then
        gh_person=$(id -un)
        if [ -n "$owner" ] && [ "$owner" != "$gh_person" ]; then
            die $EXIT_FAILED "$gh_home belongs to the user $owner; run this as root or with sudo."
        fi
    elif [ -n "$owner" ] && [ "$owner" != root ] && [ "$owner" != UNKNOWN ]; then
        gh_person=$owner
    elif [ "${SUDO_UID:-0}" -ne 0 ]; then
        gh_person=$SUDO_USER
    else
        gh_person=gatehouse
    fi
}

person_make() {
    getent passwd "$gh_person" >/dev/null && return 0
    useradd --system --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin "$gh_person" ||
        die $EXIT_FAILED "The system user $gh_person could not be created."
    note "created the system user $gh_person; nothing of Gatehouse runs as root"
}

# person_run COMMAND...: as that user, with a bare environment (no API keys, no proxies of ours).
person_run() {
    local bare=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent)
    if [ "$EUID" -eq 0 ]; then
        setpriv --reuid="$(id -u "$gh_person")" --regid="$(id -g "$gh_person")" --init-groups \
            --inh-caps=-all --no-new-privs "${bare[@]}" "$@"
    else
        "${bare[@]}" "$@"
    fi
}

# person_write FILE MODE <TEXT: whole or not at all. Written as that user, so that no link in one
# of its folders can lead root's pen elsewhere.
person_write() {
    # shellcheck disable=SC2016
    person_run sh -c 'umask 077 && cat >"$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"' \
        write "$1" "$2"
}

person_read() { person_run cat "$1"; }

person_has() { person_run test -s "$1"; }

# 32 random bytes as 64 hex digits
random_hex() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
