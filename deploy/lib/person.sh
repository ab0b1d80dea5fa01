# person: the unprivileged user everything of ours runs as.
#
# Who is not root runs it all as themselves, and so does who calls sudo in a clone of their own:
# root installs the packages, then goes on as them. Root itself has the system user `gatehouse`,
# made when it is first needed. Whoever an installation began with, it stays with.

# The one who owns the installation, or will: a user id.
person_owner() {
    if [ -d "$gh_home" ]; then
        stat -c %u "$gh_home"
    elif [ "${SUDO_UID:-0}" = "$(stat -c %u "$gh_root")" ]; then
        printf '%s' "${SUDO_UID:-0}"
    else
        printf 0
    fi
}

is_somebody_elses() { [ "$EUID" -eq 0 ] && [ "$(person_owner)" != 0 ]; }

# person_become VERB OPTION...: where root works on somebody's installation, it goes on as them.
person_become() {
    local uid entry
    is_somebody_elses || return 0
    uid=$(person_owner)
    entry=$(getent passwd "$uid") ||
        die $EXIT_FAILED "$gh_home belongs to the user id $uid, which this machine does not know."
    exec setpriv --reuid="$uid" --regid="$(cut -d: -f4 <<<"$entry")" --init-groups \
        env -u SUDO_UID HOME="$(cut -d: -f6 <<<"$entry")" USER="${entry%%:*}" \
        "$gh_root/gatehouse" "$@"
}

person_choose() {
    local owner=''
    if [ -d "$gh_place/run" ]; then owner=$(stat -c %U "$gh_place/run"); fi
    if [ "$EUID" -ne 0 ]; then
        gh_person=$(id -un)
        if [ -n "$owner" ] && [ "$owner" != "$gh_person" ]; then
            die $EXIT_FAILED "$gh_home was not set up by $gh_person; use root or sudo."
        fi
    elif [ -n "$owner" ] && [ "$owner" != root ] && [ "$owner" != UNKNOWN ]; then
        gh_person=$owner
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
    local bare=(env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent)
    if [ "$EUID" -eq 0 ]; then
        setpriv --reuid="$(id -u "$gh_person")" --regid="$(id -g "$gh_person")" --init-groups \
            --inh-caps=-all --no-new-privs "${bare[@]}" "$@"
    else
        "${bare[@]}" "$@"
    fi
}

# person_run_with COMMAND...: the same with more variables, read from descriptor 3 as NAME=VALUE, each
# ended by NUL. Every user of the machine can read the arguments of a process, only its own user
# can read its environment: a secret is passed this way, never as an argument of `env`.
person_run_with() {
    # shellcheck disable=SC2016
    person_run bash -c 'while IFS= read -r -d "" variable; do export "$variable"; done <&3
        exec 3<&-
        exec "$@"' person_run_with "$@"
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
